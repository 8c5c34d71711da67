-- One row per changed track and day. listens is null when no listen of it is left. The latest batch that has a name
-- gives it: a batch id has no space and sorts by time. Names are cut at 8,192 characters, to keep an item below
-- DynamoDB's 400 KB.
SELECT listen_date, track_id, listens, unique_listeners, listening_ms,
  substr(latest_track_name, instr(latest_track_name, ' ') + 1, 8192) AS track_name,
  substr(latest_artists, instr(latest_artists, ' ') + 1, 8192) AS artists
FROM changed_tracks
LEFT JOIN (
  SELECT
    listen_date,
    track_id,
    :counts,
    :latest_names
  FROM listens
  WHERE (listen_date, track_id) IN (SELECT listen_date, track_id FROM changed_tracks)
  GROUP BY listen_date, track_id
) AS metrics USING (listen_date, track_id)

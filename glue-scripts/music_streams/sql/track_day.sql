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
    count(*) AS listens,
    count(DISTINCT user_id) AS unique_listeners,
    sum(CAST(coalesce(duration_ms, 0) AS DECIMAL(38, 0))) AS listening_ms,
    max(CASE WHEN track_name <> '' THEN concat(batch_id, ' ', track_name) END) AS latest_track_name,
    max(CASE WHEN artists <> '' THEN concat(batch_id, ' ', artists) END) AS latest_artists
  FROM listens
  WHERE (listen_date, track_id) IN (SELECT listen_date, track_id FROM changed_tracks)
  GROUP BY listen_date, track_id
) AS metrics USING (listen_date, track_id)

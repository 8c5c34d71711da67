-- The first ten tracks of each day, over all genres, one row each. One row with a null rank when the day is empty.
-- As in genre_top_tracks.sql, but names are cut at 2,048 characters: ten tracks must fit an item of 400 KB.
WITH candidates AS (
  SELECT listen_date, track_id
  FROM (
    SELECT listen_date, track_id, rank() OVER (PARTITION BY listen_date ORDER BY listens DESC) AS place
    FROM (SELECT listen_date, track_id, sum(listens) AS listens FROM track_counts GROUP BY listen_date, track_id) AS counted
  ) AS placed
  WHERE place <= 10
),
tracks AS (
  SELECT
    listen_date,
    track_id,
    :counts,
    :latest_names
  FROM listens
  JOIN candidates USING (listen_date, track_id)
  GROUP BY listen_date, track_id
),
ranked AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY listen_date
      ORDER BY listens DESC, unique_listeners DESC, listening_ms DESC, track_id
    ) AS rank
  FROM tracks
)
SELECT listen_date, rank, track_id, listens, unique_listeners, listening_ms,
  substr(latest_track_name, instr(latest_track_name, ' ') + 1, 2048) AS track_name,
  substr(latest_artists, instr(latest_artists, ' ') + 1, 2048) AS artists
FROM days
LEFT JOIN ranked USING (listen_date)
WHERE rank <= 10 OR rank IS NULL

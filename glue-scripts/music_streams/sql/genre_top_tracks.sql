-- The first three tracks of each changed genre and day, one row each. One row with a null rank when no listen is left.
-- Both engines compare text by its UTF-8 bytes. The names are as in track_day.sql, from the rows that have the genre.
WITH counted AS (
  SELECT listen_date, genre, track_id, sum(listens) AS listens
  FROM (SELECT listen_date, track_id, listens, explode(genres) AS genre FROM track_counts) AS exploded
  WHERE (listen_date, genre) IN (SELECT listen_date, genre FROM changed_genres)
  GROUP BY listen_date, genre, track_id
),
-- Listens come first in the order, so only tracks that can be among the first three need their distinct listeners
-- counted, which costs memory.
candidates AS (
  SELECT listen_date, genre, track_id
  FROM (SELECT *, rank() OVER (PARTITION BY listen_date, genre ORDER BY listens DESC) AS place FROM counted) AS placed
  WHERE place <= 3
),
tracks AS (
  SELECT
    listen_date,
    genre,
    track_id,
    :counts,
    :latest_names
  FROM listens
  JOIN candidates USING (listen_date, track_id)
  WHERE array_contains(genres, genre)
  GROUP BY listen_date, genre, track_id
),
ranked AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY listen_date, genre
      ORDER BY listens DESC, unique_listeners DESC, listening_ms DESC, track_id
    ) AS rank
  FROM tracks
)
SELECT listen_date, genre, rank, track_id, listens, unique_listeners, listening_ms,
  substr(latest_track_name, instr(latest_track_name, ' ') + 1, 8192) AS track_name,
  substr(latest_artists, instr(latest_artists, ' ') + 1, 8192) AS artists
FROM changed_genres
LEFT JOIN ranked USING (listen_date, genre)
WHERE rank <= 3 OR rank IS NULL

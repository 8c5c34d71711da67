-- One row per day. listens is null when the day is empty.
SELECT listen_date, listens, unique_listeners, listening_ms, tracks, coalesce(genres, 0) AS genres
FROM days
LEFT JOIN (
  SELECT
    listen_date,
    :counts,
    count(DISTINCT track_id) AS tracks
  FROM listens
  GROUP BY listen_date
) AS totals USING (listen_date)
LEFT JOIN (SELECT listen_date, count(*) AS genres FROM genre_days GROUP BY listen_date) AS genre_counts USING (listen_date)

-- Every genre of the days, changed or not: a day's top genres and number of genres need them all.
SELECT
  listen_date,
  genre,
  count(*) AS listens,
  count(DISTINCT user_id) AS unique_listeners,
  sum(CAST(coalesce(duration_ms, 0) AS DECIMAL(38, 0))) AS listening_ms
FROM genre_listens
GROUP BY listen_date, genre

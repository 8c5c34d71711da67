-- Every genre of the days, changed or not: a day's top genres and number of genres need them all.
SELECT
  listen_date,
  genre,
  :counts
FROM genre_listens
GROUP BY listen_date, genre

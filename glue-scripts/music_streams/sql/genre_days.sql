-- Every genre of the days, changed or not: a day's top genres and number of genres need them all. A listen counts once
-- for each genre of its track. A name that does not fit a DynamoDB key (2,048 bytes with "GENRE#") is no genre: it comes
-- from a broken reference file, and must not stop the other genres.
SELECT
  listen_date,
  genre,
  :counts
FROM (SELECT listen_date, user_id, duration_ms, explode(genres) AS genre FROM listens) AS exploded
WHERE bit_length(genre) BETWEEN 8 AND 8 * 2042
GROUP BY listen_date, genre

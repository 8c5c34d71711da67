-- The same bound as in genre_days.sql.
SELECT DISTINCT listen_date, genre
FROM (SELECT listen_date, explode(genres) AS genre FROM changed) AS exploded
WHERE bit_length(genre) BETWEEN 8 AND 8 * 2042

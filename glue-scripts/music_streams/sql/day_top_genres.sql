-- The first five genres of each day, one row each. A day without any genre has one row with a null rank.
SELECT listen_date, rank, genre, listens, unique_listeners, listening_ms
FROM days
LEFT JOIN (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY listen_date
      ORDER BY listens DESC, unique_listeners DESC, listening_ms DESC, genre
    ) AS rank
  FROM genre_days
) AS ranked USING (listen_date)
WHERE rank <= 5 OR rank IS NULL

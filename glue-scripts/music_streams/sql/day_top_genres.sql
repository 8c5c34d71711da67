-- The five first genres of each day, a row each; one row with a null rank for a day on which nothing with a genre was heard.
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

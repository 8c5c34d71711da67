-- The countries of each day, one row each, the most heard first. One row with a null place when the day is empty.
-- The listens of unknown countries are a row with a null country. There are 249 countries (ISO 3166-1), so more than 250
-- rows come from broken reference data. That limit and the cut at 256 characters keep an item below DynamoDB's 400 KB.
SELECT listen_date, place, country, listens, unique_listeners, listening_ms
FROM days
LEFT JOIN (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY listen_date
      ORDER BY listens DESC, unique_listeners DESC, listening_ms DESC, country NULLS LAST
    ) AS place
  FROM (
    SELECT
      listen_date,
      country,
      :counts
    FROM (
      SELECT listen_date, user_id, duration_ms, nullif(substr(user_country, 1, 256), '') AS country FROM listens
    ) AS located
    GROUP BY listen_date, country
  ) AS counted
) AS ranked USING (listen_date)
WHERE place <= 250 OR place IS NULL

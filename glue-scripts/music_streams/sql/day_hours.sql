-- The hours of each day that have listens, one row each. One row with a null hour when the day is empty.
SELECT listen_date, hour, listens, unique_listeners, listening_ms
FROM days
LEFT JOIN (
  SELECT
    listen_date,
    hour,
    count(*) AS listens,
    count(DISTINCT user_id) AS unique_listeners,
    sum(CAST(coalesce(duration_ms, 0) AS DECIMAL(38, 0))) AS listening_ms
  FROM (
    -- Not with hour(): it depends on the session's time zone.
    SELECT listen_date, user_id, duration_ms, CAST(floor(unix_seconds(listen_time) / 3600) % 24 AS INT) AS hour
    FROM listens
  ) AS timed
  GROUP BY listen_date, hour
) AS hours USING (listen_date)

-- The hours of each day that have listens, one row each. One row with a null hour when the day is empty.
SELECT listen_date, hour, listens, unique_listeners, listening_ms
FROM days
LEFT JOIN (
  SELECT
    listen_date,
    hour,
    :counts
  FROM (
    -- Not with hour(): it depends on the session's time zone.
    SELECT listen_date, user_id, duration_ms, CAST(floor(unix_seconds(listen_time) / 3600) % 24 AS INT) AS hour
    FROM listens
  ) AS timed
  GROUP BY listen_date, hour
) AS hours USING (listen_date)

-- The rows that the batch brought, and those that an earlier attempt of it brought and a later one replaced: what they belong to has changed.
SELECT listen_date, track_id, genres FROM listens WHERE batch_id = :batch_id
UNION ALL
SELECT listen_date, track_id, genres FROM replaced

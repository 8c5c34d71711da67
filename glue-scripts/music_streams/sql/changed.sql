-- Rows that the batch added, and rows of an earlier attempt that a later one replaced. Their groups have changed.
SELECT listen_date, track_id, genres FROM listens WHERE batch_id = :batch_id
UNION ALL
SELECT listen_date, track_id, genres FROM replaced

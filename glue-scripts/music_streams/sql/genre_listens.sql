-- Each listen once per genre of its track. A name that does not fit a DynamoDB key (2,048 bytes with "GENRE#") is no
-- genre: it comes from a broken reference file, and must not stop the other genres.
SELECT listen_date, batch_id, user_id, track_id, genre, duration_ms, track_name, artists
FROM (
  SELECT listen_date, batch_id, user_id, track_id, duration_ms, track_name, artists, explode(genres) AS genre FROM listens
) AS exploded
WHERE bit_length(genre) BETWEEN 8 AND 8 * 2042

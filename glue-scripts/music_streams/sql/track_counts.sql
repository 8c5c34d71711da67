-- The listens of each track by day and genres. The first tracks come from here, so that no other query counts all tracks.
SELECT listen_date, track_id, genres, count(*) AS listens
FROM listens
GROUP BY listen_date, track_id, genres

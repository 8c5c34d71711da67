-- One row per changed genre and day. listens is null when no listen of it is left.
SELECT listen_date, genre, listens, unique_listeners, listening_ms
FROM changed_genres
LEFT JOIN genre_days USING (listen_date, genre)

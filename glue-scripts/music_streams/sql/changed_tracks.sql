SELECT DISTINCT listen_date, track_id FROM changed

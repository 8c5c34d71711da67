"""Baseline: DuckDB on one machine, without Spark. duckdb_alone.py BUCKET STREAMS OUT.

It downloads the files, applies the main rules, keeps each listen once, joins, and uploads Parquet by day.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import duckdb

from marks import mark
from music_streams import layout

PARALLEL = 8
CSV = """header = true, quote = '"', escape = '"', all_varchar = true"""
IDENTIFIER = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"


def main(bucket: str, streams: str, out: str) -> None:
    """Writes the listens of the batch, each once, with what is known of tracks and users."""
    mark("opened")
    s3 = boto3.client("s3")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download(s3, bucket, [streams, layout.key("reference")], folder)
        write_curated(folder / streams, folder / layout.key("reference"), folder / "out")
        for file in sorted((folder / "out").rglob("*.parquet")):
            s3.upload_file(str(file), bucket, f"{out}/{file.relative_to(folder / 'out')}")
    mark("done")


def download(s3: Any, bucket: str, prefixes: list[str], folder: Path) -> None:
    """Downloads all objects below the prefixes."""
    pages = (
        page
        for prefix in prefixes
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    )
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def get(key: str) -> None:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(folder / key))

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(get, keys))


def write_curated(streams: Path, reference: Path, out: Path) -> None:
    """Reads CSVs below `streams`, and writes Parquet by day to `out`."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET threads = {os.environ['BENCH_SLOTS']}")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(f"""
            CREATE TABLE once AS
            SELECT user_id, track_id, try_cast(listen_time AS TIMESTAMP) AS listen_time
            FROM read_csv('{streams}/*.csv', {CSV}, strict_mode = false, null_padding = true)
            WHERE regexp_full_match(user_id, '{IDENTIFIER}') AND regexp_full_match(track_id, '{IDENTIFIER}')
            AND try_cast(listen_time AS TIMESTAMP) >= '2000-01-01' AND try_cast(listen_time AS TIMESTAMP) < '2025-01-01'
            GROUP BY ALL
        """)
        connection.execute(f"""
            CREATE TABLE tracks AS
            SELECT track_id, min(artists) AS artists, min(album_name) AS album_name, min(track_name) AS track_name,
                min(try_cast(popularity AS BIGINT)) AS popularity, min(try_cast(duration_ms AS BIGINT)) AS duration_ms,
                list_sort(list(DISTINCT track_genre)) AS genres
            FROM read_csv('{reference}/{layout.key("songs")}*.csv', {CSV}) GROUP BY track_id
        """)
        connection.execute(f"""
            CREATE TABLE users AS SELECT user_id, try_cast(user_age AS BIGINT) AS user_age, user_country
            FROM read_csv('{reference}/{layout.key("users")}*.csv', {CSV})
        """)
        connection.execute(f"""
            COPY (
                SELECT *, CAST(listen_time AS DATE) AS listen_date
                FROM once LEFT JOIN tracks USING (track_id) LEFT JOIN users USING (user_id)
                ORDER BY listen_date, track_id, listen_time, user_id
            ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (listen_date))
        """)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Writes curated Parquet and metrics for the tests of `npm run audit`. The publish job's code writes the metrics.

Reads one JSON object from stdin: {endpoint, bucket, table, parquet: [{key, rows}], publish: [{batchId, days}]}. A row
has the curated columns. listen_time is text in UTC.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
import duckdb

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "glue-scripts"))

from music_streams.publish_checkpoint import Checkpoint  # noqa: E402
from music_streams.publish_duckdb import Machine, publish_with_duckdb  # noqa: E402
from music_streams.publish_input import Work  # noqa: E402
from music_streams.publish_writer import MetricsWriter  # noqa: E402

COLUMNS = """user_id VARCHAR, track_id VARCHAR, listen_time TIMESTAMPTZ, track_name VARCHAR, artists VARCHAR,
    album_name VARCHAR, popularity BIGINT, duration_ms BIGINT, genres VARCHAR[],
    user_country VARCHAR, user_age BIGINT"""


def main() -> None:
    wanted = json.load(sys.stdin)
    access = {
        "endpoint_url": wanted["endpoint"],
        "region_name": "us-east-1",
        "aws_access_key_id": wanted["credentials"]["accessKeyId"],
        "aws_secret_access_key": wanted["credentials"]["secretAccessKey"],
    }
    s3, dynamodb = boto3.client("s3", **access), boto3.client("dynamodb", **access)
    with tempfile.TemporaryDirectory() as folder:
        for file in wanted["parquet"]:
            path = f"{folder}/rows.parquet"
            write(path, file["rows"])
            s3.upload_file(path, wanted["bucket"], file["key"])
        for batch in wanted["publish"]:
            published_at = "2026-11-20T12:00:00.000Z"
            days = tuple(batch["days"])
            work = Work(wanted["bucket"], wanted["table"], batch["batchId"], "wr", days, published_at)
            writer = MetricsWriter(dynamodb, work.table, work.batch_id, published_at)
            checkpoint = Checkpoint(s3, work.bucket, work.batch_id, None)
            publish_with_duckdb(work, s3, writer, Machine.here(folder), checkpoint)


def write(path: str, rows: list[dict[str, Any]]) -> None:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE TABLE rows ({COLUMNS})")
        names = [column.split()[0] for column in COLUMNS.split(",")]
        database.executemany(
            f"INSERT INTO rows VALUES ({', '.join('?' * len(names))})", [[*map(row.get, names)] for row in rows]
        )
        database.execute(f"COPY rows TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


if __name__ == "__main__":
    main()

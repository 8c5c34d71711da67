"""Publish of one batch, as the Glue job does it, but without ledger and checkpoint.

publish_job.py duckdb|spark BUCKET TABLE BATCH DAY...
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone

import boto3
from botocore.config import Config

import publish
from marks import mark
from music_streams import log
from music_streams.publish_checkpoint import Checkpoint
from music_streams.publish_input import Work


def main(engine: str, bucket: str, table: str, batch_id: str, *days: str) -> None:
    """Publishes the days, and marks how many items were written."""
    log.start("publish")
    if engine == "spark":
        from pyspark.sql import SparkSession

        SparkSession.builder.appName("music-streams publish").getOrCreate()
    mark("opened")
    s3 = boto3.client("s3", config=Config(max_pool_connections=publish.S3_CONNECTIONS))
    now = log.iso(datetime.now(timezone.utc))
    work = Work(bucket, table, batch_id, "wr_bench", days, now)
    _, counts = publish.compute_and_write(work, s3, engine, Checkpoint(s3, bucket, batch_id, None))
    mark("done", items=counts.written)


if __name__ == "__main__":
    main(*sys.argv[1:])

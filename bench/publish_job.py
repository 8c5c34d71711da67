"""Publish of one batch, as the Glue job does it, but without ledger and checkpoint.

publish_job.py duckdb|spark|earlier BUCKET TABLE BATCH DAY...

`earlier` is DuckDB without the items that a day got later, so that their cost can be seen.
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from unittest.mock import patch

import boto3
from botocore.config import Config

import publish
from marks import mark
from music_streams import log, publish_duckdb
from music_streams.metrics_items import METRICS
from music_streams.publish_checkpoint import Checkpoint
from music_streams.publish_input import Work

LATER_ITEMS = ("day_top_tracks", "day_hours", "day_countries")


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
    kinds = [metric for metric in METRICS if engine != "earlier" or metric.name not in LATER_ITEMS]
    with patch.object(publish_duckdb, "METRICS", kinds):
        by = "spark" if engine == "spark" else "duckdb"
        _, counts = publish.compute_and_write(work, s3, by, Checkpoint(s3, bucket, batch_id, None))
    mark("done", items=counts.written)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Computes the metrics with Spark, for days too large for one machine. The SQL is the same; each partition writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import boto3
from botocore.config import Config

from music_streams import layout, log
from music_streams.metrics_items import METRICS, TABLES, VIEWS, Metric, Row, sql
from music_streams.publish_input import ParquetFile, Work, check_replaced_days, curated_files, replaced_files
from music_streams.publish_writer import Counts, MetricsWriter

# 32 writers with 4 threads each write more than an on-demand table accepts.
MOST_WRITERS = 32
THREADS_PER_WRITER = 4
ITEMS_PER_WRITER = 10_000

BYTES_PER_TASK = 8 * 2**20

LISTENS_SCHEMA = """user_id STRING, track_id STRING, listen_time TIMESTAMP, track_name STRING, artists STRING,
    duration_ms BIGINT, genres ARRAY<STRING>, user_country STRING, listen_date STRING, batch_id STRING"""
REPLACED_SCHEMA = "listen_date STRING, track_id STRING, genres ARRAY<STRING>"


def publish_with_spark(work: Work, s3: Any, region: str) -> tuple[int, Counts]:
    """Computes and writes the metrics of the work's days. Returns the number of groups and the counts of items."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("music-streams publish").getOrCreate()
    files = [file for day in work.days for file in curated_files(s3, work.bucket, day)]
    size = sum(file.size for file in files)
    # The default is 200 for any size, and Spark can't add tasks later.
    tasks = max(spark.sparkContext.defaultParallelism, -(-size // BYTES_PER_TASK))
    spark.conf.set("spark.sql.shuffle.partitions", str(tasks))
    log.info("reading", days=len(work.days), files=len(files), bytes=size, tasks=tasks)

    _listens(spark, work.bucket, _folders(files)).createOrReplaceTempView("listens")
    _replaced(spark, work.bucket, replaced_files(s3, work.bucket, work.batch_id)).createOrReplaceTempView("replaced")
    found = spark.sql("SELECT DISTINCT listen_date FROM replaced").collect()
    check_replaced_days((row.listen_date for row in found), work.days)
    spark.createDataFrame([(day,) for day in work.days], "listen_date STRING").createOrReplaceTempView("days")
    for name in (*VIEWS, *TABLES):
        frame = spark.sql(sql(name, work.batch_id))
        (frame.persist() if name in TABLES else frame).createOrReplaceTempView(name)
    try:
        tracks, genres = (spark.table(name).count() for name in ("changed_tracks", "changed_genres"))
        groups = {"track_id": tracks, "genre": genres, "listen_date": len(work.days)}
        total = Counts()
        for metric in METRICS:
            rows = rows_of(spark, metric, writers=min(MOST_WRITERS, 1 + groups[metric.group[-1]] // ITEMS_PER_WRITER))
            counts = sum(rows.rdd.mapPartitions(partial(_write, work, metric, region)).collect(), Counts())
            log.info("metricWritten", metric=metric.name, **counts.facts())
            total += counts
    finally:
        for name in TABLES:
            spark.catalog.uncacheTable(name)
    return sum(groups.values()), total


def rows_of(spark: Any, metric: Metric, writers: int) -> Any:
    """Returns the metric's rows, a partition per writer. The rows of a group follow each other in one, in order."""
    frame = spark.sql(sql(metric.name))
    if metric.order:
        return frame.repartition(writers, *metric.group).sortWithinPartitions(*metric.group, *metric.order)
    return frame.repartition(writers)


def _write(work: Work, metric: Metric, region: str, rows: Iterator[Row]) -> Iterator[Counts]:
    # Runs in an executor.
    writer = MetricsWriter(_client(region), work.table, work.batch_id, work.published_at, THREADS_PER_WRITER)
    yield writer.upsert(metric.items(rows))


@lru_cache(maxsize=1)
def _client(region: str) -> Any:
    # Once per Python process of an executor: making a client takes longer than writing a few hundred items. An
    # endpoint other than AWS's own comes from the environment.
    config = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=THREADS_PER_WRITER + 2)
    return boto3.client("dynamodb", region_name=region, config=config)


def _folders(files: list[ParquetFile]) -> list[str]:
    return sorted({file.key.rpartition("/")[0] + "/" for file in files})


def _listens(spark: Any, bucket: str, folders: list[str]) -> Any:
    """Reads all rows of the days, with day and batch from their folders. Skips other files, as publish_input does."""
    if not folders:
        return spark.createDataFrame([], LISTENS_SCHEMA)
    from pyspark.sql.functions import col

    reader = spark.read.schema(LISTENS_SCHEMA).option("pathGlobFilter", "*.parquet")
    reader = reader.option("basePath", f"s3://{bucket}/{layout.key('listens')}")
    rows = reader.parquet(*[f"s3://{bucket}/{folder}" for folder in folders])
    # A sum of BIGINT overflows in Spark. DuckDB's has 128 bits.
    return rows.withColumn("duration_ms", col("duration_ms").cast("decimal(38,0)"))


def _replaced(spark: Any, bucket: str, files: list[ParquetFile]) -> Any:
    """Reads the replaced rows. The day becomes text, whatever its type in the files."""
    if not files:
        return spark.createDataFrame([], REPLACED_SCHEMA)
    rows = spark.read.parquet(*[f"s3://{bucket}/{file.key}" for file in files])
    return rows.selectExpr("CAST(listen_date AS STRING) AS listen_date", "track_id", "genres")

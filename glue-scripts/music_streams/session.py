"""The Spark session of transform, and what it keeps in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyspark.sql import DataFrame, SparkSession

Counted = TypeVar("Counted")

# Compiling the plans of a batch takes some 4 s of CPU, as much as interpreting them for 30,000 rows more.
FEW_BYTES = 1024**2
PARTITION_BYTES = 32 * 1024**2
MOST_PARTITIONS = 2000


def open_spark() -> SparkSession:
    """Opens a session with the settings that the results depend on, and some that help with many small files."""
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.csv.parser.columnPruning.enabled": "false",
        "spark.sql.csv.filterPushdown.enabled": "false",
        # With debugging on, Spark looks up the Python line behind every expression, which takes seconds in total.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        # The plan is fixed: its sizes are known before it runs, and each step of an adaptive one is a job of its own.
        "spark.sql.adaptive.enabled": "false",
        # Rows that are in the order of their groups need no hash table.
        "spark.sql.execution.replaceHashWithSortAgg": "true",
        # Spark sorts a task's rows by day when they have more days than this: those of large days are not sorted again.
        "spark.sql.maxConcurrentOutputFileWriters": "8",
        "spark.sql.files.ignoreCorruptFiles": "false",
        "spark.sql.files.ignoreMissingFiles": "false",
        # By default a small file counts as 4 MB, and listing files starts a task for each.
        "spark.sql.files.openCostInBytes": str(512 * 1024),
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "64",
        # These list a folder with all below it by one request.
        "spark.sql.sources.useListFilesFileSystemList": "s3,s3a",
    }
    builder = SparkSession.builder.appName("music-streams transform")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    # A session that existed before has its own settings.
    for name, value in settings.items():
        if spark.conf.isModifiable(name):
            spark.conf.set(name, value)
    return spark


def plan_for(spark: SparkSession, size: int) -> None:
    """Sets the number of tasks of a shuffle, and whether Spark compiles its plans, from the bytes of their input."""
    compiled = size > FEW_BYTES
    spark.conf.set("spark.sql.codegen.wholeStage", str(compiled).lower())
    spark.conf.set("spark.sql.codegen.factoryMode", "FALLBACK" if compiled else "NO_CODEGEN")
    spark.conf.set("spark.sql.shuffle.partitions", str(max(2, min(MOST_PARTITIONS, -(-size // PARTITION_BYTES)))))


def materialised(rows: DataFrame, count: Callable[[DataFrame], Counted]) -> Counted:
    """Counts rows that are to be kept in memory."""
    try:
        return count(rows)
    except Exception:
        # Otherwise Spark answers the next read of the same folder from this cache, with the files of this one.
        rows.unpersist()
        raise

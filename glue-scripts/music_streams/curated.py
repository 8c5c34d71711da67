"""Curated and quarantined rows in the bucket: reads those of other batches, replaces this batch's, survives crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from music_streams import layout, progress, store
from music_streams.batch import ManifestFile, get_json, put_json
from music_streams.report import Reading

KEY_SCHEMA = "user_id STRING, track_id STRING, listen_time TIMESTAMP"
COMMIT = {
    # For a Spark without a committer for S3: version 1 renames every file twice, and on S3 a rename is a copy.
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "mapreduce.fileoutputcommitter.cleanup-failures.ignored": "true",
}
QUARANTINED_FILE_ROWS = 500_000


@dataclass(frozen=True)
class Known:
    """Keys of other batches' listens, and the bytes of their files."""

    keys: DataFrame
    bytes: int


class Curated:
    """The curated and quarantined rows of one batch, and other batches' listens of the same days."""

    def __init__(self, spark: SparkSession, s3: Any, bucket: str, batch_id: str) -> None:
        """`s3` lists and deletes files, Spark reads and writes them."""
        self.spark, self.s3, self.bucket, self.batch_id = spark, s3, bucket, batch_id

    def known(self, reading: Reading) -> Known | None:
        """Keys of listens that other batches wrote, on the days and between the times of a reading.

        None when there are none. Lists only these days. Spark skips files and row groups of other times.
        """
        days = sorted(reading.by_day)
        listed = store.in_parallel(lambda day: self._parquet(layout.key("listensDay", date=day)), days)
        own = f"/batch_id={self.batch_id}/"
        others = {day: [file for file in of_day if own not in file.key] for day, of_day in zip(days, listed)}
        folders = [self._url(layout.key("listensDay", date=day)) for day, of_day in others.items() if of_day]
        if not folders:
            return None
        # Spark lists a folder by one request. Files that are named one by one take it six each.
        reader = self.spark.read.options(pathGlobFilter="*.parquet", recursiveFileLookup=True).schema(KEY_SCHEMA)
        keys = reader.parquet(*folders).where(~F.contains("_metadata.file_path", F.lit(own)))
        first, last = (F.timestamp_micros(F.lit(time)) for time in (reading.first, reading.last))
        size = sum(file.size for of_day in others.values() for file in of_day)
        return Known(keys.where(F.col("listen_time").between(first, last)), size)

    def earlier_days(self) -> list[str]:
        """Days that an earlier attempt of this batch may have written to."""
        document = get_json(self.s3, self.bucket, layout.key("touched", batchId=self.batch_id)) or {}
        return [str(day) for day in document.get("days", [])]

    def remember_replaced(self, days: Sequence[str]) -> None:
        """Records the groups of this batch's earlier rows, so that publish updates them although the rows are gone."""
        files = store.in_parallel(lambda day: self._parquet(self._own(day)), days)
        paths = [self._url(file.key) for of_day in files for file in of_day]
        if not paths:
            return
        # Spark takes columns from the path only below the base path.
        rows = self.spark.read.option("basePath", self._url(layout.key("listens"))).parquet(*paths)
        groups = rows.select(F.to_date("listen_date").alias("listen_date"), "track_id", "genres").distinct()
        target = layout.key("replaced", batchId=self.batch_id)
        writer = groups.coalesce(1).write.mode("append").options(**COMMIT).option("compression", "zstd")
        writer.parquet(self._url(target))
        self._remove_markers([target])

    def replace(self, rows: DataFrame | None, days: Sequence[str]) -> list[str]:
        """Replaces this batch's curated rows by `rows`, which are of `days`. Returns all days it ever touched.

        Each task writes its rows in their order, which should be by day.

        A crash may happen anywhere: days are recorded before they are written, groups before they are removed.
        """
        earlier = self.earlier_days()
        touched = sorted({*earlier, *days})
        self.remember_replaced(earlier)
        if touched:
            put_json(self.s3, self.bucket, layout.key("touched", batchId=self.batch_id), {"days": touched})
        store.in_parallel(lambda day: store.delete_below(self.s3, self.bucket, self._own(day)), earlier)
        self.clean()
        if rows is not None and days:
            self._write(rows, days)
            self.clean()
        return touched

    def count_written(self, days: Sequence[str]) -> Counter[str]:
        """Counts this batch's curated rows by day, from the footers of its files on these days."""
        files = store.in_parallel(lambda day: self._parquet(self._own(day)), days)
        paths = [self._url(file.key) for of_day in files for file in of_day]
        if not paths:
            return Counter()
        rows = self.spark.read.schema("user_id STRING").parquet(*paths)
        # The query uses no column, so Spark reads no column.
        by_file = rows.groupBy(F.col("_metadata.file_path").alias("path")).agg(F.count("*").alias("rows")).collect()
        counted: Counter[str] = Counter()
        for row in by_file:
            counted[row["path"].split("/listen_date=")[1][:10]] += row["rows"]
        return counted

    def count_quarantined(self) -> Counter[tuple[str, str]]:
        """Counts this batch's quarantined rows by key and reason, from its files."""
        prefix = layout.key("quarantinedRows", batchId=self.batch_id)
        paths = [self._url(file.key) for file in store.objects(self.s3, self.bucket, prefix)]
        if not paths:
            return Counter()
        # Spark skips the texts of rows, but by default fails at one of over 20 MB.
        reader = self.spark.read.schema("key STRING, reason STRING").option("maxStringLen", 2**31 - 1)
        rows = reader.json(paths)
        counted = rows.groupBy("key", "reason").agg(F.count("*").alias("rows")).collect()
        return Counter({(row["key"], row["reason"]): row["rows"] for row in counted})

    def replace_quarantined(self, rows: DataFrame | None, count: int) -> None:
        """Replaces this batch's quarantined rows by `rows` (key, reason, raw)."""
        prefix = layout.key("quarantinedRows", batchId=self.batch_id)
        store.delete_below(self.s3, self.bucket, prefix)
        if rows is not None:
            files = rows.coalesce(-(-count // QUARANTINED_FILE_ROWS))
            files.write.mode("append").options(**COMMIT).option("ignoreNullFields", False).json(self._url(prefix))
            self._remove_markers([prefix])

    def clean(self) -> None:
        """Removes what an interrupted writer, of this run or an earlier one, left among the curated files."""
        listens = layout.key("listens")
        # Committers work in `_temporary/` or `__magic_job-.../`. The folders of days begin with no underscore.
        store.delete_below(self.s3, self.bucket, f"{listens}_")
        self._remove_markers([listens])

    def _write(self, rows: DataFrame, days: Sequence[str]) -> None:
        columns = rows.drop("known_track", "known_user").withColumn("batch_id", F.lit(self.batch_id))
        writer = columns.write.mode("append")
        writer = writer.partitionBy("listen_date", "batch_id").options(**COMMIT).option("compression", "zstd")
        with progress.logged("writing", lambda: {"days": len(days), **progress.tasks_so_far(self.spark)}):
            writer.parquet(self._url(layout.key("listens")))
        self._remove_markers([layout.key("listensDay", date=day) for day in days] + [self._own(day) for day in days])

    def _remove_markers(self, prefixes: Sequence[str]) -> None:
        # S3A marks folders with empty objects.
        store.delete(self.s3, self.bucket, prefixes)

    def _own(self, day: str) -> str:
        return layout.key("listensBatch", date=day, batchId=self.batch_id)

    def _parquet(self, prefix: str) -> list[ManifestFile]:
        files = store.objects(self.s3, self.bucket, prefix)
        hidden = ("_", ".")
        return [
            file
            for file in files
            if file.key.endswith(".parquet") and not file.key.rsplit("/", 1)[1].startswith(hidden)
        ]

    def _url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

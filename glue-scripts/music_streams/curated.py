"""Curated and quarantined rows in the bucket: reads those of other batches, replaces this batch's, survives crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from music_streams import layout, progress, store
from music_streams.batch import ManifestFile, get_json, put_json
from music_streams.footers import footer_reader
from music_streams.report import Reading

KEY_SCHEMA = "user_id STRING, track_id STRING, listen_time TIMESTAMP"
COMMIT = {
    # For a Spark without a committer for S3: version 1 renames every file twice, and on S3 a rename is a copy.
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "mapreduce.fileoutputcommitter.cleanup-failures.ignored": "true",
}
# From so many days of a month on, the month is listed as a whole: a list is of up to 1,000 files.
DAYS_FOR_MONTH = 8
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

        None when there are none. Lists these days alone, or their months. Spark skips files and row groups of other
        times.
        """
        own = f"/batch_id={self.batch_id}/"
        files = self._files(reading.by_day)
        others = [(day, file) for day, file in files if own not in file.key]
        folders = [self._url(layout.key("listensDay", date=day)) for day in sorted({day for day, _ in others})]
        if not folders:
            return None
        # Spark lists a folder by one request. Files that are named one by one take it six each.
        reader = self.spark.read.options(pathGlobFilter="*.parquet", recursiveFileLookup=True).schema(KEY_SCHEMA)
        keys = reader.parquet(*folders)
        # Only a run again has rows of its own there, and the condition costs something for each row.
        if len(others) < len(files):
            keys = keys.where(~F.contains("_metadata.file_path", F.lit(own)))
        first, last = (F.timestamp_micros(F.lit(time)) for time in (reading.first, reading.last))
        return Known(keys.where(F.col("listen_time").between(first, last)), sum(file.size for _, file in others))

    def earlier_days(self) -> list[str]:
        """Days that an earlier attempt of this batch may have written to."""
        document = get_json(self.s3, self.bucket, layout.key("touched", batchId=self.batch_id)) or {}
        return [str(day) for day in document.get("days", [])]

    def remember_replaced(self, days: Sequence[str]) -> None:
        """Records the groups of this batch's earlier rows, so that publish updates them although the rows are gone."""
        paths = [self._url(file.key) for _, file in self._own_files(days)]
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
        files, rows_of = self._own_files(days), footer_reader(self.spark)
        rows = store.in_parallel(lambda one: rows_of(self._url(one[1].key), one[1].size), files)
        counted: Counter[str] = Counter()
        for (day, _), count in zip(files, rows):
            counted[day] += count
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

    def _own_files(self, days: Iterable[str]) -> list[tuple[str, ManifestFile]]:
        return [(day, file) for day, file in self._files(days) if file.key.startswith(self._own(day))]

    def _files(self, days: Iterable[str]) -> list[tuple[str, ManifestFile]]:
        """Lists the Parquet files of all batches on days. Many days of a month take one list, in place of many."""
        wanted, prefixes = set(days), list[str]()
        for month, of_month in groupby(sorted(wanted), lambda day: day[:7]):
            folders = [layout.key("listensDay", date=day) for day in of_month]
            whole = layout.key("listensDay", date=month).rstrip("/")
            prefixes += folders if len(folders) < DAYS_FOR_MONTH else [whole]
        listed = store.in_parallel(lambda prefix: list(store.objects(self.s3, self.bucket, prefix)), prefixes)
        before = len(layout.folder("listensDay"))
        found = [(file.key[before : before + 10], file) for files in listed for file in files]
        return [(day, file) for day, file in found if day in wanted and _is_parquet(file.key)]

    def _url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


def _is_parquet(key: str) -> bool:
    name = key.rsplit("/", 1)[1]
    return name.endswith(".parquet") and not name.startswith(("_", "."))

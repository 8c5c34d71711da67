"""Transform: cleans, enriches and repartitions a batch's CSVs into Parquet by day. A Glue 6.0 Spark job."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from typing import Any

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from music_streams import column_names, layout, log, store
from music_streams.batch import BatchError, Manifest, ManifestFile, get_json, put_json, read_manifest, still_claimed
from music_streams.column_names import ColumnNames
from music_streams.curated import Curated
from music_streams.fence import batch_in_turn
from music_streams.forgotten import forgotten_ids
from music_streams.lines import Streams, read_streams
from music_streams.listens import (
    COLUMNS,
    distinct_listens,
    enriched,
    in_order,
    marked,
    marked_by_shuffle,
    unknown_counts,
)
from music_streams.placement import Placement
from music_streams.reference import Place
from music_streams.reference_copy import Dimensions, open_reference
from music_streams.report import Keeping, Reading, count_kept, counts, files_quarantined, require_reconciled
from music_streams.session import open_spark, plan_for
from music_streams.staging import REFUSED, run_folder, stage

# How many times its size a gzip of rows grows, roughly.
GZIP_GROWTH = 6
# Keys of so many listens take some 60 MB on each worker.
FEW_LISTENS = 500_000


def main(argv: Sequence[str]) -> None:
    """Runs the job with Glue's arguments."""
    args = arguments(argv)
    log.start("transform", workflow_run_id=args.WORKFLOW_RUN_ID, job_run_id=args.JOB_RUN_ID)
    clients = store.client("glue"), store.client("dynamodb")
    batch_id = batch_in_turn(*clients, args.ledger_table, args.WORKFLOW_NAME, args.WORKFLOW_RUN_ID)
    run(args, batch_id, store.client("s3"), open_spark())


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the job's own arguments. Ignores the others, which Glue adds."""
    parser = argparse.ArgumentParser(prog="transform", allow_abbrev=False)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--ledger-table", required=True)
    parser.add_argument("--reference-location", required=True)
    parser.add_argument("--column-names", type=column_names.parse, default={})
    parser.add_argument("--multi-line", choices=("true", "false"), default="true")
    parser.add_argument("--WORKFLOW_NAME", required=True)
    parser.add_argument("--WORKFLOW_RUN_ID", required=True)
    parser.add_argument("--JOB_RUN_ID")
    return parser.parse_known_args(list(argv))[0]


def run(args: argparse.Namespace, batch_id: str, s3: Any, spark: SparkSession) -> dict[str, Any]:
    """Transforms a batch, and returns its report."""
    started_at = datetime.now(timezone.utc)
    manifest, changed_before = still_claimed(s3, args.bucket, read_manifest(s3, args.bucket, batch_id))
    place = Place.at(args.reference_location)
    names = column_names.with_earlier(args.column_names, earlier_names(s3, args.bucket, batch_id))
    job = Job(s3, spark, args.bucket, place, manifest, args.WORKFLOW_RUN_ID, args.multi_line == "true", names)
    try:
        store.delete_below(s3, job.bucket, layout.key("staged", batchId=batch_id))
        reference = job.open_reference()
        job.plan_for()
        forgotten = forgotten_ids(s3, job.bucket)
        put_json(s3, job.bucket, layout.key("readingMarker", batchId=batch_id), {"workflowRunId": job.run_id})
        report = job.transform(reference, forgotten)
        report["filesChanged"] += [{"name": file.name, "key": file.key} for file in changed_before]
        if names:
            report["columnNames"] = names
        report.update(
            batchId=batch_id,
            workflowRunId=job.run_id,
            startedAt=log.iso(started_at),
            finishedAt=log.iso(datetime.now(timezone.utc)),
        )
        put_json(s3, job.bucket, layout.key("transformReport", batchId=batch_id), report)
        return report
    finally:
        spark.catalog.clearCache()
        job.remove_copies()


def earlier_names(s3: Any, bucket: str, batch_id: str) -> dict[str, list[str]]:
    """Returns the header names that the batch's last run took."""
    try:
        report = get_json(s3, bucket, layout.key("transformReport", batchId=batch_id)) or {}
    except BatchError:
        # This run writes the report again.
        return {}
    found: dict[str, list[str]] = report.get("columnNames", {})
    return found


class Job:
    """One batch's transform."""

    def __init__(
        self,
        s3: Any,
        spark: SparkSession,
        bucket: str,
        place: Place,
        manifest: Manifest,
        run_id: str,
        multi_line: bool,
        names: ColumnNames,
    ) -> None:
        """`s3` is a boto3 client. Spark reads the same bucket. `place` is where the reference data is.

        `names`: header names that stand for columns.
        """
        self.s3, self.spark, self.bucket, self.place = s3, spark, bucket, place
        self.manifest, self.run_id, self.multi_line, self.names = manifest, run_id, multi_line, names
        self.folder = run_folder(manifest.batch_id, run_id)
        self.clock = time.monotonic()

    def plan_for(self, more: int = 0) -> None:
        """Sets how plans run, from the size of the input and of `more` bytes."""
        size = sum(file.size * (GZIP_GROWTH if file.key.lower().endswith(".gz") else 1) for file in self.manifest.files)
        plan_for(self.spark, size + more)

    def open_reference(self) -> Dimensions:
        """Reads the reference data. Raises BatchError when a data set is missing."""
        reference = open_reference(self.spark, self.s3, self.place, self.bucket, self.folder, self.names)
        found = reference.findings
        self.log_step(
            "referenceRead",
            rows_skipped=sum(found["referenceRowsSkipped"].values()),
            files_skipped=len(found["referenceFilesSkipped"]),
            quotes_open=len(found["referenceQuotesOpen"]),
            values_skipped=sum(value["rows"] for value in found["referenceValuesSkipped"]),
        )
        return reference

    def transform(self, reference: Dimensions, forgotten: Collection[str]) -> dict[str, Any]:
        """Reads, cleans, enriches and writes the batch, without the rows of forgotten listeners.

        Returns the report without its stamps.
        """
        required = column_names.accepted(COLUMNS, self.names)
        staging = stage(self.s3, self.bucket, f"{self.folder}streams/", self.manifest.files, required, pack=True)
        self.log_step(
            "staged", files=len(staging.tables), without_table=len(staging.quarantined), changed=len(staging.changed)
        )
        if refused := [found for found in staging.quarantined if found.reason == REFUSED]:
            log.warn("filesRefused", files=len(refused), first=refused[0].file.key, error=refused[0].detail)
        self._require_archived(staging.changed)
        streams = read_streams(self.spark, staging, self.manifest.claimed_at, self.multi_line, forgotten)
        reading = streams.reading
        self.log_step("read", rows=sum(reading.records.values()), rejected=reading.quarantined_total)

        curated = Curated(self.spark, self.s3, self.bucket, self.manifest.batch_id)
        keeping, rows, unknown = Keeping(), None, Observation("rows without reference data")
        if streams.listens is not None:
            placement = Placement(reading.by_day, self.spark.sparkContext.defaultParallelism)
            listens = self._distinct_listens(placement, streams.listens, reading, curated)
            keeping = count_kept(listens)
            rows = self._enriched(placement, listens, reference).observe(unknown, *unknown_counts())
        self.log_step("distinct", listens=sum(keeping.by_day.values()), days=len(keeping.by_day))

        days = curated.replace(rows, sorted(keeping.by_day))
        curated.replace_quarantined(self._quarantined_rows(streams), reading.quarantined_total)
        if keeping.by_day:
            keeping.unknown_tracks, keeping.unknown_users = unknown.get["tracks"], unknown.get["users"]
        self.log_step("written", rows=sum(keeping.by_day.values()))
        self._reconcile(reading, keeping, curated, days)
        return {
            **counts(staging.tables, reading, keeping),
            "filesQuarantined": files_quarantined(staging.quarantined, self.manifest.files),
            "filesChanged": [{"name": file.name, "key": file.key} for file in staging.changed],
            **reference.findings,
            "days": days,
        }

    @staticmethod
    def _require_archived(changed: Sequence[ManifestFile]) -> None:
        """Raises BatchError when a replay's file is gone or another one: the replay would delete its listens.

        A changed file among the incoming ones is no error: its producer deleted it, or a later batch reads it.
        """
        gone = [file.key for file in changed if not file.key.startswith(layout.key("incoming"))]
        if gone:
            raise BatchError(
                f"{gone[0]} in the archive changed after the replay was planned ({len(gone)} such files): "
                "restore it from the bucket's versions"
            )

    def _reconcile(self, reading: Reading, keeping: Keeping, curated: Curated, days: list[str]) -> None:
        """Counts the written rows. Raises ReconciliationError if they don't add up, before there is a report."""
        name = {file.key: file.name for file in self.manifest.files}
        quarantined: Counter[tuple[str, str]] = Counter()
        for (key, reason), rows in curated.count_quarantined().items():
            quarantined[name.get(key, f"{key}, not a file of this batch,"), str(reason)] += rows
        names = [file.name for file in self.manifest.files]
        require_reconciled(names, reading, keeping, curated.count_written(days), quarantined)
        self.log_step("reconciled", rows=sum(reading.records.values()))

    def _distinct_listens(self, placement: Placement, rows: DataFrame, reading: Reading, curated: Curated) -> DataFrame:
        """Returns each listen of the batch once, and whether another batch has it. Only keys are kept in memory."""
        once = distinct_listens(placement.place(rows)).persist()
        known = curated.known(reading)
        if known is None:
            return once.withColumn("elsewhere", F.lit(False))
        self.plan_for(known.bytes)
        if sum(reading.valid.values()) <= FEW_LISTENS:
            return marked(once, known.keys).persist()
        return in_order(placement.place(marked_by_shuffle(once, known.keys))).persist()

    def _enriched(self, placement: Placement, listens: DataFrame, reference: Dimensions) -> DataFrame:
        """Returns the curated rows, each in the task and in the order in which it is written."""
        kept = listens.where(~F.col("elsewhere"))
        rows = enriched(kept, reference.tracks, reference.users)
        # Joins with small tables leave rows in their task, and in order.
        return rows if reference.small else in_order(placement.place(rows)).drop("part")

    def _quarantined_rows(self, streams: Streams) -> DataFrame | None:
        if streams.quarantined is None:
            return None
        # One constant: a DataFrame of a list would start a process of Python.
        keys = F.from_json(F.lit(json.dumps([file.key for file in self.manifest.files])), "array<string>")
        return streams.quarantined.select(F.get(keys, F.col("file")).alias("key"), "reason", "raw")

    def remove_copies(self) -> None:
        """Deletes the copies. Copies that it can't delete expire by the bucket's lifecycle."""
        try:
            store.delete_below(self.s3, self.bucket, layout.key("staged", batchId=self.manifest.batch_id))
        except Exception as error:
            log.warn("copiesLeft", error=str(error))

    def log_step(self, event: str, **facts: int) -> None:
        """Logs a finished step, with the seconds since the one before."""
        now = time.monotonic()
        log.info(event, **facts, seconds=round(now - self.clock, 1))
        self.clock = now


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:
        message = " ".join(str(error).split())
        log.end_failed(error, f"{type(error).__name__}: {message[:1000]}")

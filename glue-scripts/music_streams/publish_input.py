"""What publish works on: the batch, its days, and the Parquet files that hold them. Runs under Python 3.9."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from music_streams import layout
from music_streams.batch import get_json


class PublishError(Exception):
    """Publish can't go on: the message says what was expected, what came, and what to do."""


@dataclass(frozen=True)
class ParquetFile:
    """One curated file, or one of the batch's `replaced` files (then without day and batch)."""

    key: str
    size: int
    date: str = ""
    batch_id: str = ""


@dataclass(frozen=True)
class Work:
    """One publish: the days to compute, and how the items are stamped. `days` are YYYY-MM-DD, sorted, distinct."""

    bucket: str
    table: str
    batch_id: str
    workflow_run_id: str
    days: tuple[str, ...]
    published_at: str


def days_to_publish(s3: Any, bucket: str, batch_id: str, workflow_run_id: str) -> tuple[str, ...]:
    """The days that transform.json names.

    Raises PublishError unless it is this batch's report, written by this workflow run: an older one may name other
    days.
    """
    key = layout.key("transformReport", batchId=batch_id)
    where = f"s3://{bucket}/{key}"
    report = get_json(s3, bucket, key)
    if report is None:
        raise PublishError(f"{where} does not exist: transform has not finished for this batch")
    if report.get("batchId") != batch_id:
        raise PublishError(f"{where} is the report of batch {report.get('batchId')}, not of {batch_id}")
    if report.get("workflowRunId") != workflow_run_id:
        raise PublishError(
            f"{where} was written by workflow run {report.get('workflowRunId')}, not by {workflow_run_id}: "
            "transform of this run has not finished, so its listens may not be complete"
        )
    days = report.get("days")
    if not isinstance(days, list) or not all(isinstance(day, str) and _DAY.fullmatch(day) for day in days):
        raise PublishError(f"{where} must hold `days`, a list of dates like 2024-06-25, not {days!r}")
    return tuple(sorted(set(days)))


def curated_files(s3: Any, bucket: str, day: str) -> list[ParquetFile]:
    """Every curated file of a day, of all batches."""
    prefix = layout.key("listensDay", date=day)
    files = []
    for key, size in _parquet_objects(s3, bucket, prefix):
        folder = _BATCH_FOLDER.match(key[len(prefix) :])
        if folder is None:
            raise PublishError(
                f"s3://{bucket}/{key} lies in no batch_id=... folder: curated data has been put there by hand"
            )
        files.append(ParquetFile(key, size, day, folder[1]))
    return files


def replaced_files(s3: Any, bucket: str, batch_id: str) -> list[ParquetFile]:
    """The files that tell which rows the batch once had and has no more."""
    prefix = layout.key("replaced", batchId=batch_id)
    return [ParquetFile(key, size) for key, size in _parquet_objects(s3, bucket, prefix)]


def check_replaced_days(found: Iterable[str], days: Iterable[str]) -> None:
    """Raises PublishError when a replaced row is of a day that is not to be published: its items would stay wrong."""
    missing = sorted(set(found) - set(days))
    if missing:
        raise PublishError(
            f"replaced rows are of {', '.join(missing[:5])}, which transform.json does not name among its days"
        )


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_BATCH_FOLDER = re.compile(r"batch_id=([A-Za-z0-9._-]+)/[^/]+$")


def _parquet_objects(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """Key and size of the Parquet files below a prefix.

    Passes over names that begin with `_` or `.` as Spark does: they are markers and unfinished output.
    """
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            parts = entry["Key"][len(prefix) :].split("/")
            if parts[-1].endswith(".parquet") and not any(part.startswith(("_", ".")) for part in parts):
                yield entry["Key"], int(entry["Size"])

"""The input of publish: the batch, its days, and their Parquet files. Runs under Python 3.9."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from music_streams import layout
from music_streams.batch import get_json


class PublishError(Exception):
    """Publish can't continue. The message says what was expected, what was found, and what to do."""


@dataclass(frozen=True)
class ParquetFile:
    """One curated file, or one of the batch's `replaced` files, which has no date and batch_id."""

    key: str
    size: int
    date: str = ""
    batch_id: str = ""
    etag: str = ""


@dataclass(frozen=True)
class Work:
    """One publish: the days to compute, and the stamps of the items. `days` are YYYY-MM-DD, sorted, distinct."""

    bucket: str
    table: str
    batch_id: str
    workflow_run_id: str
    days: tuple[str, ...]
    published_at: str


def days_to_publish(s3: Any, bucket: str, batch_id: str, workflow_run_id: str) -> tuple[str, ...]:
    """Returns the days from transform's report.

    Raises PublishError unless this workflow run wrote it for this batch: an older report may name other days.
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
            "this run's transform has not finished, so listens may be missing"
        )
    days = report.get("days")
    if not isinstance(days, list) or not all(isinstance(day, str) and _DAY.fullmatch(day) for day in days):
        raise PublishError(f"{where} must hold `days`, a list of dates like 2024-06-25, not {days!r}")
    return tuple(sorted(set(days)))


def curated_files(s3: Any, bucket: str, day: str) -> list[ParquetFile]:
    """Lists the curated files of a day, of all batches."""
    prefix = layout.key("listensDay", date=day)
    files = []
    for key, size, etag in _parquet_objects(s3, bucket, prefix):
        folder = _BATCH_FOLDER.match(key[len(prefix) :])
        if folder is None:
            raise PublishError(
                f"s3://{bucket}/{key} is in no batch_id=... folder: only transform may write here, so move it elsewhere"
            )
        files.append(ParquetFile(key, size, day, folder[1], etag))
    return files


def replaced_files(s3: Any, bucket: str, batch_id: str) -> list[ParquetFile]:
    """Lists the files with the groups of rows that the batch had once and has no longer."""
    prefix = layout.key("replaced", batchId=batch_id)
    return [ParquetFile(key, size, etag=etag) for key, size, etag in _parquet_objects(s3, bucket, prefix)]


def check_replaced_days(found: Iterable[str], days: Iterable[str]) -> None:
    """Raises PublishError when a replaced row is of a day that is not published: its items would stay wrong."""
    missing = sorted(set(found) - set(days))
    if missing:
        raise PublishError(
            f"there are replaced rows of {', '.join(missing[:5])}, but transform.json does not name these days"
        )


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_BATCH_FOLDER = re.compile(r"batch_id=([A-Za-z0-9._-]+)/[^/]+$")


def _parquet_objects(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int, str]]:
    """Yields key, size and ETag of the Parquet files below a prefix.

    Skips names that begin with `_` or `.`, as Spark does: they are markers and unfinished output.
    """
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            parts = entry["Key"][len(prefix) :].split("/")
            if parts[-1].endswith(".parquet") and not any(part.startswith(("_", ".")) for part in parts):
                yield entry["Key"], int(entry["Size"]), str(entry["ETag"])

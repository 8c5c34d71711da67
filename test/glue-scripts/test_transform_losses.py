"""A batch that lost or doubled rows fails, and a job that fails says why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import Lake, csv

import transform
from music_streams import layout, lines
from music_streams.batch import BatchError
from music_streams.curated import Curated
from music_streams.reference_copy import Dimensions
from music_streams.report import ReconciliationError
from spark_support import FULL

Lose = Callable[[Lake, str, pytest.MonkeyPatch], None]


def after(owner: Any, name: str, more: Callable[[Any], Any]) -> Lose:
    """Passes the result of `name` through `more`."""

    def plant(_: Lake, __: str, monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments: more(real(*arguments)))

    return plant


def with_files(change: Callable[[Lake, str], Any], entry: str, **parts: str) -> Lose:
    """Changes the batch's first file of a layout entry after the last one is written."""

    def plant(lake: Lake, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Curated.replace_quarantined

        def change_one(*arguments: Any) -> None:
            real(*arguments)
            change(lake, lake.keys(layout.key(entry, batchId=batch, **parts))[0])

        monkeypatch.setattr(Curated, "replace_quarantined", change_one)

    return plant


def doubled_user(found: Dimensions) -> Dimensions:
    return replace(found, users=found.users.unionAll(found.users.where("user_id = 'u1'")))


def delete(lake: Lake, key: str) -> None:
    lake.s3.delete_object(Bucket=lake.bucket, Key=key)


def double(lake: Lake, key: str) -> None:
    folder, name = key.rsplit("/", 1)
    lake.s3.copy_object(Bucket=lake.bucket, Key=f"{folder}/part-again-{name}", CopySource=f"{lake.bucket}/{key}")


LOSSES: dict[str, tuple[Lose, str]] = {
    "a curated file is gone": (
        with_files(delete, "listensBatch", date="2024-06-25"),
        r"0 curated rows of 2024-06-25, but 2 kept$",
    ),
    "a curated file is there twice": (
        with_files(double, "listensBatch", date="2024-06-26"),
        r"2 curated rows of 2024-06-26, but 1 kept$",
    ),
    "a listen is dropped with the duplicates": (
        after(transform, "distinct_listens", lambda listens: listens.where("user_id != 'u1'")),
        r"3 rows accounted for \(2 kept, 1 duplicates of these, 0 of other batches' rows\), but 4 valid$",
    ),
    "a listen is doubled by the reference data": (
        after(transform, "open_reference", doubled_user),
        r"3 curated rows of 2024-06-25, but 2 kept$",
    ),
    "a kept listen is not written": (
        after(transform, "enriched", lambda rows: rows.where("user_id != 'u1'")),
        r"1 curated rows of 2024-06-25, but 2 kept$",
    ),
    "a quarantined row is not written": (
        after(transform.Job, "_quarantined_rows", lambda rows: rows.where("reason != 'bad_id'")),
        r"0 quarantined rows of a\.csv \(bad_id\), but 1 read$",
    ),
    "a file of quarantined rows is there twice": (
        with_files(double, "quarantinedRows"),
        r"2 quarantined rows of a\.csv \(bad_id\), but 1 read; 4 quarantined rows .* \(malformed_row\), but 2 read$",
    ),
    "a row is read and not judged": (
        after(lines, "count_rows", lambda reading: replace(reading, quarantined={})),
        r"4 rows of a\.csv judged, but 7 read$",
    ),
}


# Losses that don't hide each other come together, to save runs. `npm run test:all` has each alone.
TOGETHER = [
    ("a curated file is gone", "a curated file is there twice", "a file of quarantined rows is there twice"),
    ("a listen is dropped with the duplicates", "a quarantined row is not written"),
    ("a listen is doubled by the reference data", "a row is read and not judged"),
    ("a kept listen is not written",),
]
PLANTED = [(loss,) for loss in LOSSES] if FULL else TOGETHER
assert sorted(loss for losses in TOGETHER for loss in losses) == sorted(LOSSES)


@pytest.fixture(scope="module")
def claimed(s3: Any, spark: SparkSession) -> tuple[Lake, str]:
    """A batch that every loss befalls in turn."""
    rows = ["u0,t0,2024-06-25 10:00:00", "u0,t0,2024-06-25 10:00:00", "u1,t0,2024-06-25 10:00:00"]
    rows += ["u2,t1,2024-06-26 10:00:00", "bad", "worse", "u 1,t1,2024-06-25 10:00:00"]
    lake = Lake(s3, spark)
    return lake, lake.claim({"a.csv": csv(*rows)})


def lose(lake: Lake, batch: str, losses: tuple[str, ...]) -> None:
    """Runs the batch with losses: it fails, after it has said that it reads, and without a report."""
    lake.s3.delete_object(Bucket=lake.bucket, Key=layout.key("readingMarker", batchId=batch))
    with pytest.MonkeyPatch.context() as patched:
        for loss in losses:
            LOSSES[loss][0](lake, batch, patched)
        with pytest.raises(ReconciliationError, match=r"^the batch does not add up: ") as failed:
            lake.transform(batch)
    said = str(failed.value).removeprefix("the batch does not add up: ")
    for loss in losses:
        message = LOSSES[loss][1]
        # Alone, a loss says that and no more.
        assert re.search(f"^{message}" if len(losses) == 1 else message.removesuffix("$"), said), said
    assert lake.json("readingMarker", batch) == {"workflowRunId": f"wr_{lake.runs}"}
    assert lake.json("transformReport", batch) is None


def succeed(lake: Lake, batch: str) -> None:
    """Runs the batch without a loss: all its rows are there, once."""
    report = lake.transform(batch)
    assert (report["rowsKept"], report["rowsDuplicate"], len(lake.quarantined_rows(batch))) == (3, 1, 3)
    assert len(lake.curated(batch)) == 3
    lake.s3.delete_object(Bucket=lake.bucket, Key=layout.key("transformReport", batchId=batch))


@pytest.mark.grows
@pytest.mark.parametrize("losses", PLANTED, ids=" and ".join)
def test_a_batch_that_does_not_add_up_fails_without_report_and_succeeds_in_a_later_attempt(
    claimed: tuple[Lake, str], losses: tuple[str, ...]
) -> None:
    lose(*claimed, losses)
    if FULL or losses == PLANTED[0]:
        succeed(*claimed)


def test_a_batch_without_manifest_fails_with_what_is_wrong(s3: Any, spark: SparkSession) -> None:
    with pytest.raises(BatchError, match="does not exist"):
        Lake(s3, spark).transform("20240625T000000Z-nomanife")


def test_a_job_that_fails_says_why_in_its_last_line_and_exits_with_an_error(endpoint: str) -> None:
    script = Path(transform.__file__)
    arguments = ["--bucket", "none", "--reference-location", "s3://none/", "--ledger-table", "none"]
    arguments += ["--WORKFLOW_NAME", "none", "--WORKFLOW_RUN_ID", "wr_1", "--job-language", "python"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ERROR: ")
    assert "GetWorkflowRunProperties" in last
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["job"], line["event"], line["workflow_run_id"]) == ("transform", "jobFailed", "wr_1")
    assert last == f"ERROR: {line['error']}"

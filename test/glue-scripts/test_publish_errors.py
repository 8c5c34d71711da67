"""The publish job when it can't publish: it stops, writes nothing, and says what to do."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from publish_support import DAY, NEXT_DAY, Lake, Row

from music_streams import layout, publish_duckdb
from music_streams.batch import put_json
from music_streams.publish_input import ParquetFile, PublishError, curated_files

FIRST = "20240625T100000Z-aaaaaaaa"
SECOND = "20240625T110000Z-bbbbbbbb"


@pytest.fixture
def lake(s3: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return Lake(s3, dynamodb, monkeypatch)


def machine(lake: Lake, tmp_path: Path, **limits: int) -> Any:
    return publish_duckdb.Machine(
        **{"memory_bytes": 2**30, "disk_bytes": 2**30, "threads": 1, **limits}, folder=str(tmp_path)
    )


@pytest.mark.parametrize("limits", [{"memory_bytes": 1000, "disk_bytes": 30_000}, {"disk_bytes": 1000}])
def test_a_day_beyond_the_machine_stops_early_and_names_the_setting(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    days = lake.curate(FIRST, [Row(f"user{n}", f"track{n}") for n in range(500)])
    small = machine(lake, tmp_path, **limits)
    monkeypatch.setattr(publish_duckdb.Machine, "here", lambda: small)
    with pytest.raises(
        PublishError, match=r"2024-06-25 has .* MB of Parquet, too large for this machine .*publishEngine: spark"
    ):
        lake.publish(FIRST, days)
    assert lake.items() == []


def test_an_error_of_running_out_of_memory_names_the_setting(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate")

    days = lake.curate(FIRST, [Row("u1", "t1")])
    monkeypatch.setattr(publish_duckdb, "prepare", run_out)
    with pytest.raises(PublishError, match="publishEngine: spark"):
        lake.publish(FIRST, days)


def test_a_file_that_changes_after_it_was_listed_fails_the_attempt(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    days = lake.curate(FIRST, [Row("u1", "t1")])

    def changed(*where: Any) -> list[ParquetFile]:
        return [replace(file, etag='"another"') for file in curated_files(*where)]

    monkeypatch.setattr(publish_duckdb, "curated_files", changed)
    with pytest.raises(PublishError, match=rf"{layout.key('listensDay', date=DAY)}\S+ changed meanwhile"):
        lake.publish(FIRST, days)
    assert lake.items() == []


def test_a_stale_or_absent_transform_report_is_refused(lake: Lake) -> None:
    key = layout.key("transformReport", batchId=FIRST)
    with pytest.raises(PublishError, match="does not exist"):
        lake.run_job(FIRST, "wr_new")
    put_json(lake.s3, lake.bucket, key, {"batchId": FIRST, "workflowRunId": "wr_old", "days": [DAY]})
    with pytest.raises(PublishError, match="written by workflow run wr_old, not by wr_new"):
        lake.run_job(FIRST, "wr_new")
    put_json(lake.s3, lake.bucket, key, {"batchId": SECOND, "workflowRunId": "wr_new", "days": [DAY]})
    with pytest.raises(PublishError, match=f"of batch {SECOND}"):
        lake.run_job(FIRST, "wr_new")
    for days in (None, "2024-06-25", ["2024-6-25"], [20240625]):
        put_json(lake.s3, lake.bucket, key, {"batchId": FIRST, "workflowRunId": "wr_new", "days": days})
        with pytest.raises(PublishError, match="list of dates"):
            lake.run_job(FIRST, "wr_new")
    assert lake.keys(layout.key("publishReport", batchId=FIRST)) == []


def test_replaced_rows_of_a_day_that_is_not_published_are_an_error(lake: Lake) -> None:
    lake.replaced(FIRST, [Row("u1", "t1", f"{NEXT_DAY} 10:00:00")])
    with pytest.raises(PublishError, match=NEXT_DAY):
        lake.publish(FIRST, lake.curate(FIRST, [Row("u1", "t1")]))


def test_a_failure_ends_in_a_traceback_one_line_and_a_code_above_zero(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--bucket",
        "no-such-bucket",
        "--ledger-table",
        "l",
        "--metrics-table",
        "m",
        "--WORKFLOW_NAME",
        "w",
        "--WORKFLOW_RUN_ID",
        "wr_1",
    ]
    monkeypatch.setattr(sys, "argv", ["publish.py", *arguments])
    monkeypatch.setattr("music_streams.fence.batch_in_turn", lambda *_: FIRST)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(__file__).parents[2] / "glue-scripts" / "publish.py"), run_name="__main__")
    told = capsys.readouterr()
    lines = told.err.strip().splitlines()
    failed = json.loads(told.out.splitlines()[-1])
    assert (failed["event"], failed["workflow_run_id"]) == ("jobFailed", "wr_1")
    # Python writes a text below the traceback and exits with 1.
    assert ended.value.code == f"ERROR: {failed['error']}"
    assert lines[0].startswith("Traceback")
    assert "NoSuchBucket" in failed["error"]

"""What transform says while it writes for long."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import Lake, csv

from music_streams import log, placement, progress

DAYS = [str(date(2023, 1, 1) + timedelta(days=n)) for n in range(30)]
# Seconds after which a test that waits has failed.
LONGEST = 60


def wait_until(happened: Callable[[], bool]) -> None:
    """Waits until this is so, and fails when it takes too long."""
    limit = time.monotonic() + LONGEST
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.01)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines about progress so far."""
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line for line in logged if line["event"] == "writing"]


def test_a_long_write_says_how_far_it_is(
    s3: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0.05)
    # Five tasks, of six days each.
    monkeypatch.setattr(placement, "FEWEST_ROWS", 61_000)
    monkeypatch.setattr(placement, "TASKS_A_CORE", 6)
    log.start("transform")
    report = Lake(s3, spark).run({"long.csv": csv(*[f"u1,t1,{day} 10:00:00" for day in DAYS])})
    assert report["days"] == DAYS
    found = lines(capsys)
    assert found
    assert all(line["days"] == len(DAYS) and line["seconds"] > 0 for line in found)
    assert not [line for line in found if "unknown" in line]
    writing = [line["tasks"].split(" of ") for line in found if line.get("tasks", "").endswith(" of 5")]
    assert writing
    done = [int(tasks) for tasks, _ in writing]
    assert done == sorted(done)


def test_progress_counts_the_tasks_that_ended(spark: SparkSession, tmp_path: Path) -> None:
    def task(number: int) -> None:
        # Spark's Python knows no function of this module.
        limit = time.monotonic() + LONGEST
        while not (tmp_path / str(number)).exists() and time.monotonic() < limit:
            time.sleep(0.01)

    def says(tasks: str) -> bool:
        assert not stage.done()
        return progress.tasks_so_far(spark) == {"tasks": tasks}

    wait_until(lambda: progress.tasks_so_far(spark) == {})
    with ThreadPoolExecutor() as pool:
        stage = pool.submit(spark.sparkContext.parallelize(range(2), 2).foreach, task)
        for ended in range(2):
            wait_until(partial(says, f"{ended} of 2"))
            # A change within 100 ms of the one before is only noted with the next heartbeat, ten seconds later.
            time.sleep(0.2)
            (tmp_path / str(ended)).touch()
        stage.result(LONGEST)
    wait_until(lambda: progress.tasks_so_far(spark) == {})


def test_a_write_goes_on_although_nobody_can_say_how_far_it_is(
    s3: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0.05)
    monkeypatch.setattr(progress, "tasks_so_far", refuse)
    log.start("transform")
    lake = Lake(s3, spark)
    lake.run({"long.csv": csv(*[f"u1,t1,{day} 10:00:00" for day in DAYS[:5]])})
    assert len(lake.curated()) == 5
    found = lines(capsys)
    assert found
    assert {line["unknown"] for line in found} == {"PermissionError: AccessDenied"}


def test_a_step_waits_for_no_look_and_logs_nothing_after_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looking, answered = threading.Event(), threading.Event()

    def look() -> dict[str, Any]:
        looking.set()
        answered.wait(60)
        return {}

    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0.01)
    log.start("transform")
    began = time.monotonic()
    with progress.logged("writing", look):
        assert looking.wait(30)
    assert time.monotonic() - began < 40
    answered.set()
    (thread,) = [one for one in threading.enumerate() if one.name == "progress of writing"] or [threading.Thread()]
    if thread.ident:
        thread.join(30)
    assert lines(capsys) == []


def test_an_error_of_the_step_is_not_hidden_and_a_missing_thread_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    log.start("transform")
    with pytest.raises(KeyError), progress.logged("writing", dict):
        raise KeyError
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with progress.logged("writing", dict):
        pass
    assert [line["unknown"] for line in lines(capsys)] == ["can't start new thread"]

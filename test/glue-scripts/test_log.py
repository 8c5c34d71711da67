"""Logs of the jobs: one JSON object per line, with the ids that find the lines of a batch."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import pytest

from music_streams import log


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_line_has_its_time_its_facts_and_the_ids_that_are_bound_so_far(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.start("transform", workflow_run_id="wr_1", job_run_id=None)
    log.info("read", rows=3)
    log.bind(batch_id="b1")
    log.warn("copiesLeft", error="two\nlines", when=datetime(2024, 6, 25))
    first, second = lines(capsys.readouterr().out)
    for line in (first, second):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert first == {"level": "INFO", "job": "transform", "workflow_run_id": "wr_1", "event": "read", "rows": 3}
    assert second == {
        "level": "WARN",
        "job": "transform",
        "workflow_run_id": "wr_1",
        "batch_id": "b1",
        "event": "copiesLeft",
        "error": "two\nlines",
        "when": "2024-06-25 00:00:00",
    }


def test_a_second_start_drops_the_first_and_writes_no_line_twice(capsys: pytest.CaptureFixture[str]) -> None:
    log.start("transform", batch_id="b1")
    log.start("publish")
    log.info("done")
    (line,) = lines(capsys.readouterr().out)
    assert (line["job"], line.get("batch_id")) == ("publish", None)


def test_a_failure_is_a_line_with_its_stack_and_a_traceback_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        try:
            raise ValueError("no\nroom")
        except ValueError as error:
            log.end_failed(error, "no room")

    log.start("publish", batch_id="b1")
    with pytest.raises(SystemExit) as ended:
        fail()
    told = capsys.readouterr()
    (line,) = lines(told.out)
    assert (line["level"], line["event"], line["batch_id"], line["error"]) == ("ERROR", "jobFailed", "b1", "no room")
    assert "ValueError: no\nroom" in line["stack"]
    assert told.err.startswith("Traceback (most recent call last):\n")
    assert told.err.endswith("\nValueError: no\nroom\n")
    assert ended.value.code == "ERROR: no room"


def test_times_are_in_utc_and_milliseconds() -> None:
    assert log.iso(datetime(2024, 6, 25, 1, 2, 3, 4567, tzinfo=timezone.utc)) == "2024-06-25T01:02:03.004Z"

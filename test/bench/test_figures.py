"""From Spark's event log to the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import page
from cases import CASES
from event_log import Stage, read_stages
from outputs import OutputError, require_equal
from results import ROOT, Figure, Result, newest, read
from targets import BASELINES, verdicts

MACHINE = {
    **{"cpu": "A CPU", "cores": 2, "memoryGb": 8, "system": "Linux", "spark": "4.1.1", "duckdb": "1.4.5"},
    **{"python": "3.11.0", "loadBefore": 0.1},
}
STAGE = {"name": "parquet at <unknown>:0", "tasks": 1, "seconds": 3.0, "longest": 2.9, "spilled": 0}


def figure(program: str, seconds: list[float], task: str = "1 M listens, 1 file", case: str = "transform") -> Figure:
    return Figure(case, task, program, seconds, [3.0] * len(seconds), [900] * len(seconds))


def result(*figures: Figure, date: str = "2026-01-02T00:00:00+00:00", quick: bool = False) -> Result:
    return Result("abc1234", date, quick, MACHINE, list(figures))


def task_end(stage: int, launched: int, finished: int, spilled: int = 0) -> dict[str, object]:
    metrics = {"Memory Bytes Spilled": spilled, "Disk Bytes Spilled": 0}
    info = {"Launch Time": launched, "Finish Time": finished}
    return {"Event": "SparkListenerTaskEnd", "Stage ID": stage, "Task Info": info, "Task Metrics": metrics}


def test_stages_come_with_their_tasks(tmp_path: Path) -> None:
    completed = {
        "Stage ID": 0,
        "Stage Name": f"count at {ROOT}/bench/a.py:1",
        "Submission Time": 1000,
        "Completion Time": 3500,
    }
    events = [
        {"Event": "SparkListenerApplicationStart"},
        task_end(0, 1000, 2000),
        task_end(0, 1000, 3400, spilled=5),
        task_end(1, 1000, 9000),
        {"Event": "SparkListenerStageCompleted", "Stage Info": completed},
    ]
    log = tmp_path / "eventlog_v2_local-1"
    log.mkdir()
    (log / "appstatus_local-1").write_text("")
    (log / "events_1_local-1").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert read_stages(tmp_path) == [Stage("count at bench/a.py:1", 2, 2.5, 2.4, 5)]


def test_the_median_counts() -> None:
    assert figure("transform", [5.0, 1.0, 2.0]).median == 2.0


def test_transform_is_compared_with_each_baseline_of_its_task() -> None:
    others = [figure(name, [10.0]) for name in BASELINES]
    found = list(verdicts("transform", [figure("transform", [6.0]), *others, figure("DuckDB", [1.0], "another")]))
    assert [(one.value, one.limit, one.met) for one in found] == [(0.6, 0.8, True), (0.6, 0.5, False), (0.6, 5.5, True)]


def test_two_slots_are_compared_with_one_and_a_lone_task_shows() -> None:
    one, two, four = (figure("transform", [value], f"local[{value}]", "scaling") for value in (9.0, 6.0, 6.3))
    found = list(verdicts("scaling", [one, replace(two, stages=[STAGE, {**STAGE, "tasks": 2, "seconds": 9.0}]), four]))
    assert [(round(one.value, 2), one.met) for one in found] == [(0.67, True), (1.05, True), (3.0, False)]


def test_a_batch_is_compared_with_the_smallest_day_and_the_smallest_lake() -> None:
    tasks = {
        "into a day of 0.1 M": 8.0,
        "into a day of 20 M": 13.0,
        "into a lake of 1 days": 8.0,
        "into a lake of 9": 8.1,
    }
    programs = ("transform", "publish")
    figures = [figure(program, [value], task, "growth") for program in programs for task, value in tasks.items()]
    assert [(one.limit, one.met) for one in verdicts("growth", figures)] == [
        (1.5, False),
        (1.1, True),
        (3.0, True),
        (1.1, True),
    ]


def test_many_files_are_compared_with_one() -> None:
    figures = [figure("transform", [value], f"{value}", "small-files") for value in (5.0, 9.0, 6.0, 13.0)]
    assert [one.met for one in verdicts("small-files", figures)] == [True, False]


def test_what_a_person_waits_for_has_limits_in_seconds() -> None:
    figures = [
        figure("npm start", [14.1], "to metrics", "local-loop"),
        figure("drop --wait", [6.0], "a file", "local-loop"),
    ]
    assert [one.met for one in verdicts("local-loop", figures)] == [False, True]


def test_a_lambda_has_limits_of_size_and_time() -> None:
    sense = replace(figure("sense", [0.6], "loading", "lambdas"), output_mb=0.9)
    assert [(one.unit, one.met) for one in verdicts("lambdas", [sense])] == [("MB", True), ("s", False)]


def test_days_and_spills_have_limits_of_their_own() -> None:
    days, spills = figure("transform", [61.0], "days", "days"), replace(figure("transform", [1.0]), spilled_mb=1)
    assert [one.met for one in verdicts("days", [days])] == [False]
    assert [one.met for one in verdicts("memory", [spills, replace(spills, spilled_mb=0)])] == [False, True]


def test_a_saved_result_is_read_as_it_was(tmp_path: Path) -> None:
    saved = result(replace(figure("transform", [1.0, 2.0, 3.0]), stages=[STAGE]), figure("DuckDB", [1.0]))
    file = saved.save(tmp_path)
    assert file.name == "2026-01-02-abc1234-transform.json"
    assert read(file) == saved


def test_the_newest_full_result_of_each_case_counts() -> None:
    old, new = (result(figure("transform", [1.0]), date=f"2026-01-0{day}") for day in (1, 2))
    quick = result(figure("transform", [1.0]), date="2026-01-03", quick=True)
    days = result(figure("transform", [1.0], case="days"), date="2026-01-01", quick=True)
    assert newest([quick, new, days, old]) == {"transform": new, "days": days}


def test_the_page_has_each_figure_and_names_what_is_missing(tmp_path: Path) -> None:
    ours = replace(figure("transform", [6.0, 7.0, 8.0]), stages=[STAGE, {**STAGE, "seconds": 0.01}])
    page.write([result(ours, figure("naive Spark", [14.0]))], tmp_path)
    text = (tmp_path / "performance.md").read_text()
    assert "| transform, 1 M listens, 1 file | 7.0 s | naive Spark: 14.0 s | 0.50 | 0.80 | yes |" in text
    assert "| 1 M listens, 1 file | transform | 7.0 s | 6.0, 7.0, 8.0 | 3.0 s | 900 MB | 0 MB | 0 |  |" in text
    assert text.count("| parquet | 1 | 3.0 s | 2.9 s | 38 % |") == 1
    missing = ", ".join(f"`{case}`" for case in CASES if case != "transform")
    assert f"No result is kept for {missing}." in text
    drawn = ElementTree.parse(tmp_path / "performance-transform.svg").getroot()
    lengths = [float(bar.get("width", "0")) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert lengths == [190.0, 380.0]


def test_the_page_shows_a_figure_by_commit_once_there_are_two() -> None:
    slow = result(figure("transform", [14.0]), figure("naive Spark", [14.0]), date="2026-01-01T00:00:00+00:00")
    fast = result(figure("transform", [7.0]), figure("naive Spark", [14.0]))
    assert "By commit" not in page.page([fast])
    rows = [line for line in page.page([fast, slow]).splitlines() if line.startswith("| 2026-")]
    assert [row.split(" | ")[-1] for row in rows] == ["1.00 |", "0.50 |"]


def test_outputs_that_differ_end_the_benchmark() -> None:
    require_equal("the output", [(1, "a")], [(1, "a")])
    with pytest.raises(OutputError, match=r"the output differs: found \(2, 'b'\), expected \(2, 'c'\)"):
        require_equal("the output", [(1, "a"), (2, "b")], [(1, "a"), (2, "c")])
    with pytest.raises(OutputError, match="found 1 rows, expected 2"):
        require_equal("the output", [1], [1, 2])
    with pytest.raises(OutputError, match="found 99, expected 100"):
        require_equal("the number of rows", 99, 100)


def test_the_command_and_the_page_know_every_case() -> None:
    offered = re.search(r"const cases.*?\n};", (ROOT / "bench" / "run.ts").read_text(), re.DOTALL)
    assert offered is not None
    assert re.findall(r'^  "?([a-z-]+)"?:', offered[0], re.MULTILINE) == list(CASES) == list(page.TITLES)

"""Stages of a Spark application, out of its event log."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import ROOT


@dataclass(frozen=True)
class Stage:
    """A stage that was completed. `longest` is its longest task's time; `spilled` is in bytes, memory and disk."""

    name: str
    tasks: int
    seconds: float
    longest: float
    spilled: int


def read_stages(folder: Path) -> list[Stage]:
    """Reads the log below the folder that `spark.eventLog.dir` names, in the order in which stages ended."""
    files = sorted(folder.rglob("events_*"))
    return list(stages_of(event for file in files for event in _events(file)))


def _events(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def stages_of(events: Iterable[dict[str, Any]]) -> Iterator[Stage]:
    """Yields the stages of these events."""
    times: dict[int, list[float]] = defaultdict(list)
    spilled: dict[int, int] = defaultdict(int)
    for event in events:
        if event["Event"] == "SparkListenerTaskEnd":
            info, metrics = event["Task Info"], event.get("Task Metrics") or {}
            times[event["Stage ID"]].append((info["Finish Time"] - info["Launch Time"]) / 1000)
            spilled[event["Stage ID"]] += metrics.get("Memory Bytes Spilled", 0) + metrics.get("Disk Bytes Spilled", 0)
        elif event["Event"] == "SparkListenerStageCompleted":
            info = event["Stage Info"]
            took = times[info["Stage ID"]]
            seconds = (info["Completion Time"] - info["Submission Time"]) / 1000
            # The name has the path of the line that asked for the stage.
            name = info["Stage Name"].replace(f"{ROOT}/", "")
            yield Stage(name, len(took), seconds, max(took, default=0.0), spilled[info["Stage ID"]])

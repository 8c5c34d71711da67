"""Figures of a run of the benchmarks, and the files that keep them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyspark

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


@dataclass(frozen=True)
class Figure:
    """What one program took for one task, in each round. `stages` are those of the last round."""

    case: str
    task: str
    program: str
    seconds: list[float]
    start_seconds: list[float]
    peak_mb: list[int]
    spilled_mb: int = 0
    # Of the last round: calls of S3 and DynamoDB, items that publish wrote, Parquet that transform wrote.
    requests: int = 0
    items: int = 0
    files: int = 0
    output_mb: float = 0
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Result:
    """One run of the benchmarks."""

    commit: str
    date: str
    quick: bool
    machine: dict[str, Any]
    figures: list[Figure]

    def save(self, folder: Path = RESULTS) -> Path:
        """Writes the result to a file that is named by date and commit."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.date[:10]}-{self.commit}{'-quick' if self.quick else ''}-{self.cases()}.json"
        file = folder / name
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return file

    def cases(self) -> str:
        """The names of the cases, as part of a file's name."""
        return "+".join(dict.fromkeys(figure.case for figure in self.figures))


def read(file: Path) -> Result:
    """Reads a saved result."""
    document = json.loads(file.read_text(encoding="utf-8"))
    return Result(**{**document, "figures": [Figure(**figure) for figure in document["figures"]]})


def newest(results: Iterable[Result]) -> dict[str, Result]:
    """Returns the newest result of each case. A full one counts before a quick one."""
    chosen: dict[str, Result] = {}
    for result in sorted(results, key=lambda one: (not one.quick, one.date)):
        for case in {figure.case for figure in result.figures}:
            chosen[case] = result
    return chosen


def commit() -> str:
    """The commit of the working tree. It ends with "-changed" when files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short=7", "HEAD") + ("-changed" if git("status", "--porcelain", "glue-scripts") else "")


def now() -> str:
    """The time in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memoryGb": round(memory),
        "system": platform.system(),
        "spark": pyspark.__version__,
        "duckdb": duckdb.__version__,
        "python": platform.python_version(),
        # Above about 1, something else took part of the time.
        "loadBefore": round(os.getloadavg()[0], 2),
    }

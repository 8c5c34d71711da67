"""Runs a measured program as a process of its own: Spark by spark-submit, everything else by Python."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pyspark

from event_log import Stage, read_stages
from marks import REQUESTS
from spark_support import spark_environment, spark_settings

ROOT = Path(__file__).resolve().parents[1]
# The same for transform and all baselines. Both of Java's compilers run, as on AWS.
JAVA_OPTIONS = "-XX:+UseSerialGC"
HEAP = "2g"
LONGEST_SECONDS = 1800


@dataclass(frozen=True)
class Run:
    """One run. `seconds` counts from the open session to the end of the work, `start_seconds` is all before."""

    seconds: float
    start_seconds: float
    # Of the largest process: Spark's JVM, or Python.
    peak_mb: int
    # Calls of S3 and DynamoDB.
    requests: int
    stages: tuple[Stage, ...]
    facts: dict[str, Any]


class ProgramError(Exception):
    """A measured program failed. The message ends with the end of its output."""


@dataclass(frozen=True)
class Programs:
    """Runs programs against an S3 endpoint."""

    endpoint: str
    folder: Path

    def spark(self, script: str, *arguments: str, slots: int = 2) -> Run:
        """Runs a Spark script of this room with so many task slots."""
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        events = scratch / "events"
        events.mkdir()
        settings = {
            **spark_settings(self.endpoint, scratch),
            "spark.driver.extraJavaOptions": JAVA_OPTIONS,
            "spark.sql.session.timeZone": "UTC",
            "spark.log.level": "ERROR",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "true",
            "spark.eventLog.dir": events.as_uri(),
        }
        submit = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
        confs = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        command = [submit, "--master", f"local[{slots}]", "--driver-memory", HEAP, *confs]
        environment = {**spark_environment(), "PYSPARK_DRIVER_PYTHON": sys.executable}
        try:
            run = self._run([*command, str(ROOT / "bench" / script), *arguments], environment, scratch)
            return replace(run, stages=tuple(read_stages(events)))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def python(self, script: str, *arguments: str, slots: int = 2) -> Run:
        """Runs a Python script of this room with so many threads."""
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            environment = {"BENCH_SLOTS": str(slots), "TMPDIR": str(scratch)}
            return self._run([sys.executable, str(ROOT / "bench" / script), *arguments], environment, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, command: list[str], environment: dict[str, str], scratch: Path) -> Run:
        output = scratch / "output"
        requests, started = self._requests(), time.time()
        with output.open("wb") as out:
            code, peak_mb = run_apart(command, {**os.environ, **environment}, scratch, out)
        text = output.read_text(encoding="utf-8", errors="replace")
        marks = {line["mark"]: line for line in _json_lines(text) if "mark" in line}
        if code != 0 or "opened" not in marks or "done" not in marks:
            raise ProgramError(f"{' '.join(command[-4:])} ended with {code}:\n{text[-3000:]}")
        opened, done = marks["opened"]["at"], marks["done"]["at"]
        facts = {name: value for name, value in marks["done"].items() if name not in ("mark", "at")}
        times = round(done - opened, 2), round(opened - started, 2)
        return Run(*times, peak_mb, self._requests() - requests, (), facts)

    def _requests(self) -> int:
        with urllib.request.urlopen(f"{self.endpoint}{REQUESTS}", timeout=60) as answer:
            return int(answer.read())


def _json_lines(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def run_apart(command: list[str], environment: dict[str, str], folder: Path, out: IO[bytes]) -> tuple[int, int]:
    """Runs a program in a folder. Returns its exit code, and the peak memory of its largest process in MB."""
    with tempfile.TemporaryDirectory() as own:
        file = Path(own, "peak.json")
        starter = [sys.executable, "-S", str(ROOT / "bench" / "peak.py"), str(file)]
        process = subprocess.Popen(
            [*starter, *command],
            env=environment,
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        limit = threading.Timer(LONGEST_SECONDS, lambda: os.killpg(process.pid, signal.SIGKILL))
        limit.start()
        try:
            process.wait()
        finally:
            limit.cancel()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if not file.exists():
            return process.returncode, 0
        ended = json.loads(file.read_text(encoding="utf-8"))
    return ended["code"], ended["peak_mb"]

"""One run over every kind of bad file, at full count in a process of its own with little memory."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bad_input
import pyspark
import pytest
from bad_input import CLAIMED_AT, MB, Case
from pyspark.sql import SparkSession
from tables import create_ledger, put_batch
from transform_support import Lake, incoming, listen_keys, reconcile

import oracle
import transform
from spark_support import FULL, QUICK, spark_environment, spark_settings

pytestmark = pytest.mark.grows

Judged = dict[str, tuple[oracle.FileOutcome, set[oracle.Listen]]]

CLAIM = datetime.fromisoformat(CLAIMED_AT.replace("Z", "+00:00"))
HEAP = "1g"
# The larger of Java and Python: the heap, and what Java needs besides.
MOST_RESIDENT_BYTES = 1800 * MB
# The corpus has a field of 55 MB, and bombs of 300 MB and more. The job must write none of them to disk.
LARGEST_LOCAL_FILE = 40 * MB


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return bad_input.all_cases()


@pytest.fixture(scope="module")
def judged(cases: list[Case]) -> Judged:
    """Returns what the oracle reads from each file."""
    return {case.name: oracle.read_stream(case.content, CLAIM) for case in cases}


def test_the_oracle_says_of_each_file_what_the_table_says(cases: list[Case], judged: Judged) -> None:
    for case in cases:
        outcome, listens = judged[case.name]
        assert outcome.quarantined == case.quarantined, case.name
        if case.quarantined is None:
            assert outcome.rows_quarantined == Counter(reason for _, reason in case.rows), case.name
            rows = case.kept + case.duplicate + len(case.rows)
            assert (outcome.rows_read, len(listens) <= case.kept + case.duplicate) == (rows, True), case.name


@dataclass
class Outcome:
    """The result of the run. `peak_bytes`: the most memory of the job's processes, None within this one."""

    lake: Lake
    report: dict[str, Any]
    peak_bytes: int | None


@pytest.fixture(scope="module")
def outcome(
    cases: list[Case],
    s3: Any,
    dynamodb: Any,
    spark: SparkSession,
    endpoint: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    """Runs the job over the corpus: at full count with spark-submit and little memory, otherwise in this process."""
    lake = Lake(s3, spark)
    batch = lake.claim({case.name: case.content for case in cases}, CLAIMED_AT)
    if not FULL:
        try:
            return Outcome(lake, lake.transform(batch), None)
        finally:
            # The corpus is so large that the job lets Spark compile its plans.
            for name, value in QUICK.items():
                spark.conf.set(name, value)
    submit(lake, batch, dynamodb, endpoint, tmp_path_factory.mktemp("job"))
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    report = lake.json("transformReport", batch)
    assert report is not None
    return Outcome(lake, report, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)


def submit(lake: Lake, batch: str, dynamodb: Any, endpoint: str, folder: Path) -> None:
    """Runs the job with spark-submit, as the local cloud does, in a process of its own with little memory and disk."""
    ledger = create_ledger(dynamodb)
    put_batch(dynamodb, ledger, batch, "1", state="RUNNING", workflowRunId="wr_1")
    script = Path(transform.__file__)
    settings = {**spark_settings(endpoint, folder), "spark.log.level": "FATAL"}
    confs = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    arguments = ["--bucket", lake.bucket, "--reference-location", lake.reference()]
    arguments += ["--ledger-table", ledger, "--WORKFLOW_NAME", "w", "--WORKFLOW_RUN_ID", "wr_1"]
    program = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    with glue_of(batch) as glue:
        environment = {name: value for name, value in os.environ.items() if name != "PYSPARK_SUBMIT_ARGS"}
        environment |= {**spark_environment(), "PYSPARK_DRIVER_PYTHON": sys.executable, "TMPDIR": str(folder)}
        environment |= {"AWS_ENDPOINT_URL_GLUE": glue, "PYTHONPATH": str(script.parent)}
        done = subprocess.run(
            [program, "--master", "local[2]", "--driver-memory", HEAP, *confs, script, *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_LOCAL_FILE, LARGEST_LOCAL_FILE)),
        )
    output = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if " INFO " not in line)
    print(output[-10_000:])
    assert done.returncode == 0, output[-2000:]


@contextmanager
def glue_of(batch_id: str) -> Iterator[str]:
    """Serves a Glue that has the properties of one run."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"RunProperties": {"batch_id": batch_id, "attempt": "1"}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_bad_file_is_quarantined_with_its_reason_and_a_detail_that_helps(
    cases: list[Case], outcome: Outcome
) -> None:
    found = {bad["name"]: bad for bad in outcome.report["filesQuarantined"]}
    wanted = {case.name: case for case in cases if case.quarantined}
    assert {name: bad["reason"] for name, bad in found.items()} == {
        name: case.quarantined for name, case in wanted.items()
    }
    for name, bad in found.items():
        assert bad["key"] == incoming(name)
        assert re.search(wanted[name].detail, bad["detail"]), bad
        # People read it in a terminal.
        assert len(bad["detail"]) <= 400
        assert bad["detail"].isprintable(), bad


def test_every_row_of_every_readable_file_is_counted(cases: list[Case], outcome: Outcome) -> None:
    reconcile(outcome.report)
    assert {
        file["name"]: (file["rowsKept"], file["rowsDuplicate"], file["rowsQuarantined"])
        for file in outcome.report["files"]
    } == {
        case.name: (case.kept, case.duplicate, Counter(reason for _, reason in case.rows))
        for case in cases
        if case.quarantined is None
    }


def test_every_quarantined_row_keeps_its_exact_text(cases: list[Case], outcome: Outcome) -> None:
    wanted = [(case.name, reason, text) for case in cases for text, reason in case.rows]
    assert outcome.lake.quarantined_rows() == sorted(wanted)


def test_the_listens_are_those_that_the_oracle_reads_from_the_same_bytes(
    cases: list[Case], judged: Judged, outcome: Outcome
) -> None:
    wanted = set().union(*(listens for _, listens in judged.values()))
    text = "%Y-%m-%d %H:%M:%S.%f"
    assert listen_keys(outcome.lake.curated()) == sorted(
        (user_id, track_id, time.strftime(text)) for user_id, track_id, time in wanted
    )
    assert max(time for _, _, time in wanted) == CLAIM + timedelta(days=1)
    assert len(wanted) == sum(case.kept for case in cases) == outcome.report["rowsKept"]


def test_the_job_leaves_no_copies(outcome: Outcome) -> None:
    assert outcome.lake.copies() == []


@pytest.mark.skipif(not FULL, reason="npm run test:all measures the memory of the job")
def test_the_job_stays_within_its_memory(outcome: Outcome) -> None:
    assert outcome.peak_bytes is not None
    print(f"peak {outcome.peak_bytes / MB:.0f} MB")
    assert outcome.peak_bytes < MOST_RESIDENT_BYTES

"""Both jobs together: any order, any batching and any number of repeats give the same metrics."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import publish_support
import pytest
import transform_support
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from transform_support import CLAIMED_AT, csv, zipped

import oracle
from music_streams import layout
from spark_support import FULL

# Of each job.
REPEATS = 10 if FULL else 1


def dropped_files() -> dict[str, bytes]:
    """Makes files that overlap, repeat each other, cover the same days, and hold bad rows."""
    chance = random.Random(11)
    times = [
        f"2024-06-{day} {hour:02}:{chance.randrange(60):02}:00" for day in (24, 25, 26) for hour in range(0, 24, 3)
    ]
    listens = [f"u{chance.randrange(12)},t{chance.randrange(4)},{chance.choice(times)}" for _ in range(500)]
    first, late = chance.sample(listens, 200), chance.sample(listens, 200)
    return {
        "first.csv": csv(*first, "u1,t1,never", "too,few").encode(),
        "first again.csv": csv(*first).replace("\n", "\r\n").encode(),
        "late.csv.gz": zipped(csv(*late)),
        "other zone.csv": csv(*[row.replace(" ", "T") + "+02:00" for row in chance.sample(listens, 150)]).encode(),
        "a day alone.csv": csv(*[row for row in listens if "06-26" in row], "u 1,t1,2024-06-26 10:00:00").encode(),
        "no table.csv": b"",
    }


FILES = dropped_files()


class Pipeline:
    """Runs both jobs on one bucket, one batch after the other, as the workflow does."""

    def __init__(self, s3: Any, dynamodb: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lake = transform_support.Lake(s3, spark)
        self.metrics = publish_support.Lake(s3, dynamodb, monkeypatch)
        self.metrics.bucket = self.lake.bucket

    def transform(self, batch: str) -> dict[str, Any]:
        """Runs transform. Returns its report without stamps."""
        report = self.lake.transform(batch)
        return {
            name: value for name, value in report.items() if name not in ("workflowRunId", "startedAt", "finishedAt")
        }

    def publish(self, batch: str) -> dict[str, Any]:
        """Runs publish in the run of the last transform. Returns its report."""
        self.metrics.run_job(batch, f"wr_{self.lake.runs}")
        return self.metrics.report(batch)

    def run(self, *names: str) -> str:
        """Drops files and processes them as one batch."""
        batch = self.lake.claim({name: FILES[name] for name in names})
        self.transform(batch)
        self.publish(batch)
        self.lake.archive()
        return batch

    def export(self) -> str:
        """Prints the metrics as `npm run metrics -- export` does."""
        return "".join(f"{oracle.line(item)}\n" for item in self.metrics.items())


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns the oracle's export for all files."""
    folder = tmp_path_factory.mktemp("dropped")
    for name, content in {
        "reference/songs.csv": transform_support.SONGS.encode(),
        "reference/users.csv": transform_support.USERS.encode(),
        **{f"streams/{name}": content for name, content in FILES.items()},
    }.items():
        path = Path(folder / name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
    truth = oracle.truth(folder, datetime.fromisoformat(CLAIMED_AT.replace("Z", "+00:00")))
    assert len(truth.listens) > 300
    assert {name: outcome.quarantined for name, outcome in truth.files.items() if outcome.quarantined} == {
        "no table.csv": "empty_file"
    }
    return "".join(f"{oracle.line(item)}\n" for item in truth.items)


@st.composite
def batchings(draw: st.DrawFn) -> list[list[str]]:
    """Draws the files in any order, in up to three batches."""
    names = draw(st.permutations(list(FILES)))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(names) - 1), min_size=1, max_size=2))), len(names)]
    return [names[start:end] for start, end in zip(cuts, cuts[1:])]


def explicit(batches: list[list[str]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds an example when every order runs."""
    return example(batches=batches) if FULL else lambda test: test


@pytest.mark.grows
# Every batch runs Spark, so there are few examples, and no shrinking.
@settings(
    max_examples=3 if FULL else 1,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@explicit(batches=[list(FILES)])
@explicit(batches=[[name] for name in reversed(FILES)])
@given(batches=batchings())
def test_any_order_and_any_batching_of_the_same_files_exports_the_same_bytes(
    s3: Any, dynamodb: Any, spark: SparkSession, expected: str, batches: list[list[str]]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        pipeline = Pipeline(s3, dynamodb, spark, monkeypatch)
        for batch in batches:
            pipeline.run(*batch)
        assert pipeline.export() == expected


@pytest.fixture
def pipeline(s3: Any, dynamodb: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(s3, dynamodb, spark, monkeypatch)


@pytest.mark.grows
def test_repeats_of_each_job_change_nothing(pipeline: Pipeline, expected: str) -> None:
    lake, metrics = pipeline.lake, pipeline.metrics
    pipeline.run("first.csv", "no table.csv")
    batch = lake.claim({name: content for name, content in FILES.items() if name != "first.csv"})
    report = pipeline.transform(batch)
    assert min(report[name] for name in ("rowsKept", "rowsDuplicate", "rowsDuplicateElsewhere")) > 0
    written = pipeline.publish(batch)["itemsWritten"]
    assert written > 0

    def files_of_others() -> list[str]:
        return [key for key in lake.keys(layout.key("listens")) if f"/batch_id={batch}/" not in key]

    rows, quarantined, items = lake.curated(), lake.quarantined_rows(), metrics.items(stamps=True)
    others = files_of_others()
    for _ in range(REPEATS):
        # transform counts the written files for its report, so equal reports mean equal numbers of rows.
        assert pipeline.transform(batch) == report
    assert lake.curated() == rows
    assert lake.quarantined_rows() == quarantined
    assert files_of_others() == others
    assert len(lake.keys(layout.key("quarantinedRows", batchId=batch))) == 1

    groups = None
    for _ in range(REPEATS):
        published = pipeline.publish(batch)
        assert (published["itemsWritten"], published["itemsRemoved"]) == (0, 0)
        groups = groups or published["itemsUnchanged"]
        assert published["itemsUnchanged"] == groups > 0
    assert metrics.items(stamps=True) == items
    assert pipeline.export() == expected

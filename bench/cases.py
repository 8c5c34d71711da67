"""The cases: which programs do which task, and which outputs must be equal.

One file: a function for each case, and what they share.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tables import create_table

from lake import Batch, Lake
from lambdas import initialised, packed
from listens import LAST_DAY, Listens, make
from local_loop import dropped, first_started, started
from music_streams import layout
from outputs import curated, expected_top_listens, metrics, require_equal, top_listens
from programs import Programs, Run
from results import Figure

MILLION = 1_000_000
SMALL_BATCH = 10_000
ROWS_OF_A_SMALL_FILE = 20
STANDBY_SECONDS = 30


@dataclass
class Bench:
    """What cases need. `small`: quick sizes."""

    programs: Programs
    s3: Any
    dynamodb: Any
    folder: Path
    rounds: int
    small: bool
    say: Callable[[str], None]
    buckets: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    @property
    def reference(self) -> Path:
        """The folder of songs.csv and users.csv."""
        return self.folder / "sample" / "reference"

    def files(self, listens: Listens) -> list[Path]:
        """The CSVs of these listens."""
        return make(listens, self.reference, self.folder / "data")

    def drop(self, lake: Lake, listens: Listens, nth: int = 0) -> Batch:
        """Drops these listens into the lake as its n-th batch."""
        return lake.drop(nth, self.files(listens), listens.rows)

    def lake(self) -> Lake:
        """A bucket of its own, with reference data."""
        self.buckets.append(f"bench-{len(self.buckets)}")
        return Lake.create(self.s3, self.buckets[-1], self.reference)

    def transform(self, lake: Lake, batch: Batch, slots: int = 2) -> Run:
        """Runs transform as a first attempt. Its report must account for every row: none of them is bad."""
        lake.forget(batch)
        run = self.programs.spark("transform_job.py", lake.bucket, batch.batch_id, slots=slots)
        require_equal("the number of rows", run.facts["kept"] + run.facts["duplicates"], batch.rows)
        written = lake.curated(batch)
        output = {"files": len(written), "output_mb": round(sum(one["Size"] for one in written) / 1e6, 1)}
        return replace(run, facts={**run.facts, **output})

    def table(self) -> str:
        """A metrics table of its own."""
        self.tables.append(f"metrics-{len(self.tables)}")
        create_table(self.dynamodb.meta.client, self.tables[-1])
        return self.tables[-1]

    def publish(self, lake: Lake, batch: Batch, table: str, days: list[str], engine: str = "duckdb") -> Run:
        """Runs publish on a batch that transform has written."""
        run = self.programs.spark if engine == "spark" else self.programs.python
        return run("publish_job.py", engine, lake.bucket, table, batch.batch_id, *days)

    def measure(self, case: str, task: str, programs: dict[str, Callable[[], Run]]) -> Iterator[Figure]:
        """Runs programs in turn, so many rounds, and yields a figure for each."""
        runs: dict[str, list[Run]] = {name: [] for name in programs}
        for nth in range(self.rounds):
            for name, program in programs.items():
                run = program()
                runs[name].append(run)
                self.say(f"{case}, {task}, round {nth + 1}: {name} {run.seconds} s (start {run.start_seconds} s)")
        for name, of_program in runs.items():
            yield figure(case, task, name, of_program)


def figure(case: str, task: str, program: str, runs: list[Run]) -> Figure:
    """Puts the runs of one program together."""
    return Figure(
        case,
        task,
        program,
        seconds=[run.seconds for run in runs],
        start_seconds=[run.start_seconds for run in runs],
        peak_mb=[run.peak_mb for run in runs],
        spilled_mb=round(statistics.median(sum(stage.spilled for stage in run.stages) for run in runs) / 1024**2),
        requests=runs[-1].requests,
        items=runs[-1].facts.get("items", 0),
        files=runs[-1].facts.get("files", 0),
        output_mb=runs[-1].facts.get("output_mb", 0),
        stages=[asdict(stage) for stage in runs[-1].stages] if program == "transform" else [],
    )


def transform(bench: Bench) -> Iterator[Figure]:
    """Transform next to its baselines. All write the same rows, but for the naive one, which is checked by its own."""
    sizes = [(MILLION, 1)] if bench.small else [(rows, files) for rows in (MILLION, 5 * MILLION) for files in (1, 500)]
    for rows, files in sizes:
        lake = bench.lake()
        batch = bench.drop(lake, Listens(rows, files))
        top = expected_top_listens(bench.files(Listens(rows, files)), bench.reference)
        base = _baselines(bench, lake, batch, top)
        yield from bench.measure("transform", f"{_millions(rows)}, {_files(files)}", base)
        lake.remove("")


def _baselines(bench: Bench, lake: Lake, batch: Batch, top: list[int]) -> dict[str, Callable[[], Run]]:
    expected: list[Any] = []

    def checked(run: Run, name: str, prefix: str) -> Run:
        found = curated(lake, prefix)
        expected.append(found)
        require_equal(f"the output of {name}", found[0], expected[0][0])
        require_equal(f"the metrics of {name}", found[1], expected[0][1])
        return run

    def ours() -> Run:
        return checked(bench.transform(lake, batch), "transform", layout.key("listens"))

    def naive() -> Run:
        lake.remove("naive/")
        run = bench.programs.spark("baselines/naive_spark.py", lake.bucket, batch.streams, "naive")
        require_equal("the output of naive Spark", top_listens(lake, "naive/top_genres/"), top)
        return run

    def plain() -> Run:
        lake.remove("plain/")
        run = bench.programs.spark("baselines/plain_spark.py", lake.bucket, batch.streams, "plain")
        return checked(run, "plain PySpark", "plain/")

    def duck() -> Run:
        lake.remove("duckdb/")
        run = bench.programs.python("baselines/duckdb_alone.py", lake.bucket, batch.streams, "duckdb")
        return checked(run, "DuckDB", "duckdb/")

    return {"transform": ours, "naive Spark": naive, "plain PySpark": plain, "DuckDB": duck}


def scaling(bench: Bench) -> Iterator[Figure]:
    """The same batch with 1, 2 and 4 task slots."""
    rows = MILLION if bench.small else 5 * MILLION
    lake = bench.lake()
    batch = bench.drop(lake, Listens(rows))
    for slots in (1, 2, 4):
        task = f"{_millions(rows)}, local[{slots}]"
        yield from bench.measure("scaling", task, {"transform": partial(bench.transform, lake, batch, slots)})
    lake.remove("")


def memory(bench: Bench) -> Iterator[Figure]:
    """The same heap for small and large batches."""
    for rows in (MILLION, 5 * MILLION) if bench.small else (5 * MILLION, 20 * MILLION):
        lake = bench.lake()
        batch = bench.drop(lake, Listens(rows))
        yield from bench.measure("memory", _millions(rows), {"transform": partial(bench.transform, lake, batch)})
        lake.remove("")


def growth(bench: Bench) -> Iterator[Figure]:
    """A small batch into days that hold more and more, and into lakes of more and more days."""
    held = (MILLION // 10, MILLION) if bench.small else (MILLION // 10, MILLION, 5 * MILLION, 20 * MILLION)
    for rows in held:
        yield from _into(bench, f"into a day of {_millions(rows)}", Listens(rows))
    for days in (1, 100) if bench.small else (1, 100, 1000):
        yield from _into(bench, f"into a lake of {_days(days)}", Listens(100 * days, days=days))


def _into(bench: Bench, task: str, earlier: Listens) -> Iterator[Figure]:
    lake = bench.lake()
    first = bench.drop(lake, earlier)
    bench.transform(lake, first)
    yield from _into_day(bench, "growth", task, lake, first)


def _into_day(bench: Bench, case: str, task: str, lake: Lake, first: Batch) -> Iterator[Figure]:
    """A small batch into the last day of a lake that `first` wrote."""
    batch = bench.drop(lake, Listens(SMALL_BATCH, seed=2), nth=1)
    last_day = [LAST_DAY.isoformat()]
    table = ""

    def transform() -> Run:
        # The table must hold what was published before the batch came.
        nonlocal table
        lake.forget(batch)
        table = bench.table()
        bench.publish(lake, first, table, last_day)
        return bench.transform(lake, batch)

    programs = {"transform": transform, "publish": lambda: bench.publish(lake, batch, table, last_day)}
    yield from bench.measure(case, task, programs)
    lake.remove("")


def day_of_batches(bench: Bench) -> Iterator[Figure]:
    """A small batch into a day that one batch wrote, and into one that as many wrote as the schedule allows."""
    for batches in (1, 288):
        lake = bench.lake()
        first = bench.drop(lake, Listens(MILLION))
        bench.transform(lake, first)
        if batches > 1:
            lake.scatter(first, LAST_DAY.isoformat(), batches)
        task = f"into {_millions(MILLION)} of {'1 batch' if batches == 1 else f'{batches} batches'}"
        yield from _into_day(bench, "day-of-batches", task, lake, first)


def days(bench: Bench) -> Iterator[Figure]:
    """One batch over many days."""
    count = 450 if bench.small else 4_500
    lake = bench.lake()
    batch = bench.drop(lake, Listens(12 * count, days=count))
    task = f"{12 * count:,} listens over {count:,} days"
    yield from bench.measure("days", task, {"transform": partial(bench.transform, lake, batch)})
    lake.remove("")


def publish(bench: Bench) -> Iterator[Figure]:
    """All metrics of a day, by both engines, and what writing alone takes. Both engines write the same items."""
    rows = MILLION if bench.small else 5 * MILLION
    lake = bench.lake()
    batch = bench.drop(lake, Listens(rows))
    bench.transform(lake, batch)
    tables: dict[str, str] = {}

    def by(engine: str) -> Run:
        tables[engine] = bench.table()
        run = bench.publish(lake, batch, tables[engine], [LAST_DAY.isoformat()], engine)
        first, second = (metrics(bench.dynamodb.Table(tables[name])) for name in ("duckdb", engine))
        require_equal(f"the metrics of {engine}", second, first)
        return run

    programs: dict[str, Callable[[], Run]] = {
        "publish": partial(by, "duckdb"),
        "publish, earlier items": lambda: bench.publish(lake, batch, bench.table(), [LAST_DAY.isoformat()], "earlier"),
        "publish, Spark": partial(by, "spark"),
        "batch writer": lambda: bench.programs.python("baselines/batch_writer.py", tables["duckdb"], bench.table()),
    }
    yield from bench.measure("publish", _millions(rows), programs)
    lake.remove("")


def small_files(bench: Bench) -> Iterator[Figure]:
    """Many files of a few rows, and one file of the same rows."""
    for count in (2_000,) if bench.small else (2_000, 10_000):
        rows = count * ROWS_OF_A_SMALL_FILE
        for files in (1, count):
            lake = bench.lake()
            batch = bench.drop(lake, Listens(rows, files))
            task = f"{rows:,} listens, {_files(files)}"
            yield from bench.measure("small-files", task, {"transform": partial(bench.transform, lake, batch)})
            lake.remove("")


def local_loop(bench: Bench) -> Iterator[Figure]:
    """What a person waits for on a laptop. A start that fills the caches of the tools comes first."""
    file = bench.files(Listens(500))[0]
    runs: dict[str, list[Run]] = {"npm start": [], "drop --wait": []}
    for nth in range(1 + bench.rounds):
        with started(bench.folder / "start.log") as start:
            # By then the local cloud has Spark ready again.
            time.sleep(STANDBY_SECONDS)
            drop = dropped(file)
        if nth > 0:
            runs["npm start"].append(start)
            runs["drop --wait"].append(drop)
            bench.say(f"local-loop, round {nth}: start {start.seconds} s, drop {drop.seconds} s")
    yield figure("local-loop", "sample data, to metrics", "npm start", runs["npm start"])
    yield figure("local-loop", "500 listens, to metrics", "drop --wait", runs["drop --wait"])


def first_start(bench: Bench) -> Iterator[Figure]:
    """The first start in a fresh clone. How long it takes depends on the network."""
    runs = []
    for nth in range(1, 1 + (1 if bench.small else bench.rounds)):
        runs.append(first_started(bench.folder / "start.log"))
        bench.say(f"first-start, round {nth}: {runs[-1].seconds} s")
    yield figure("first-start", "sample data, to metrics", "first npm start", runs)


def lambdas(bench: Bench) -> Iterator[Figure]:
    """The packages of the Lambdas, and how long their code takes to load."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        for function in packed(Path(folder)):
            runs = [initialised(function) for _ in range(bench.rounds)]
            bench.say(f"lambdas, {function.name}: {[run.seconds for run in runs]} s, {function.bytes} bytes")
            yield figure("lambdas", "loading the code", function.name, runs)


def _millions(rows: int) -> str:
    return f"{rows / MILLION:g} M listens"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days:,} days"


def _files(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"


CASES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "transform": transform,
    "scaling": scaling,
    "memory": memory,
    "growth": growth,
    "day-of-batches": day_of_batches,
    "days": days,
    "publish": publish,
    "small-files": small_files,
    "local-loop": local_loop,
    "first-start": first_start,
    "lambdas": lambdas,
}

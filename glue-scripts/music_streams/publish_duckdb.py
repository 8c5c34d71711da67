"""Computes the metrics with DuckDB, on the one machine of a Python-shell job. Runs under Python 3.9."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from music_streams import log
from music_streams.inputs import chunks
from music_streams.metrics_items import METRICS, TABLES, VIEWS, Metric, Row, sql
from music_streams.publish_checkpoint import Checkpoint
from music_streams.publish_input import (
    ParquetFile,
    PublishError,
    Work,
    check_replaced_days,
    curated_files,
    replaced_files,
)
from music_streams.publish_writer import Counts, MetricsWriter
from music_streams.store import ChangedError

DOWNLOAD_THREADS = 8
ROWS_PER_FETCH = 10_000

# Days don't depend on each other. Small days are computed together, up to this many bytes of Parquet.
BYTES_TOGETHER = 256 * 2**20
# After each part, the checkpoint names its days. So a part must not take long, however small its days are.
DAYS_TOGETHER = 500

# DuckDB keeps the distinct listeners of every group: measured, about 18 bytes per byte of Parquet. A day of 20 million
# listens in 114 genres has 170 MB of Parquet and needs 3 GB.
NEED_PER_BYTE = 20

REMEDY = "set the stack's `publishEngine: spark` to run publish on a Spark cluster"

LISTENS_COLUMNS = {
    "listen_date": "VARCHAR",
    "batch_id": "VARCHAR",
    "user_id": "VARCHAR",
    "track_id": "VARCHAR",
    "listen_time": "TIMESTAMP WITH TIME ZONE",
    "track_name": "VARCHAR",
    "artists": "VARCHAR",
    "duration_ms": "BIGINT",
    "genres": "VARCHAR[]",
    "user_country": "VARCHAR",
}
REPLACED_COLUMNS = {"listen_date": "VARCHAR", "track_id": "VARCHAR", "genres": "VARCHAR[]"}


@dataclass(frozen=True)
class Machine:
    """What DuckDB may use. Publish refuses a day that needs more."""

    memory_bytes: int
    disk_bytes: int
    threads: int
    folder: str

    @staticmethod
    def here(folder: str | None = None) -> Machine:
        """Measures this machine or container. Leaves room for Python, the downloads and the system."""
        folder = folder or tempfile.gettempdir()
        memory = min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_container_limits()])
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Machine(int(memory * 0.6), int(shutil.disk_usage(folder).free * 0.9), threads, folder)


def publish_with_duckdb(
    work: Work, s3: Any, writer: MetricsWriter, machine: Machine, checkpoint: Checkpoint
) -> tuple[int, Counts]:
    """Computes and writes the metrics of the work's days. Returns the number of groups and the counts of items.

    Leaves out the days that an earlier attempt finished: their items count as unchanged.
    Raises PublishError before any download when a day is too large for this machine.
    """
    replaced = replaced_files(s3, work.bucket, work.batch_id)
    files_of_days = {day: curated_files(s3, work.bucket, day) for day in work.days}
    finished = checkpoint.resume(files_of_days)
    groups, counts = sum(part.groups for part in finished), Counts(unchanged=sum(part.items for part in finished))
    skipped = {day for part in finished for day in part.days}
    left = {day: files for day, files in files_of_days.items() if day not in skipped}
    plan = list(_taken_together(left, min(BYTES_TOGETHER, machine.memory_bytes // NEED_PER_BYTE)))
    for _, files in plan:
        check_fits(files, machine)
    for number, (days, files) in enumerate(plan, start=1):
        size = sum(file.size for file in files)
        log.info("reading", part=f"{number} of {len(plan)}", days=len(days), files=len(files), bytes=size)
        with tempfile.TemporaryDirectory(prefix="publish-", dir=machine.folder) as folder:
            try:
                more_groups, more_counts = _publish_days(work, s3, writer, machine, Path(folder), days, files, replaced)
            except duckdb.OutOfMemoryException as error:
                raise PublishError(f"{_days(days)} is too large for this machine: {REMEDY} ({error})") from error
        groups, counts = groups + more_groups, counts + more_counts
        # Nothing but the report comes after the last part.
        if number < len(plan):
            checkpoint.add(days, files_of_days, more_groups, more_counts.written + more_counts.unchanged)
    return groups, counts


def check_fits(files: list[ParquetFile], machine: Machine) -> None:
    """Raises PublishError when files that are computed together don't fit the machine.

    The downloads must fit the disk. DuckDB's data must fit the memory and the rest of the disk, to which it spills.
    """
    size = sum(file.size for file in files)
    if size + max(0, NEED_PER_BYTE * size - machine.memory_bytes) <= machine.disk_bytes:
        return
    dates = _days(sorted({file.date for file in files}))
    raise PublishError(
        f"{dates} has {_mb(files)} of Parquet, too large for this machine with {machine.memory_bytes // 2**20} MB of "
        f"memory for DuckDB and {machine.disk_bytes // 2**20} MB of disk: {REMEDY}"
    )


def open_engine(machine: Machine, spill_folder: str) -> duckdb.DuckDBPyConnection:
    """Opens a DuckDB that uses no network, no extensions, and no more than the machine has."""
    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # DuckDB must never read a Python variable with the name of a view.
            "python_enable_replacements": "false",
            "memory_limit": f"{max(64, machine.memory_bytes // 2**20)}MiB",
            "temp_directory": spill_folder,
            "max_temp_directory_size": f"{max(64, machine.disk_bytes // 2**20)}MiB",
            "threads": str(machine.threads),
            "preserve_insertion_order": "false",
        },
    )


def prepare(connection: duckdb.DuckDBPyConnection, batch_id: str) -> None:
    """Creates the views and tables that the metrics use. `listens`, `replaced` and `days` must exist."""
    # The SQL uses Spark's names.
    connection.execute("CREATE MACRO explode(elements) AS unnest(elements)")
    connection.execute("CREATE MACRO unix_seconds(moment) AS epoch_us(moment) // 1000000")
    for name in (*VIEWS, *TABLES):
        kind = "VIEW" if name in VIEWS else "TABLE"
        connection.execute(f"CREATE TEMPORARY {kind} {name} AS {sql(name, batch_id)}")


def rows_of(connection: duckdb.DuckDBPyConnection, metric: Metric) -> Iterator[Row]:
    """Yields the metric's rows. The rows of a group follow each other, in order."""
    query = sql(metric.name)
    if metric.order:
        query = f"SELECT * FROM ({query}) AS unordered ORDER BY {', '.join(metric.group + metric.order)}"  # noqa: S608
    result = connection.execute(query)
    while rows := result.fetchmany(ROWS_PER_FETCH):
        yield from rows


def _publish_days(
    work: Work,
    s3: Any,
    writer: MetricsWriter,
    machine: Machine,
    folder: Path,
    days: list[str],
    files: list[ParquetFile],
    replaced: list[ParquetFile],
) -> tuple[int, Counts]:
    spill = folder / "spill"
    with open_engine(machine, str(spill)) as connection:
        curated = _download(s3, work.bucket, files, folder / "listens")
        earlier = _download(s3, work.bucket, replaced, folder / "replaced")
        _create_view(connection, "listens", LISTENS_COLUMNS, curated, hive=True)
        _create_view(connection, "all_replaced", REPLACED_COLUMNS, earlier, hive=False)
        found = connection.execute("SELECT DISTINCT listen_date FROM all_replaced").fetchall()
        check_replaced_days((date for (date,) in found), work.days)
        connection.execute("CREATE TEMPORARY TABLE days (listen_date VARCHAR)")
        connection.executemany("INSERT INTO days VALUES (?)", [(day,) for day in days])
        of_days = "SELECT * FROM all_replaced WHERE listen_date IN (SELECT listen_date FROM days)"
        connection.execute(f"CREATE TEMPORARY VIEW replaced AS {of_days}")
        prepare(connection, work.batch_id)
        tracks, genres = (_count(connection, name) for name in ("changed_tracks", "changed_genres"))
        total = Counts()
        for metric in METRICS:
            counts = writer.upsert(metric.items(rows_of(connection, metric)))
            log.info("metricWritten", metric=metric.name, **counts.facts())
            total += counts
    return tracks + genres + len(days), total


def _taken_together(
    files_of_days: dict[str, list[ParquetFile]], limit_bytes: int
) -> Iterator[tuple[list[str], list[ParquetFile]]]:
    days: list[str] = []
    files: list[ParquetFile] = []
    size = 0
    for day, files_of_day in files_of_days.items():
        size_of_day = sum(file.size for file in files_of_day)
        if days and (size + size_of_day > limit_bytes or len(days) == DAYS_TOGETHER):
            yield days, files
            days, files, size = [], [], 0
        days.append(day)
        files.extend(files_of_day)
        size += size_of_day
    if days:
        yield days, files


def _download(s3: Any, bucket: str, files: list[ParquetFile], folder: Path) -> list[str]:
    """Downloads the files in parallel, into folders from which DuckDB reads their day and batch."""

    def fetch(number: int) -> str:
        file = files[number]
        place = folder / f"listen_date={file.date}" / f"batch_id={file.batch_id}" if file.date else folder
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{number}.parquet"
        try:
            # download_file would ask twice for each file.
            with path.open("wb") as target:
                target.writelines(chunks(s3, bucket, file))
        except ChangedError:
            raise PublishError(f"s3://{bucket}/{file.key} changed meanwhile: the next attempt reads it") from None
        return str(path)

    with ThreadPoolExecutor(DOWNLOAD_THREADS) as pool:
        return list(pool.map(fetch, range(len(files))))


def _create_view(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], paths: list[str], hive: bool
) -> None:
    if paths:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        source = (
            f"read_parquet([{listed}], union_by_name = true, hive_partitioning = {hive}, hive_types_autocast = false)"
        )
        # A column that no file has is unknown: an earlier version may have written none.
        found = {name for name, *_ in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
        of_files = [(name if name in found else "NULL", kind, name) for name, kind in columns.items()]
        selected = ", ".join(f"CAST({value} AS {kind}) AS {name}" for value, kind, name in of_files)
        connection.execute(f"CREATE TEMPORARY VIEW {name} AS SELECT {selected} FROM {source}")  # noqa: S608
    else:
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.execute(f"CREATE TEMPORARY TABLE {name} ({declared})")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def _container_limits() -> Iterator[int]:
    """Yields the container's memory limits, from cgroup version 2 or 1."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text("ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            yield int(text)


def _days(days: list[str]) -> str:
    return days[0] if len(days) == 1 else f"{len(days)} days ({days[0]} to {days[-1]})"


def _mb(files: list[ParquetFile]) -> str:
    return f"{sum(file.size for file in files) / 2**20:.1f} MB"

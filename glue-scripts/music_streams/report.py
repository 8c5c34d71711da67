"""The counts in transform's report, and the check that they agree with each other and with the written rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from music_streams.batch import ManifestFile
from music_streams.inputs import QuarantinedFile
from music_streams.rows import Staged


class ReconciliationError(Exception):
    """The job lost or doubled rows. The message says which numbers disagree."""


@dataclass
class Reading:
    """Counts of a batch's rows, duplicates included. Counters are by file number."""

    records: Counter[int] = field(default_factory=Counter)
    valid: Counter[int] = field(default_factory=Counter)
    quarantined: dict[int, Counter[str]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    # Valid rows by file and day, and between which times they are, in microseconds since 1970.
    on_day: Counter[tuple[int, str]] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    # Whether a quarantined row may have lost its quotes.
    inexact: bool = False

    @property
    def quarantined_total(self) -> int:
        """Quarantined rows of all files."""
        return sum(sum(reasons.values()) for reasons in self.quarantined.values())

    @property
    def by_day(self) -> Counter[str]:
        """Valid rows by day."""
        days: Counter[str] = Counter()
        for (_, day), rows in self.on_day.items():
            days[day] += rows
        return days

    def add_listens(self, row: Row) -> None:
        """Adds a group of valid rows: file, day, rows, and their first and last time."""
        self.records[row["file"]] += row["rows"]
        self.valid[row["file"]] += row["rows"]
        self.on_day[row["file"], row["day"].isoformat()] += row["rows"]
        self._span(row["first"], row["last"])

    def add(self, other: Reading) -> None:
        """Adds the counts of other rows."""
        self.records.update(other.records)
        self.valid.update(other.valid)
        self.on_day.update(other.on_day)
        for number, reasons in other.quarantined.items():
            self.quarantined.setdefault(number, Counter()).update(reasons)
        self.problems.update(other.problems)
        self._span(other.first, other.last)

    def without(self, numbers: Collection[int]) -> Reading:
        """Returns the counts of the other files. The times stay: they are bounds."""
        return Reading(
            Counter({number: rows for number, rows in self.records.items() if number not in numbers}),
            Counter({number: rows for number, rows in self.valid.items() if number not in numbers}),
            {number: reasons for number, reasons in self.quarantined.items() if number not in numbers},
            {number: problem for number, problem in self.problems.items() if number not in numbers},
            Counter({(number, day): rows for (number, day), rows in self.on_day.items() if number not in numbers}),
            self.first,
            self.last,
        )

    def _span(self, first: int | None, last: int | None) -> None:
        self.first = min((time for time in (self.first, first) if time is not None), default=None)
        self.last = max((time for time in (self.last, last) if time is not None), default=None)


@dataclass
class Keeping:
    """Counts of the valid rows: kept, duplicates within this batch, duplicates of other batches' rows (`elsewhere`)."""

    by_file: Counter[int] = field(default_factory=Counter)
    by_day: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    elsewhere: int = 0
    unknown_tracks: int = 0
    unknown_users: int = 0


def time_span() -> tuple[Column, Column]:
    """Returns the first and the last time of a group of rows, in microseconds since 1970."""
    return F.unix_micros(F.min("listen_time")).alias("first"), F.unix_micros(F.max("listen_time")).alias("last")


def count_rows(rows: DataFrame) -> Reading:
    """Counts checked rows in one aggregation. Of a file with a problem, it counts only the problem."""
    reading = Reading()
    groups = rows.groupBy("file", "problem", "reason", F.to_date("listen_time").alias("day")).agg(
        F.count("*").alias("rows"), F.max("inexact").alias("inexact"), *time_span()
    )
    for row in groups.collect():
        if row["problem"] is not None:
            # A file with both problems is not even text.
            reading.problems[row["file"]] = min(row["problem"], reading.problems.get(row["file"], "~"))
        elif row["reason"] is not None:
            reading.records[row["file"]] += row["rows"]
            reading.quarantined.setdefault(row["file"], Counter())[row["reason"]] += row["rows"]
            reading.inexact = reading.inexact or bool(row["inexact"])
        else:
            reading.add_listens(row)
    counted = reading.without(reading.problems)
    counted.problems, counted.inexact = reading.problems, reading.inexact
    return counted


def count_kept(listens: DataFrame) -> Keeping:
    """Counts distinct listens, kept or not, in one aggregation."""
    keeping = Keeping()
    groups = listens.groupBy("file", F.col("listen_date").cast("string").alias("day"), "elsewhere").agg(
        F.count("*").alias("rows"),
        F.sum("copies").alias("copies"),
    )
    for row in groups.collect():
        if row["elsewhere"]:
            keeping.elsewhere += row["copies"]
            continue
        keeping.by_file[row["file"]] += row["rows"]
        keeping.by_day[row["day"]] += row["rows"]
        keeping.duplicates += row["copies"] - row["rows"]
    return keeping


def require_reconciled(
    names: Sequence[str],
    reading: Reading,
    keeping: Keeping,
    curated: Counter[str],
    quarantined: Counter[tuple[str, str]],
) -> None:
    """Raises ReconciliationError unless every row that was read is curated, a duplicate, or quarantined.

    `names` has the files' names by number. `curated` (rows by day) and `quarantined` (rows by file name and reason)
    were counted from the written files.
    """
    disagree = []

    def require(what: str, counted: int, against: str, expected: int) -> None:
        if counted != expected:
            disagree.append(f"{counted} {what}, but {expected} {against}")

    expected: Counter[tuple[str, str]] = Counter()
    for number, records in sorted(reading.records.items()):
        of_file = reading.quarantined.get(number, Counter())
        judged = reading.valid[number] + sum(of_file.values())
        require(f"rows of {names[number]} judged", judged, "read", records)
        expected.update({(names[number], reason): rows for reason, rows in of_file.items()})
    for number, kept in sorted(keeping.by_file.items()):
        if kept > reading.valid[number]:
            disagree.append(f"{kept} listens of {names[number]} kept, but {reading.valid[number]} valid rows")
    kept, duplicates, elsewhere = sum(keeping.by_day.values()), keeping.duplicates, keeping.elsewhere
    accounted = (
        f"rows accounted for ({kept} kept, {duplicates} duplicates of these, {elsewhere} of other batches' rows)"
    )
    require(accounted, kept + duplicates + elsewhere, "valid", sum(reading.valid.values()))
    for day in sorted({*keeping.by_day, *curated}):
        require(f"curated rows of {day}", curated[day], "kept", keeping.by_day[day])
    for name, reason in sorted({*expected, *quarantined}):
        of_reason = quarantined[name, reason]
        require(f"quarantined rows of {name} ({reason})", of_reason, "read", expected[name, reason])
    if disagree:
        more = f"; and {len(disagree) - 5} more" if len(disagree) > 5 else ""
        raise ReconciliationError(f"the batch does not add up: {'; '.join(disagree[:5])}{more}")


def counts(tables: Sequence[Staged], reading: Reading, keeping: Keeping) -> dict[str, Any]:
    """Returns the counts of rows for transform's report."""
    files = []
    for staged in tables:
        valid, kept = reading.valid[staged.number], keeping.by_file[staged.number]
        quarantined = reading.quarantined.get(staged.number, Counter())
        files.append(
            {
                "name": staged.table.file.name,
                "rowsRead": valid + sum(quarantined.values()),
                "rowsKept": kept,
                "rowsDuplicate": valid - kept,
                "rowsQuarantined": dict(sorted(quarantined.items())),
            }
        )
    reasons: Counter[str] = sum(reading.quarantined.values(), Counter())
    return {
        "rowsRead": sum(file["rowsRead"] for file in files),
        "rowsKept": sum(keeping.by_day.values()),
        "rowsDuplicate": keeping.duplicates + keeping.elsewhere,
        "rowsDuplicateElsewhere": keeping.elsewhere,
        "rowsQuarantined": dict(sorted(reasons.items())),
        "unknownTracks": keeping.unknown_tracks,
        "unknownUsers": keeping.unknown_users,
        "files": files,
    }


def files_quarantined(files: Sequence[QuarantinedFile], manifest: Sequence[ManifestFile]) -> list[dict[str, str]]:
    """Lists quarantined files in the manifest's order. Their details are safe to print in a terminal."""
    place = {file.key: number for number, file in enumerate(manifest)}
    ordered = sorted(files, key=lambda bad: place.get(bad.file.key, 0))
    return [
        {"name": bad.file.name, "key": bad.file.key, "reason": bad.reason, "detail": printable(bad.detail)}
        for bad in ordered
    ]


def printable(text: str) -> str:
    """Escapes what a terminal would not print as it is: a text from a file may hold control sequences."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)

"""The counts of transform.json: read = kept + duplicate + quarantined, for the batch and for each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from music_streams.batch import ManifestFile
from music_streams.inputs import NoTable
from music_streams.rows import Staged


@dataclass
class Reading:
    """What a batch's rows are, before duplicates are dropped. Counters are by file number."""

    valid: Counter[int] = field(default_factory=Counter)
    rejected: dict[int, Counter[str]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)
    inexact: bool = False

    @property
    def rejected_total(self) -> int:
        """Rows rejected, of all files."""
        return sum(sum(reasons.values()) for reasons in self.rejected.values())


@dataclass
class Keeping:
    """What was kept of them."""

    by_file: Counter[int] = field(default_factory=Counter)
    by_day: Counter[str] = field(default_factory=Counter)
    unknown_tracks: int = 0
    unknown_users: int = 0
    id_bytes: int = 0

    @property
    def row_bytes(self) -> float:
        """Mean size of a row's ids."""
        return self.id_bytes / max(1, sum(self.by_day.values()))


def count_rows(rows: DataFrame) -> Reading:
    """All counts of checked rows by one aggregation. Files with a problem count only as such."""
    reading = Reading()
    days: dict[int, set[str]] = {}
    groups = rows.groupBy("file", "problem", "reason", F.col("listen_date").cast("string").alias("day"))
    for row in groups.agg(F.count("*").alias("rows"), F.max("inexact").alias("inexact")).collect():
        if row["problem"] is not None:
            # Both at once: it isn't even text.
            reading.problems[row["file"]] = min(row["problem"], reading.problems.get(row["file"], "~"))
        elif row["reason"] is not None:
            reading.rejected.setdefault(row["file"], Counter())[row["reason"]] += row["rows"]
            reading.inexact = reading.inexact or bool(row["inexact"])
        else:
            reading.valid[row["file"]] += row["rows"]
            days.setdefault(row["file"], set()).add(row["day"])
    for number in reading.problems:
        reading.valid.pop(number, None)
        reading.rejected.pop(number, None)
        days.pop(number, None)
    reading.days = sorted(set().union(*days.values()))
    return reading


def count_kept(rows: DataFrame) -> Keeping:
    """All counts of curated rows by one aggregation."""
    keeping = Keeping()
    groups = rows.groupBy("file", F.col("listen_date").cast("string").alias("day")).agg(
        F.count("*").alias("rows"),
        F.count_if(~F.col("known_track")).alias("unknown_tracks"),
        F.count_if(~F.col("known_user")).alias("unknown_users"),
        F.sum(F.octet_length("user_id") + F.octet_length("track_id")).alias("id_bytes"),
    )
    for row in groups.collect():
        keeping.by_file[row["file"]] += row["rows"]
        keeping.by_day[row["day"]] += row["rows"]
        keeping.unknown_tracks += row["unknown_tracks"]
        keeping.unknown_users += row["unknown_users"]
        keeping.id_bytes += row["id_bytes"]
    return keeping


def counts(tables: Sequence[Staged], reading: Reading, keeping: Keeping) -> dict[str, Any]:
    """The part of transform.json that counts rows."""
    files = []
    for staged in tables:
        valid, kept = reading.valid[staged.number], keeping.by_file[staged.number]
        rejected = reading.rejected.get(staged.number, Counter())
        files.append(
            {
                "name": staged.table.file.name,
                "rowsRead": valid + sum(rejected.values()),
                "rowsKept": kept,
                "rowsDuplicate": valid - kept,
                "rowsQuarantined": dict(sorted(rejected.items())),
            }
        )
    reasons: Counter[str] = sum(reading.rejected.values(), Counter())
    return {
        "rowsRead": sum(file["rowsRead"] for file in files),
        "rowsKept": sum(file["rowsKept"] for file in files),
        "rowsDuplicate": sum(file["rowsDuplicate"] for file in files),
        "rowsQuarantined": dict(sorted(reasons.items())),
        "unknownTracks": keeping.unknown_tracks,
        "unknownUsers": keeping.unknown_users,
        "files": files,
    }


def put_aside(no_tables: Sequence[NoTable], manifest: Sequence[ManifestFile]) -> list[dict[str, str]]:
    """The files without a readable table, in the manifest's order."""
    place = {file.key: number for number, file in enumerate(manifest)}
    ordered = sorted(no_tables, key=lambda bad: place.get(bad.file.key, 0))
    return [{"name": bad.file.name, "key": bad.file.key, "reason": bad.reason, "detail": bad.detail} for bad in ordered]

"""Parses the reference data into Parquet: tracks and users, and what of them could not be used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from music_streams.batch import ManifestFile
from music_streams.column_names import ColumnNames, accepted
from music_streams.reference import (
    SONG_COLUMNS,
    SONG_KEYS,
    USER_COLUMNS,
    USER_KEYS,
    Place,
    is_odd,
    odd_values,
    open_quotes,
    require_usable,
    stage_reference,
    tracks_of,
    trimmed,
    usable,
    users_of,
)
from music_streams.report import files_quarantined
from music_streams.rows import ReadMode, Staged, read_rows
from music_streams.session import plan_for
from music_streams.staging import Staging, read_or_quarantine

# Reasons of values that stay as they are.
KEPT = ("suspicious", "not_utf_8")


@dataclass(frozen=True)
class Dimension:
    """One set of reference data: its files, and what of it could not be used.

    `rows_skipped` counts unreadable rows. `quotes_open` are quotes that are not closed. `values` are odd values.
    """

    staging: Staging
    rows_skipped: int
    quotes_open: list[dict[str, Any]]
    values: list[dict[str, Any]]


def write_reference(
    spark: SparkSession,
    s3: Any,
    place: Place,
    files: dict[str, list[ManifestFile]],
    bucket: str,
    folder: str,
    names: ColumnNames,
    prefix: str,
) -> dict[str, Any]:
    """Writes one row per track and one per user, to `tracks/` and `users/` below `prefix` of `bucket`.

    Returns what transform's report says of the files. Takes copies of them to `folder`. Raises BatchError when no file
    of a data set is usable.
    """

    def dimension(
        name: str,
        target: str,
        required: tuple[str, ...],
        columns: tuple[str, ...],
        shape: Callable[[DataFrame], DataFrame],
    ) -> Dimension:
        staging = stage_reference(s3, place, bucket, folder, name, files[name], accepted(required, names))
        return _write(spark, staging, place, name, columns, shape, f"s3://{bucket}/{prefix}{target}/")

    plan_for(spark, sum(file.size for entries in files.values() for file in entries))
    with ThreadPoolExecutor(2) as pool:
        songs = pool.submit(dimension, "songs", "tracks", SONG_KEYS, SONG_COLUMNS, tracks_of)
        users = pool.submit(dimension, "users", "users", USER_KEYS, USER_COLUMNS, users_of)
        dimensions = {"users": users.result(), "songs": songs.result()}
    unusable = [bad for name in ("songs", "users") for bad in dimensions[name].staging.quarantined]
    values = [value for dimension in dimensions.values() for value in dimension.values]
    return {
        "referenceRowsSkipped": {name: dimension.rows_skipped for name, dimension in dimensions.items()},
        "referenceFilesSkipped": files_quarantined(unusable, []),
        "referenceQuotesOpen": [quote for dimension in dimensions.values() for quote in dimension.quotes_open],
        "referenceValuesSkipped": [value for value in values if value["reason"] not in KEPT],
        "referenceValuesSuspicious": [value for value in values if value["reason"] in KEPT],
    }


def _write(
    spark: SparkSession,
    staging: Staging,
    place: Place,
    name: str,
    columns: tuple[str, ...],
    shape: Callable[[DataFrame], DataFrame],
    target: str,
) -> Dimension:
    key = columns[0]
    # Each file is read as a whole, so that its rows have an order.
    mode = ReadMode(longest_field=-1)

    def write(tables: list[Staged]) -> tuple[DataFrame, dict[str, Any]]:
        require_usable(staging, place, name)
        rows = trimmed(read_rows(spark, f"s3://{staging.bucket}/", tables, columns, mode))
        seen = Observation(f"{name} {uuid4()}")
        watched = rows.observe(
            seen,
            F.count_if(~usable(key)).alias("skipped"),
            F.count_if(usable(key) & is_odd(columns)).alias("odd"),
            F.collect_set(F.when(F.col("broken"), F.col("file"))).alias("broken"),
            F.collect_set(F.when(F.col("problem").isNotNull(), F.struct("file", "problem"))).alias("problems"),
        )
        shaped = shape(watched.where(usable(key)))
        shaped.write.mode("overwrite").option("compression", "zstd").parquet(target)
        return rows, seen.get

    quotes: list[dict[str, Any]] = []
    while True:
        rows, counted = read_or_quarantine(staging, write, staging.tables)
        if counted["broken"] and not mode.mend:
            broken = [staged for staged in staging.tables if staged.number in counted["broken"]]
            quotes = [
                {"key": staged.table.file.key, "line": line}
                for staged in broken
                for line in open_quotes(staging, staged)
            ]
            mode = replace(mode, mend=True, exact=True)
        elif counted["problems"]:
            staging.quarantine_all(dict(counted["problems"]))
        else:
            values = odd_values(rows.where(usable(key)), staging.tables) if counted["odd"] else []
            return Dimension(staging, counted["skipped"], quotes, values)

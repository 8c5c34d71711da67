"""The reference data as Parquet: parsed once for each set of its files, and read by every later batch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from music_streams import layout, store
from music_streams.batch import BatchError, ManifestFile, get_json, put_json
from music_streams.column_names import ColumnNames
from music_streams.dimensions import write_reference
from music_streams.reference import Place, reference_files

SCHEMAS = {
    "tracks": "track_id STRING, artists STRING, album_name STRING, track_name STRING, popularity BIGINT, "
    "duration_ms BIGINT, genres ARRAY<STRING>",
    "users": "user_id STRING, user_age BIGINT, user_country STRING",
}
# As Parquet. In memory it takes some five times as much, on the driver and on each worker.
SMALL_BYTES = 128 * 1024**2


@dataclass(frozen=True)
class Dimensions:
    """One row per track (with known_track), one row per user (with known_user), and the findings for the report.

    `small`: both fit into the memory of each worker.
    """

    tracks: DataFrame
    users: DataFrame
    findings: dict[str, Any]
    small: bool


def open_reference(
    spark: SparkSession, s3: Any, place: Place, bucket: str, folder: str, names: ColumnNames
) -> Dimensions:
    """Returns the reference data of `place`. Parses it if there is no copy of these files by this code.

    `folder` of `bucket` takes files while they are parsed. `names`: header names that stand for columns. Raises
    BatchError when a data set is missing.
    """
    files = {name: reference_files(s3, place, name) for name in ("songs", "users")}
    prefix = folder_of_copy(files, names)
    found = _sound_copy(s3, bucket, prefix)
    if found is None:
        store.delete_below(s3, bucket, prefix)
        findings = write_reference(spark, s3, place, files, bucket, folder, names, prefix)
        document = {"findings": findings, "objects": _objects(s3, bucket, prefix)}
        put_json(s3, bucket, f"{prefix}copy.json", document)
        found = _sound_copy(s3, bucket, prefix)
        assert found is not None, f"s3://{bucket}/{prefix} was deleted while it was written"
    read = {
        name: spark.read.schema(schema).parquet(f"s3://{bucket}/{prefix}{name}/") for name, schema in SCHEMAS.items()
    }
    small = sum(entry["size"] for entry in found["objects"]) <= SMALL_BYTES
    if small:
        read = {name: F.broadcast(rows) for name, rows in read.items()}
    known = F.lit(True)
    return Dimensions(
        read["tracks"].withColumn("known_track", known),
        read["users"].withColumn("known_user", known),
        found["findings"],
        small,
    )


def folder_of_copies() -> str:
    """Returns the folder of all copies, among the copies of batches: the bucket deletes all of these after a while."""
    return layout.key("staged", batchId="reference")


def folder_of_copy(files: dict[str, list[ManifestFile]], names: ColumnNames) -> str:
    """Returns the folder of the copy of one set of files by one version of the code, with one set of names."""
    objects = {name: [(file.key, file.etag, file.size) for file in entries] for name, entries in files.items()}
    known = json.dumps([objects, names, own_code()])
    return f"{folder_of_copies()}{hashlib.sha256(known.encode()).hexdigest()[:32]}/"


def own_code() -> list[tuple[str, str]]:
    """Returns the text of every module of this library by name, from a folder or a zip."""
    modules = resources.files("music_streams").iterdir()
    return sorted((module.name, module.read_text("utf-8")) for module in modules if module.name.endswith(".py"))


def _sound_copy(s3: Any, bucket: str, prefix: str) -> dict[str, Any] | None:
    """Returns what a copy says of itself. None when it is not whole: the bucket deletes old ones object by object."""
    try:
        document = get_json(s3, bucket, f"{prefix}copy.json") or {}
    except BatchError:
        return None
    return document if document.get("objects") == _objects(s3, bucket, prefix) else None


def _objects(s3: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    found = store.objects(s3, bucket, prefix)
    return [{"key": file.key, "size": file.size, "etag": file.etag} for file in found if file.key.endswith(".parquet")]

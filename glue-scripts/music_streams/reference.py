"""The reference data: one row per track, one row per user, from CSV files that may hold unreadable rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from music_streams import layout, store
from music_streams.batch import BatchError, ManifestFile
from music_streams.staging import Staging, stage

SONG_KEYS = ("track_id", "track_genre")
SONG_COLUMNS = (*SONG_KEYS, "artists", "album_name", "track_name", "popularity", "duration_ms")
USER_KEYS = ("user_id",)
USER_COLUMNS = (*USER_KEYS, "user_age", "user_country")


@dataclass(frozen=True)
class Place:
    """Where the reference data is: the folders of users and songs, below a prefix of any bucket."""

    bucket: str
    prefix: str

    @classmethod
    def at(cls, location: str) -> Place:
        """Parses `s3://BUCKET/PREFIX/`."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        return cls(bucket, prefix)

    def url(self, key: str) -> str:
        """Returns the URL of an object of the place, for errors."""
        return f"s3://{self.bucket}/{key}"


def stage_reference(s3: Any, place: Place, bucket: str, folder: str, name: str, required: tuple[str, ...]) -> Staging:
    """Copies the files of a data set, `users` or `songs`, to `bucket`.

    Raises BatchError when no file can be used, or when one changed meanwhile.
    """
    files = reference_files(s3, place, name)
    staging = stage(s3, bucket, f"{folder}{name}/", files, required, place.bucket)
    if staging.changed:
        raise BatchError(
            f"reference data changed while it was read: {place.url(staging.changed[0].key)}; the next attempt reads it"
        )
    require_usable(staging, place, name)
    return staging


def reference_files(s3: Any, place: Place, name: str) -> list[ManifestFile]:
    """Lists the CSV files of a data set by key. Raises BatchError when there is none."""
    prefix = place.prefix + layout.key(name)
    try:
        found = list(store.objects(s3, place.bucket, prefix))
    except ClientError as error:
        raise BatchError(f"reference data at {place.url(prefix)} can't be listed: {error}") from error
    files = [file for file in found if file.key.lower().endswith((".csv", ".csv.gz"))]
    if not files:
        raise BatchError(
            f"no reference data: {place.url(prefix)} holds no .csv or .csv.gz file; upload the {name} data set to it"
        )
    return files


def require_usable(staging: Staging, place: Place, name: str) -> None:
    """Raises BatchError when no file of the data set is left."""
    if not staging.tables:
        reasons = "; ".join(
            f"{place.url(bad.file.key)}: {bad.reason} ({bad.detail})" for bad in staging.quarantined[:3]
        )
        raise BatchError(f"no usable reference data for {name}: {reasons}")


def usable(key: str) -> Column:
    """Whether a reference row can be used: it has as many fields as its header, and a key."""
    return F.col("width_ok") & (F.col(key) != "")


def tracks_of(songs: DataFrame) -> DataFrame:
    """Returns one row per track, with known_track: sorted distinct genres, the rest of its first row.

    The first is by (track_genre, file, row). The data has one row per track and genre, so a plain join would count a
    listen once for each genre.
    """
    details = [_text("artists"), _text("album_name"), _text("track_name"), _whole("popularity"), _whole("duration_ms")]
    grouped = songs.groupBy("track_id").agg(
        F.min_by(F.struct(*details), F.struct(F.coalesce("track_genre", F.lit("")), "file", "row")).alias("first"),
        F.array_sort(F.collect_set(_text("track_genre"))).alias("genres"),
    )
    return grouped.select("track_id", "first.*", "genres", F.lit(True).alias("known_track"))


def users_of(users: DataFrame) -> DataFrame:
    """Returns one row per user, with known_user: its first row by (file, row)."""
    grouped = users.groupBy("user_id").agg(
        F.min_by(F.struct(_whole("user_age"), _text("user_country")), F.struct("file", "row")).alias("first")
    )
    return grouped.select("user_id", "first.*", F.lit(True).alias("known_user"))


def _text(column: str) -> Column:
    return F.when(F.col(column) != "", F.col(column)).alias(column)


def _whole(column: str) -> Column:
    return F.when(F.rlike(column, F.lit(r"\A\s*+[+-]?[0-9]++\s*+\z")), F.col(column).try_cast("bigint")).alias(column)

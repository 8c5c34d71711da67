"""The reference data: one row per track, one row per user, from CSV files that may hold unreadable rows."""

from __future__ import annotations

import codecs
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from botocore.exceptions import ClientError
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from music_streams import layout, store
from music_streams.batch import BatchError, ManifestFile
from music_streams.column_names import ColumnNames
from music_streams.inputs import chunks, inflate
from music_streams.report import printable
from music_streams.rows import Staged
from music_streams.staging import Staging, stage

SONG_KEYS = ("track_id", "track_genre")
SONG_COLUMNS = (*SONG_KEYS, "artists", "album_name", "track_name", "popularity", "duration_ms")
USER_KEYS = ("user_id",)
USER_COLUMNS = (*USER_KEYS, "user_age", "user_country")
# Blanks around them say nothing. Without this, " Pop" and "Pop" were two genres.
TRIMMED = ("track_id", "track_genre", "user_id")
NUMBERS = ("popularity", "duration_ms", "user_age")
# A genre or a country of this name is most likely a missing value that a tool wrote as text. It stays as it is.
SUSPICIOUS = r"(?i)\A(?:nan|null|none|n/a|undefined)\z"
SUSPECTED = ("track_genre", "user_country")
# Texts that may hold U+FFFD, where a file was not UTF-8.
TEXTS = ("track_genre", "artists", "album_name", "track_name", "user_country")
# Unicode's white space, and four separators that only Python counts as white space.
BLANKS = "".join(mark for mark in map(chr, range(sys.maxunicode + 1)) if mark.isspace())
NUMBER = r"\A[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,3})?\z"
INTEGER = r"\A[+-]?[0-9]++\z"
MOST_EXAMPLES = 20
END = "\u0001\u0001"


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


def stage_reference(
    s3: Any,
    place: Place,
    bucket: str,
    folder: str,
    name: str,
    files: Sequence[ManifestFile],
    required: ColumnNames,
) -> Staging:
    """Copies the files of a data set, `users` or `songs`, to `bucket`.

    Raises BatchError when no file can be used, or when one changed meanwhile.
    """
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


def trimmed(rows: DataFrame) -> DataFrame:
    """Trims the columns whose blanks say nothing."""
    return rows.withColumns({name: F.trim(name, F.lit(BLANKS)) for name in TRIMMED if name in rows.columns})


def usable(key: str) -> Column:
    """Whether a reference row can be used: it has as many fields as its header, and a key."""
    return F.col("width_ok") & (F.col(key) != "")


def is_odd(columns: Sequence[str]) -> Column:
    """Whether a usable row has a value that `odd_values` reports."""
    return reduce(Column.__or__, [reason.isNotNull() for _, reason in _findings(columns)])


def odd_values(rows: DataFrame, files: Sequence[Staged]) -> list[dict[str, Any]]:
    """Counts values that can't be used, and suspicious ones: column, reason, rows, and the first example with its file.

    Reasons of numbers that count as unknown: `not_a_number`, `not_whole`, `negative`, `too_large` (over 64 bits).
    Reasons of texts that stay as they are: `suspicious` (such as "nan"), `not_utf_8` (they hold U+FFFD).
    """
    found = [
        F.struct(F.lit(column).alias("column"), reason.alias("reason"), F.col(column).alias("value"))
        for column, reason in _findings(rows.columns)
    ]
    odd = rows.select("file", "row", F.inline(F.array(*found))).where("reason IS NOT NULL")
    # Each suspicious value counts by itself.
    group = F.when(F.col("reason") == "suspicious", F.col("value")).alias("of")
    first = F.min_by(F.struct("file", "value"), F.struct("file", "row")).alias("first")
    counted = odd.groupBy("column", "reason", group).agg(F.count("*").alias("rows"), first)
    key = {staged.number: staged.table.file.key for staged in files}
    return [
        {
            **{name: row[name] for name in ("column", "reason", "rows")},
            "example": printable(row["first"]["value"])[:100],
            "key": key[row["first"]["file"]],
        }
        for row in counted.orderBy("column", "reason", F.desc("rows"), "of").limit(MOST_EXAMPLES).collect()
    ]


def _findings(columns: Sequence[str]) -> list[tuple[str, Column]]:
    suspicious = {name: F.when(F.rlike(name, F.lit(SUSPICIOUS)), "suspicious") for name in SUSPECTED}
    replaced = {name: F.when(F.contains(name, F.lit("\ufffd")), "not_utf_8") for name in TEXTS}
    found = [*((name, _number(name)[1]) for name in NUMBERS), *suspicious.items(), *replaced.items()]
    return [(name, reason) for name, reason in found if name in columns]


def open_quotes(staging: Staging, staged: Staged) -> list[int]:
    """Returns the line at which each broken record begins, from 1: it does not fit the header, or end. At most ten."""
    key = staged.folder + staged.name
    head = staging.s3.head_object(Bucket=staging.bucket, Key=key)
    copy = ManifestFile(key, staged.name, head["ETag"], head["ContentLength"], staged.table.file.last_modified)
    pieces = chunks(staging.s3, staging.bucket, copy)
    content = inflate(pieces) if staged.name.endswith(".gz") else pieces
    text = codecs.iterdecode(content, "utf-8", errors="replace")
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(_lines(text, staged.table.line_end), strict=True)
    found: list[int] = []
    begins, ends = 1, False
    while not ends:
        try:
            row = next(reader, None)
        except csv.Error:
            row = []
        ends = row is None or row == [END]
        if not ends and reader.line_num > begins and len(row or []) != len(staged.table.columns):
            found.append(begins)
        begins = reader.line_num + 1
    return found[:10]


def _lines(pieces: Iterable[str], end: str) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split(end)
        yield from (line + end for line in lines)
    yield rest + end
    # Stands alone unless a quote before it is not closed.
    yield END


def tracks_of(songs: DataFrame) -> DataFrame:
    """Returns one row per track: sorted distinct genres, the rest of its first row.

    The first is by (track_genre, file, row). The data has one row per track and genre, so a plain join would count a
    listen once for each genre.
    """
    details = [_text("artists"), _text("album_name"), _text("track_name"), _whole("popularity"), _whole("duration_ms")]
    grouped = songs.groupBy("track_id").agg(
        F.min_by(F.struct(*details), F.struct(F.coalesce("track_genre", F.lit("")), "file", "row")).alias("first"),
        F.array_sort(F.collect_set(_text("track_genre"))).alias("genres"),
    )
    return grouped.select("track_id", "first.*", "genres")


def users_of(users: DataFrame) -> DataFrame:
    """Returns one row per user: its first row by (file, row)."""
    grouped = users.groupBy("user_id").agg(
        F.min_by(F.struct(_whole("user_age"), _text("user_country")), F.struct("file", "row")).alias("first")
    )
    return grouped.select("user_id", "first.*")


def _text(column: str) -> Column:
    return F.when(F.col(column) != "", F.col(column)).alias(column)


def _whole(column: str) -> Column:
    return _number(column)[0].alias(column)


def _number(column: str) -> tuple[Column, Column]:
    """Returns a column's value as a whole number of 64 bits that is not negative, and why it has none."""
    text = F.trim(column, F.lit(BLANKS))
    # Exact for every decimal of 20 digits before its point and 18 behind it.
    exact = F.when(F.rlike(text, F.lit(NUMBER)), text.try_cast("decimal(38,18)"))
    value = F.coalesce(F.when(F.rlike(text, F.lit(INTEGER)), text.try_cast("bigint")), exact.try_cast("bigint"))
    reason = (
        F.when(text.isNull() | (text == ""), F.lit(None))
        .when(~F.rlike(text, F.lit(NUMBER)), "not_a_number")
        .when(exact < 0, "negative")
        .when(exact != F.floor(exact), "not_whole")
        .when(value.isNull(), "too_large")
    )
    return F.when(reason.isNull(), value), reason

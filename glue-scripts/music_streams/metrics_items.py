"""Turns the rows of the metrics' SQL into items of the metrics table, in DynamoDB's notation.

Both engines use this module, so both give the same items. Runs under Python 3.9.
"""

from __future__ import annotations

import itertools
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable

Attributes = dict[str, Any]
Row = Sequence[Any]

# In the order in which they use each other. The engine provides `listens`, `replaced` and `days`.
VIEWS = ("changed",)
TABLES = ("changed_tracks", "changed_genres", "genre_days", "track_counts")

# Of the listens of a group, whatever its columns are. In `listens`, durations have a type whose sum can't overflow.
COUNTS = """count(*) AS listens,
  count(DISTINCT user_id) AS unique_listeners,
  coalesce(sum(duration_ms), 0) AS listening_ms"""
# Of a track's listens. The latest batch's name has its batch's id before it.
LATEST_NAMES = """max(CASE WHEN track_name <> '' THEN concat(batch_id, ' ', track_name) END) AS latest_track_name,
  max(CASE WHEN artists <> '' THEN concat(batch_id, ' ', artists) END) AS latest_artists"""

# The index sorts by pk. DynamoDB refuses an item whose sort key of an index is longer (Developer Guide, "Quotas").
INDEX_KEY_BYTES = 1024


@dataclass(frozen=True)
class Item:
    """One item of the metrics table. `attributes` is None when its group has no listens: it must not exist then."""

    pk: str
    sk: str
    attributes: Attributes | None


@dataclass(frozen=True)
class Metric:
    """One kind of item: its SQL file, the leading columns that name a group, and the function from rows to an item."""

    name: str
    group: tuple[str, ...]
    item: Callable[[list[Row]], Item]
    order: tuple[str, ...] = ()

    def items(self, rows: Iterable[Row]) -> Iterator[Item]:
        """Yields the items. A group's rows must follow each other, in `order`."""
        width = len(self.group)
        for _, rows_of_group in itertools.groupby(rows, key=lambda row: tuple(row[:width])):
            yield self.item(list(rows_of_group))


def sql(name: str, batch_id: str = "") -> str:
    """Returns music_streams/sql/<name>.sql, which DuckDB and Spark both run.

    Fills in `:batch_id`, and what several files compute: `:counts` and `:latest_names`.
    """
    text = pkgutil.get_data("music_streams", f"sql/{name}.sql")
    if text is None:
        raise FileNotFoundError(f"music_streams/sql/{name}.sql is not in the job's library")
    quoted = batch_id.replace("'", "''")
    filled = text.decode("utf-8").replace(":counts", COUNTS).replace(":latest_names", LATEST_NAMES)
    return filled.replace(":batch_id", f"'{quoted}'")


def number(value: Any) -> Attributes:
    """Writes a whole number in DynamoDB's notation: `{"N": "12"}`. Exact up to DynamoDB's 38 digits."""
    return {"N": str(int(value))}


def _counts(listens: Any, unique_listeners: Any, listening_ms: Any) -> Attributes:
    return {
        "listens": number(listens),
        "unique_listeners": number(unique_listeners),
        "listening_ms": number(listening_ms),
    }


def _average(unique_listeners: Any, listening_ms: Any) -> Attributes:
    # Rounds half up: floor(ms / listeners + 1/2). Not in SQL, where the engines write integer division differently.
    total, listeners = int(listening_ms), int(unique_listeners)
    return number((2 * total + listeners) // (2 * listeners))


def _names(track_name: str | None, artists: str | None) -> Attributes:
    known = {"track_name": track_name, "artists": artists}
    return {name: {"S": text} for name, text in known.items() if text}


def _listed(pk: str, place: str) -> Attributes:
    """The attribute of the index `listed`, which has the days, and the genres of each day."""
    return {"listed_in": {"S": place}} if len(pk.encode()) <= INDEX_KEY_BYTES else {}


def _track_day(rows: list[Row]) -> Item:
    date, track_id, listens, listeners, ms, track_name, artists = rows[0]
    pk, sk = f"TRACK#{track_id}", f"DAY#{date}"
    if listens is None:
        return Item(pk, sk, None)
    average = {"avg_listening_ms_per_listener": _average(listeners, ms)}
    return Item(pk, sk, {**_counts(listens, listeners, ms), **average, **_names(track_name, artists)})


def _genre_day(rows: list[Row]) -> Item:
    date, genre, listens, listeners, ms = rows[0]
    pk, sk = f"GENRE#{genre}", f"DAY#{date}"
    if listens is None:
        return Item(pk, sk, None)
    average = {"avg_listening_ms_per_listener": _average(listeners, ms)}
    return Item(pk, sk, {**_counts(listens, listeners, ms), **average, **_listed(pk, f"GENRES#{date}")})


def _list(name: str, entries: Iterable[Attributes]) -> Attributes | None:
    """An attribute that is a list of maps. None without entries: there is no such item then."""
    maps = [{"M": entry} for entry in entries]
    return {name: {"L": maps}} if maps else None


def _ranked_tracks(rows: Iterable[Row]) -> Attributes | None:
    return _list(
        "tracks",
        (
            {
                "rank": number(rank),
                "track_id": {"S": track_id},
                **_counts(listens, listeners, ms),
                **_names(name, artists),
            }
            for rank, track_id, listens, listeners, ms, name, artists in rows
            if rank is not None
        ),
    )


def _genre_top_tracks(rows: list[Row]) -> Item:
    date, genre = rows[0][:2]
    return Item(f"GENRE#{genre}", f"TOP_TRACKS#{date}", _ranked_tracks(row[2:] for row in rows))


def _day_top_tracks(rows: list[Row]) -> Item:
    return Item(f"DAY#{rows[0][0]}", "TOP_TRACKS", _ranked_tracks(row[1:] for row in rows))


def _top_genres(rows: list[Row]) -> Item:
    genres = (
        {"rank": number(rank), "genre": {"S": genre}, **_counts(listens, listeners, ms)}
        for _, rank, genre, listens, listeners, ms in rows
        if rank is not None
    )
    return Item(f"DAY#{rows[0][0]}", "TOP_GENRES", _list("genres", genres))


def _hours(rows: list[Row]) -> Item:
    heard = {hour: _counts(*counts) for _, hour, *counts in rows if hour is not None}
    hours = ({"hour": number(hour), **heard.get(hour, _counts(0, 0, 0))} for hour in range(24)) if heard else ()
    return Item(f"DAY#{rows[0][0]}", "HOURS", _list("hours", hours))


def _countries(rows: list[Row]) -> Item:
    countries = (
        {**({"country": {"S": country}} if country else {}), **_counts(listens, listeners, ms)}
        for _, place, country, listens, listeners, ms in rows
        if place is not None
    )
    return Item(f"DAY#{rows[0][0]}", "COUNTRIES", _list("countries", countries))


def _summary(rows: list[Row]) -> Item:
    date, listens, listeners, ms, tracks, genres = rows[0]
    pk, sk = f"DAY#{date}", "SUMMARY"
    if listens is None:
        return Item(pk, sk, None)
    totals = {**_counts(listens, listeners, ms), "tracks": number(tracks), "genres": number(genres)}
    return Item(pk, sk, {**totals, **_listed(pk, "DAYS")})


METRICS = (
    Metric("track_day", ("listen_date", "track_id"), _track_day),
    Metric("genre_day", ("listen_date", "genre"), _genre_day),
    Metric("genre_top_tracks", ("listen_date", "genre"), _genre_top_tracks, order=("rank",)),
    Metric("day_top_genres", ("listen_date",), _top_genres, order=("rank",)),
    Metric("day_top_tracks", ("listen_date",), _day_top_tracks, order=("rank",)),
    Metric("day_hours", ("listen_date",), _hours, order=("hour",)),
    Metric("day_countries", ("listen_date",), _countries, order=("place",)),
    Metric("day_summary", ("listen_date",), _summary),
)

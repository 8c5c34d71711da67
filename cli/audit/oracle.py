"""The oracle: computes the metrics from the raw CSV files in plain Python, and shares no code with the pipeline.

Its input is a folder with `reference/users*.csv`, `reference/songs*.csv` (or `reference/users/*.csv`,
`reference/songs/*.csv`) and any files below `streams/`. As a program it prints every item of the metrics table, as
`npm run metrics -- export` does:

    python cli/audit/oracle.py DIR [--claimed-at 2026-11-23T10:00:00Z] [--forgotten ID ...]

It is one file of over 300 lines, so that people can read it as a whole and run it alone.
"""

import argparse
import codecs
import json
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Optional

COLUMNS = ("user_id", "track_id", "listen_time")
EARLIEST = datetime(2000, 1, 1, tzinfo=timezone.utc)

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
# A zone's name behind an offset says nothing more: the offset counts.
ZONE = r"(?: ?(?:UTC|GMT|(?P<zone>Z|[+-]\d\d(?::?\d\d)?)(?:\[[A-Za-z][\w+/-]*\]| [A-Z]{3,5})?))?"
EXTENDED = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?" + ZONE,
    re.ASCII,
)
BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{1,9}))?)?" + ZONE, re.ASCII)

# A run of an id's characters, and the reason of a row that is left out for its listener.
TOKEN = re.compile(r"[A-Za-z0-9._:-]+")
FORGOTTEN = "forgotten"

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)

# One field of a CSV and its end. A quoted field may hold anything, with quotes doubled. The last quote of an odd number
# of quotes ends it.
QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?!")([^,\r\n]*)(,|\r\n|\n|\r|\Z)')
UNQUOTED = re.compile(r"([^,\r\n]*)(,|\r\n|\n|\r|\Z)")

# A file beyond these limits is unreadable: characters of a field (as UTF-16 counts them), fields of a row, and the
# growth of a gzip that holds more than UNSUSPECTED_BYTES.
LONGEST_FIELD = 1_048_576
MOST_FIELDS = 100_000
UNSUSPECTED_BYTES, MOST_GROWTH = 64 * 1024**2, 100
# Zip and Excel, Parquet, ORC, Avro, bzip2, xz, zstd, LZ4, Snappy, compress, 7z, RAR, PDF, gzip, SQLite, old Excel,
# AppleDouble, PNG, JPEG. A tar archive and zlib are recognised otherwise.
BINARY = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"PAR1", b"ORC", b"Obj\x01", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"),
    *(b"\x04\x22\x4d\x18", b"\xff\x06\x00\x00sNaPpY", b"\x1f\x9d", b"7z\xbc\xaf", b"Rar!\x1a", b"%PDF", b"\x1f\x8b"),
    *(b"SQLite format 3", b"\xd0\xcf\x11\xe0", b"\x00\x05\x16\x07", b"\x89PNG", b"\xff\xd8\xff"),
)

GZIP = b"\x1f\x8b"
# A longer genre does not fit a DynamoDB key of 2,048 bytes.
GENRE_BYTES = 2042
# Texts and lists are cut to keep an item below 400 KB.
NAME_CHARACTERS = 8192
NAME_CHARACTERS_OF_TEN = 2048
COUNTRY_CHARACTERS = 256
MOST_COUNTRIES = 250

Listen = tuple[str, str, datetime]
# Column: the header names that stand for it, besides its own.
OtherNames = dict[str, list[str]]
# User: country. Lacks users without one.
Countries = dict[str, str]


class QuarantinedFileError(Exception):
    """The file must be quarantined. Argument: the reason."""


@dataclass
class FileOutcome:
    """The outcome of one stream file: counts of its rows, or its reason for quarantine."""

    rows_read: int = 0
    rows_quarantined: Counter[str] = field(default_factory=Counter)
    quarantined: Optional[str] = None


@dataclass
class Song:
    """A track in the reference data."""

    track_name: Optional[str]
    artists: Optional[str]
    duration_ms: int
    genres: list[str]


@dataclass
class Truth:
    """The right result of all files. `files` is by path below streams/."""

    files: dict[str, FileOutcome]
    listens: set[Listen]
    items: list[dict[str, Any]]


def truth(
    folder: Path,
    claimed_at: Optional[datetime] = None,
    other_names: Optional[OtherNames] = None,
    forgotten: frozenset[str] = frozenset(),
) -> Truth:
    """Computes the right result for a folder. `claimed_at` is the time of the claim, by default now.

    `other_names`: header names that stand for a column. `forgotten`: listeners whose rows are left out.
    """
    claimed_at, other_names = claimed_at or datetime.now(timezone.utc), other_names or {}
    streams = folder / "streams"
    files: dict[str, FileOutcome] = {}
    listens: set[Listen] = set()
    for path in sorted(path for path in streams.rglob("*") if path.is_file()):
        if not path.name.lower().endswith((".csv", ".csv.gz")):
            continue
        outcome, found = read_stream(path.read_bytes(), claimed_at, other_names, forgotten)
        files[path.relative_to(streams).as_posix()] = outcome
        listens |= found
    reference = folder / "reference"
    items = metrics(listens, read_songs(reference, other_names), read_countries(reference, other_names))
    return Truth(files, listens, items)


def read_stream(
    content: bytes,
    claimed_at: datetime,
    other_names: Optional[OtherNames] = None,
    forgotten: frozenset[str] = frozenset(),
) -> tuple[FileOutcome, set[Listen]]:
    """Reads one stream file. `other_names`: header names that stand for a column. `forgotten`: see `truth`."""
    other_names = other_names or {}
    outcome, listens = FileOutcome(), set()
    try:
        rows = read_table(content, other_names)
        header = next(rows)
        places = find_columns(header, other_names)
        for row in rows:
            outcome.rows_read += 1
            reason, listen = read_row(row, len(header), places, claimed_at)
            if is_left_out(row, listen, forgotten):
                reason, listen = FORGOTTEN, None
            if listen:
                listens.add(listen)
            else:
                outcome.rows_quarantined[reason] += 1
    except QuarantinedFileError as error:
        return FileOutcome(quarantined=str(error)), set()
    return outcome, listens


def read_row(row: list[str], width: int, places: list[int], claimed_at: datetime) -> tuple[str, Optional[Listen]]:
    """Returns the listen of a row, or the first reason that applies."""
    if len(row) != width:
        return "malformed_row", None
    user_id, track_id, text = (row[place] for place in places)
    if not user_id.strip():
        return "missing_user_id", None
    if not track_id.strip():
        return "missing_track_id", None
    if not ID.fullmatch(user_id) or not ID.fullmatch(track_id):
        return "bad_id", None
    try:
        listen_time = read_time(text)
    except OverflowError:
        return "out_of_range_listen_time", None
    if listen_time is None:
        return "bad_listen_time", None
    if not EARLIEST <= listen_time <= claimed_at + timedelta(days=1):
        return "out_of_range_listen_time", None
    return "", (user_id, track_id, listen_time)


def is_left_out(row: list[str], listen: Optional[Listen], forgotten: frozenset[str]) -> bool:
    """Whether a row is a forgotten listener's, or a bad row that has such an id anywhere in its text."""
    if listen:
        return listen[0] in forgotten
    return not forgotten.isdisjoint(token for field in row for token in TOKEN.findall(field))


def read_time(text: str) -> Optional[datetime]:
    """Parses a time to UTC and microseconds. None when the text is no time. OverflowError when UTC has no such year."""
    match = EXTENDED.fullmatch(text) or BASIC.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, timezone.utc)
    except ValueError:
        return None
    zone = match["zone"]
    if not zone or zone == "Z":
        return local
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return local + offset if zone[0] == "-" else local - offset


def read_table(content: bytes, other_names: OtherNames) -> Iterator[list[str]]:
    """Yields the rows of a stream file, header first, without empty lines. Raises QuarantinedFileError."""
    content = unpacked(content)
    rows = split(content.decode("utf-8", errors="replace"))
    header = next(rows)
    if missing(own_names(header, other_names)) and is_binary(content):
        raise QuarantinedFileError("not_text")
    yield header
    yield from rows


def unpacked(content: bytes) -> bytes:
    """Returns the text of a CSV as UTF-8. Knows a gzip by its first bytes. Raises QuarantinedFileError."""
    if content.startswith(GZIP):
        content = inflated(content)
    content = content[3:] if content.startswith(codecs.BOM_UTF8) else content
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise QuarantinedFileError("not_text")
    if not content.strip():
        raise QuarantinedFileError("empty_file")
    if b"\0" in content:
        raise QuarantinedFileError("not_text")
    return content


def is_binary(content: bytes) -> bool:
    """Whether some content is of another format, by its first bytes."""
    return content.startswith(BINARY) or content[257:262] == b"ustar" or is_zlib(content)


def is_zlib(content: bytes) -> bool:
    """Whether some content is a zlib stream, at least at its beginning."""
    if content[:1] != b"x" or int.from_bytes(content[:2], "big") % 31:
        return False
    try:
        return bool(zlib.decompressobj().decompress(content[: 64 * 1024], 64 * 1024))
    except zlib.error:
        return False


def inflated(content: bytes) -> bytes:
    """Unpacks a gzip. Raises QuarantinedFileError."""
    most = max(UNSUSPECTED_BYTES, MOST_GROWTH * len(content))
    text = bytearray()
    # Not with the gzip module, which reads on where the content grows too much.
    while content:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            text += member.decompress(content, most + 1 - len(text))
        except zlib.error as error:
            raise QuarantinedFileError("unreadable") from error
        if len(text) > most or not member.eof:
            raise QuarantinedFileError("unreadable")
        content = member.unused_data.lstrip(b"\0")
    return bytes(text)


def split(text: str) -> Iterator[list[str]]:
    """Splits text by RFC 4180. A field with misplaced quotes keeps them. Raises QuarantinedFileError."""
    for row, _, end, _ in records(text):
        if end < 0 or len(row) > MOST_FIELDS or any(map(is_too_long, row)):
            raise QuarantinedFileError("unreadable")
        yield row


def records(text: str) -> Iterator[tuple[list[str], int, int, bool]]:
    """Yields each record, where it begins and ends, and whether it has text behind a quoted field.

    A record without an end (-1) is the last one.
    """
    at, begin, misplaced = 0, 0, False
    row: list[str] = []
    while at < len(text):
        if text[at] == '"':
            match = QUOTED.match(text, at)
            if match is None:
                yield row, begin, -1, misplaced
                return
            inside, behind, end = match.groups()
            misplaced = misplaced or bool(behind)
            row.append(match[0][: len(match[0]) - len(end)] if behind else inside.replace('""', '"'))
        else:
            match = UNQUOTED.match(text, at)
            assert match is not None
            end = match[2]
            row.append(match[1])
        at = match.end()
        if end == ",":
            if at == len(text):
                row.append("")
            else:
                continue
        if row != [""] or match[0].startswith('"'):
            yield row, begin, at, misplaced
        begin, row, misplaced = at, [], False


def split_mended(text: str) -> Iterator[list[str]]:
    """Splits reference data. A record of several lines is split by lines if it does not fit the header, does not end,
    or has text behind a quoted field.
    """
    width = 0
    for row, begin, end, misplaced in records(text):
        width = width or len(row)
        whole = text[begin:] if end < 0 else text[begin:end]
        lines = [line for line in re.split(r"[\r\n]+", whole) if line]
        if (end < 0 or len(row) != width or misplaced) and len(lines) > 1:
            yield from (cells for line in lines for cells, _, closed, _ in records(line) if closed >= 0)
        elif end >= 0:
            yield row


def is_too_long(value: str) -> bool:
    """Whether a field is too long. Characters outside the Basic Multilingual Plane count twice."""
    return 2 * len(value) > LONGEST_FIELD and len(value.encode("utf-16-le")) > 2 * LONGEST_FIELD


def own_names(header: list[str], other_names: OtherNames) -> list[str]:
    """Returns a header's names. A column that is not there is the first of its other names that is."""
    names = [name.strip().lower() for name in header]
    for column, others in other_names.items():
        present = [other for other in others if other in names]
        if column not in names and present:
            names = [column if name == present[0] else name for name in names]
    return names


def missing(names: list[str]) -> list[str]:
    """Returns the required columns that a header's names lack."""
    return [column for column in COLUMNS if column not in names]


def find_columns(header: list[str], other_names: OtherNames) -> list[int]:
    """Returns the places of the three columns. Raises QuarantinedFileError with the reason."""
    names = own_names(header, other_names)
    if any(names.count(column) > 1 for column in COLUMNS):
        raise QuarantinedFileError("duplicate_columns")
    if missing(names):
        raise QuarantinedFileError("missing_columns")
    return [names.index(column) for column in COLUMNS]


def read_songs(reference: Path, other_names: Optional[OtherNames] = None) -> dict[str, Song]:
    """Reads every known track: the genres of all its rows, the rest of its first row by (genre, file, row)."""
    rows: dict[str, list[tuple[str, int, dict[str, str]]]] = defaultdict(list)
    for number, song in enumerate(read_reference(reference, "songs", other_names or {})):
        rows[song["track_id"].strip()].append((song.get("track_genre", "").strip(), number, song))
    return {track_id: song_of(sorted(of_track, key=lambda row: row[:2])) for track_id, of_track in rows.items()}


def read_countries(reference: Path, other_names: Optional[OtherNames] = None) -> Countries:
    """Reads the country of every user who has one, of the user's first row by (file, row)."""
    first: Countries = {}
    for user in read_reference(reference, "users", other_names or {}):
        first.setdefault(user["user_id"].strip(), user.get("user_country", ""))
    return {user_id: country for user_id, country in first.items() if country}


def read_reference(reference: Path, kind: str, other_names: OtherNames) -> Iterator[dict[str, str]]:
    """Yields the rows of the songs or the users that fit their header, in the order of the files."""
    for path in sorted([*reference.glob(f"{kind}*.csv"), *reference.glob(f"{kind}/*.csv")]):
        table = split_mended(unpacked(path.read_bytes()).decode("utf-8", errors="replace"))
        names = own_names(next(table), other_names)
        yield from (dict(zip(names, row)) for row in table if len(row) == len(names))


def song_of(rows: list[tuple[str, int, dict[str, str]]]) -> Song:
    """Makes a track of its rows (genre, place, row), which are in order."""
    first = rows[0][2]
    return Song(
        track_name=first.get("track_name", "")[:NAME_CHARACTERS] or None,
        artists=first.get("artists", "")[:NAME_CHARACTERS] or None,
        duration_ms=whole_number(first.get("duration_ms", "")),
        genres=sorted({genre for genre, _, _ in rows if genre and len(genre.encode()) <= GENRE_BYTES}),
    )


def whole_number(text: str) -> int:
    """Reads a whole number of 64 bits, such as 214000, 214000.0 or 2.14e5. Anything else is 0."""
    text = text.strip()
    if not NUMBER.fullmatch(text):
        return 0
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() and 0 <= value < 2**63 else 0


def metrics(
    listens: set[Listen], songs: dict[str, Song], countries: Optional[Countries] = None
) -> list[dict[str, Any]]:
    """Returns all items of the metrics table, by pk and sk. Without `countries`, no user's country is known."""
    by_day: dict[str, list[Listen]] = defaultdict(list)
    for listen in listens:
        by_day[listen[2].date().isoformat()].append(listen)
    items = [item for day, of_day in by_day.items() for item in metrics_of_day(day, of_day, songs, countries or {})]
    return sorted(items, key=lambda item: (item["pk"], item["sk"]))


def metrics_of_day(
    day: str, listens: list[Listen], songs: dict[str, Song], countries: Countries
) -> Iterator[dict[str, Any]]:
    """Yields the items of one day."""
    unknown = Song(None, None, 0, [])
    by_track: dict[str, list[Listen]] = defaultdict(list)
    by_genre: dict[str, list[Listen]] = defaultdict(list)
    by_hour: dict[int, list[Listen]] = defaultdict(list)
    by_country: dict[str, list[Listen]] = defaultdict(list)
    for listen in listens:
        by_track[listen[1]].append(listen)
        by_hour[listen[2].hour].append(listen)
        by_country[countries.get(listen[0], "")[:COUNTRY_CHARACTERS]].append(listen)
        for genre in songs.get(listen[1], unknown).genres:
            by_genre[genre].append(listen)

    def counts(some: list[Listen]) -> dict[str, Any]:
        return {
            "listens": len(some),
            "unique_listeners": len({user_id for user_id, _, _ in some}),
            "listening_ms": sum(songs.get(track_id, unknown).duration_ms for _, track_id, _ in some),
        }

    def names(track_id: str, characters: int = NAME_CHARACTERS) -> dict[str, Any]:
        song = songs.get(track_id, unknown)
        known = (("track_name", song.track_name), ("artists", song.artists))
        return {key: text[:characters] for key, text in known if text}

    def top(groups: dict[str, dict[str, Any]], size: int, key: str) -> list[dict[str, Any]]:
        def place(name: str) -> tuple[Any, ...]:
            group = groups[name]
            # No name comes last.
            return -group["listens"], -group["unique_listeners"], -group["listening_ms"], not name, name.encode()

        return [
            {"rank": rank, key: name, **groups[name]}
            for rank, name in enumerate(sorted(groups, key=place)[:size], start=1)
        ]

    tracks = {track_id: counts(of_track) for track_id, of_track in by_track.items()}
    genres = {genre: counts(of_genre) for genre, of_genre in by_genre.items()}
    for track_id, track in tracks.items():
        yield {"pk": f"TRACK#{track_id}", "sk": f"DAY#{day}", **track, **average(track), **names(track_id)}
    for genre, group in genres.items():
        yield {"pk": f"GENRE#{genre}", "sk": f"DAY#{day}", **group, **average(group)}
        of_genre = {track_id: {**tracks[track_id], **names(track_id)} for _, track_id, _ in by_genre[genre]}
        yield {"pk": f"GENRE#{genre}", "sk": f"TOP_TRACKS#{day}", "tracks": top(of_genre, 3, "track_id")}
    if genres:
        yield {"pk": f"DAY#{day}", "sk": "TOP_GENRES", "genres": top(genres, 5, "genre")}
    named = {track_id: {**track, **names(track_id, NAME_CHARACTERS_OF_TEN)} for track_id, track in tracks.items()}
    yield {"pk": f"DAY#{day}", "sk": "TOP_TRACKS", "tracks": top(named, 10, "track_id")}
    hours = [{"hour": hour, **counts(by_hour[hour])} for hour in range(24)]
    yield {"pk": f"DAY#{day}", "sk": "HOURS", "hours": hours}
    ranked = top({name: counts(some) for name, some in by_country.items()}, MOST_COUNTRIES, "country")
    without_rank = [{key: value for key, value in entry.items() if key != "rank" and value != ""} for entry in ranked]
    yield {"pk": f"DAY#{day}", "sk": "COUNTRIES", "countries": without_rank}
    yield {"pk": f"DAY#{day}", "sk": "SUMMARY", **counts(listens), "tracks": len(tracks), "genres": len(genres)}


def average(group: dict[str, Any]) -> dict[str, int]:
    """Returns the listening time per listener. A half is rounded up."""
    whole, rest = divmod(group["listening_ms"], group["unique_listeners"])
    return {"avg_listening_ms_per_listener": whole + (1 if 2 * rest >= group["unique_listeners"] else 0)}


def line(item: dict[str, Any]) -> str:
    """Prints an item as one line of JSON: pk, sk, then the other attributes by name. Inner objects are by name too."""

    def by_name(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: by_name(value[key]) for key in sorted(value)}
        return [by_name(element) for element in value] if isinstance(value, list) else value

    keys = {"pk": item["pk"], "sk": item["sk"]}
    return json.dumps({**keys, **by_name(item), **keys}, ensure_ascii=False, separators=(",", ":"))


def main() -> None:
    """Prints the items of a folder."""
    parser = argparse.ArgumentParser(description="The metrics of a folder of raw CSV files, as NDJSON.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claimed-at", type=lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")))
    parser.add_argument("--column-names", type=json.loads, help='such as {"user_id": ["user"]}')
    parser.add_argument("--forgotten", nargs="*", default=[], help="listeners whose rows are left out")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    forgotten = frozenset(arguments.forgotten)
    for item in truth(arguments.folder, arguments.claimed_at, arguments.column_names, forgotten).items:
        print(line(item))


if __name__ == "__main__":
    main()

"""The part of `npm run audit` that reads Parquet and CSV. It shares no code with the jobs that it audits.

`audit.py FOLDER` reads requests from stdin, one JSON object per line. It answers each with JSON lines on stdout: any
number of `{"breach": {...}}` and `{"information": TEXT, "count": N, "check": NAME}`, then one `{"done": {...}}`.
`check` is left out where it is the request's own. Requests, by `do`:

    forgotten   ids: the listeners whose rows may be nowhere in curated. Comes before the next three.
    claims      path: lines {batch, name, etag, lastModified} of moved files. Finds versions that two batches moved.
    archived    path, claimed_at, batch: an archived CSV. Keeps its listens by day. done: days, rows.
    unreadable  path, reason (or null), key, batch: a quarantined CSV. Checks that it is quarantined for that reason.
    day         day, files: [{path, key, batch}], items: path of lines {pk, sk, item}, deep: true or false, unsure:
                batches whose listens need not be in the archive, replaying: batches that will run again. Audits the
                day. done: rows by batch, items, listens.

It is longer than 300 lines because a breach is told where it is found.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from heapq import nsmallest
from itertools import groupby
from pathlib import Path
from typing import Any, Optional

import duckdb

import oracle

Row = tuple[Any, ...]
Item = dict[str, Any]
Key = tuple[str, str]

CURATED = {
    "user_id": "VARCHAR",
    "track_id": "VARCHAR",
    "listen_time": "TIMESTAMP WITH TIME ZONE",
    "track_name": "VARCHAR",
    "artists": "VARCHAR",
    "album_name": "VARCHAR",
    "popularity": "BIGINT",
    "duration_ms": "BIGINT",
    "genres": "VARCHAR[]",
    "user_country": "VARCHAR",
    "user_age": "BIGINT",
}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
LINES_AT_ONCE = 200_000
TOP_TRACKS, TOP_GENRES, TOP_TRACKS_OF_DAY = 3, 5, 10
# Versions that wrote none of them wrote a day's summary. A day has all of them, or none.
ITEMS_OF_LATER_VERSIONS = ("COUNTRIES", "HOURS", "TOP_TRACKS")
INCOMING = json.loads((Path(__file__).parents[2] / "layout.json").read_text("utf-8"))["incoming"]
# As many batches of a day stand in a remedy.
MOST_NAMED = 20


def say(**reply: Any) -> None:
    """Writes one line of the answer."""
    sys.stdout.write(json.dumps(reply) + "\n")


def breach(check: str, what: str, where: str, expected: str, found: str, remedy: str, **about: list[str]) -> None:
    """Writes a breach. `about` has its batches and days."""
    said = {"check": check, "what": what, "where": where, "expected": expected, "found": found, "remedy": remedy}
    say(breach={**said, **about})


class Auditor:
    """Carries out the requests. `folder` is its own, for data that does not fit into memory."""

    def __init__(self, folder: Path) -> None:
        """Creates the folder for the archived listens."""
        self.listens = folder / "archived-listens"
        self.listens.mkdir(parents=True, exist_ok=True)
        self.left_out: frozenset[str] = frozenset()
        self.waiting: dict[str, list[str]] = {}
        self.lines_waiting = 0
        self.database = duckdb.connect()
        self.database.execute("SET TimeZone = 'UTC'")
        self.database.execute("SET preserve_insertion_order = false")
        self.database.execute(f"SET temp_directory = '{_quoted(str(folder / 'duckdb'))}'")

    def forgotten(self, ids: list[str]) -> dict[str, Any]:
        """Takes the list of forgotten listeners."""
        self.left_out = frozenset(ids)
        self.database.execute("CREATE OR REPLACE TABLE forgotten AS SELECT unnest(?::VARCHAR[]) AS user_id", [ids])
        return {}

    def claims(self, path: str) -> dict[str, Any]:
        """Finds versions of a file that two batches moved."""
        columns = "{batch: 'VARCHAR', name: 'VARCHAR', etag: 'VARCHAR', lastModified: 'VARCHAR'}"
        rows = self.rows(
            f"""
            SELECT name, lastModified, list_sort(list(batch))
            FROM read_json(?, format = 'newline_delimited', columns = {columns})
            GROUP BY name, etag, lastModified HAVING count(*) > 1 ORDER BY ALL
            """,
            [path],
        )
        for name, modified, batches in rows:
            breach(
                "files",
                "a file was moved by two batches",
                f"{INCOMING}{name} of {modified}",
                "one batch",
                ", ".join(batches),
                "no listen is counted twice by it; report it as a bug, with both manifests",
                batches=batches,
            )
        return {}

    def archived(self, path: str, claimed_at: str, names: oracle.OtherNames, batch: str) -> dict[str, Any]:
        """Reads an archived CSV with the oracle, and keeps its listens by day."""
        outcome, listens = oracle.read_stream(Path(path).read_bytes(), _instant(claimed_at), names, self.left_out)
        if outcome.quarantined:
            return {"quarantined": outcome.quarantined}
        for user_id, track_id, moment in listens:
            day = moment.date().isoformat()
            line = f"{user_id}\t{track_id}\t{(moment - EPOCH) // MICROSECOND}\t{batch}\n"
            self.waiting.setdefault(day, []).append(line)
        self.lines_waiting += len(listens)
        if self.lines_waiting > LINES_AT_ONCE:
            self.remember()
        return {"days": sorted({moment.date().isoformat() for _, _, moment in listens}), "rows": outcome.rows_read}

    def remember(self) -> None:
        """Moves the kept listens from memory to disk."""
        for day, lines in self.waiting.items():
            with (self.listens / day).open("a", encoding="ascii") as file:
                file.writelines(lines)
        self.waiting, self.lines_waiting = {}, 0

    def unreadable(
        self, path: str, reason: Optional[str], key: str, names: oracle.OtherNames, batch: str
    ) -> dict[str, Any]:
        """Checks that the oracle quarantines the file too, for the same reason."""
        outcome, _ = oracle.read_stream(Path(path).read_bytes(), datetime.now(timezone.utc), names)
        if outcome.quarantined is None or reason not in (None, outcome.quarantined):
            breach(
                "deep",
                "a quarantined file is not what was reported",
                key,
                reason or "a file that can't be read",
                outcome.quarantined or f"a table of {outcome.rows_read} rows",
                "drop the file again, if its rows are good",
                batches=[batch],
            )
        return {}

    def day(
        self,
        day: str,
        files: list[dict[str, str]],
        items: Optional[str],
        deep: bool,
        unsure: list[str],
        replaying: list[str],
    ) -> Item:
        """Audits one day: its curated rows, its metrics and, if deep, the archived listens."""
        good = [file for file in files if self.is_curated(day, file)]
        self.view(good)
        self.check_rows(day)
        self.check_forgotten(day, replaying)
        compared = self.check_metrics(day, items)
        done: dict[str, Any] = {
            "items": compared,
            "rows": dict(self.rows("SELECT batch, count(*) FROM rows GROUP BY 1")),
        }
        if deep:
            done["listens"] = self.check_listens(day, unsure)
        return done

    def is_curated(self, day: str, file: dict[str, str]) -> bool:
        """Whether a file is complete Parquet with the columns of the contract."""
        source = "read_parquet(?, hive_partitioning = false)"
        try:
            types = {row[0]: row[1] for row in self.rows(f"DESCRIBE SELECT * FROM {source}", [file["path"]])}
            wrong = [f"{name} {types.get(name, 'absent')}" for name in CURATED if types.get(name) != CURATED[name]]
            if not wrong:
                # Only reading every column shows that a file is truncated or damaged.
                next(self.rows(f"SELECT bit_xor(hash(COLUMNS(*))) FROM {source}", [file["path"]]))
                return True
            expected, found = ", ".join(f"{name} {kind}" for name, kind in CURATED.items()), ", ".join(wrong)
        except duckdb.Error as error:
            expected, found = "Parquet", " ".join(str(error).split())[:300]
        remedy = f"npm run replay -- {file['batch']}"
        about = {"days": [day], "batches": [file["batch"]]}
        breach("curated", "a curated file can't be read", file["key"], expected, found, remedy, **about)
        return False

    def view(self, files: list[dict[str, str]]) -> None:
        """Makes the view `rows` of the files, with batch, key and `us`: microseconds since the epoch."""
        self.database.execute("CREATE OR REPLACE TABLE files (path VARCHAR, key VARCHAR, batch VARCHAR)")
        columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in CURATED.items())
        source = f"(SELECT {columns}, NULL::VARCHAR AS path WHERE false)"
        if files:
            self.database.executemany(
                "INSERT INTO files VALUES (?, ?, ?)", [(file["path"], file["key"], file["batch"]) for file in files]
            )
            paths = ", ".join(f"'{_quoted(file['path'])}'" for file in files)
            source = f"read_parquet([{paths}], filename = 'path', hive_partitioning = false, union_by_name = true)"
        self.database.execute(
            f"""
            CREATE OR REPLACE VIEW rows AS
            SELECT {", ".join(CURATED)}, epoch_us(listen_time) AS us, batch, key FROM {source} JOIN files USING (path)
            """
        )

    def check_rows(self, day: str) -> None:
        """Checks that each row is a listen of the day, and that no listen is there twice."""
        start = (datetime.fromisoformat(day).replace(tzinfo=timezone.utc) - EPOCH) // MICROSECOND
        stray = """
            SELECT user_id, track_id, us, key, batch FROM rows
            WHERE us IS NULL OR us NOT BETWEEN ? AND ? OR user_id IS NULL OR track_id IS NULL
        """
        for user_id, track_id, us, key, batch in self.rows(stray, [start, start + 86_400_000_000 - 1]):
            breach(
                "curated",
                "a row lies on another day",
                f"{_told(user_id, track_id, us)} in {key}",
                f"a listen of {day}",
                _moment(us),
                f"npm run replay -- {batch}",
                days=[day],
                batches=[batch],
            )
        twice = """
            SELECT user_id, track_id, us, count(*), list_sort(list(DISTINCT batch)) FROM rows
            GROUP BY user_id, track_id, us HAVING count(*) > 1
        """
        for user_id, track_id, us, count, batches in self.rows(twice):
            breach(
                "curated",
                "a listen is there more than once",
                _told(user_id, track_id, us),
                "one row",
                f"{count} rows, of {', '.join(batches)}",
                f"npm run replay -- {batches[-1]}",
                days=[day],
                batches=batches,
            )

    def check_forgotten(self, day: str, replaying: list[str]) -> None:
        """Checks that no forgotten listener has rows, but in a batch that will run again without them."""
        left = "SELECT user_id, batch, count(*) FROM rows SEMI JOIN forgotten USING (user_id) GROUP BY ALL ORDER BY ALL"
        for user_id, batch, count in self.rows(left):
            if batch in replaying:
                continue
            breach(
                "curated",
                "a forgotten listener has curated rows",
                f"{user_id} on {day} in batch {batch}",
                "no row",
                f"{count} rows",
                f"npx music-streams forget {user_id}",
                days=[day],
                batches=[batch],
            )

    def check_listens(self, day: str, unsure: list[str]) -> int:
        """Checks that the day's curated listens equal the archived ones. Returns the number of archived listens."""
        self.remember()
        path = self.listens / day
        path.touch()
        columns = "{user_id: 'VARCHAR', track_id: 'VARCHAR', us: 'BIGINT', batch: 'VARCHAR'}"
        self.database.execute(
            f"""
            CREATE OR REPLACE VIEW archived AS SELECT user_id, track_id, us, min(batch) AS batch
            FROM read_csv('{_quoted(str(path))}', header = false, auto_detect = false, delim = '\t', quote = '',
                          escape = '', columns = {columns})
            GROUP BY user_id, track_id, us
            """
        )
        lost = "SELECT user_id, track_id, us, batch FROM archived ANTI JOIN rows USING (user_id, track_id, us)"
        for user_id, track_id, us, batch in self.rows(lost):
            breach(
                "deep",
                "an archived listen is not curated",
                _told(user_id, track_id, us),
                f"a curated row of {day}, of batch {batch} or another",
                "none",
                f"npm run replay -- {batch}",
                days=[day],
                batches=[batch],
            )
        # The check of curated rows tells those of forgotten listeners.
        invented = """
            SELECT user_id, track_id, us, batch, key
            FROM rows ANTI JOIN archived USING (user_id, track_id, us) ANTI JOIN forgotten USING (user_id)
        """
        unchecked = 0
        for user_id, track_id, us, batch, key in self.rows(invented):
            if batch in unsure:
                unchecked += 1
                continue
            breach(
                "deep",
                "a curated listen is in no archived file",
                f"{_told(user_id, track_id, us)} in {key}",
                f"a row of an archived file, of batch {batch}",
                "none",
                f"npm run replay -- {batch}",
                days=[day],
                batches=[batch],
            )
        if unchecked:
            say(
                information="listens can't be compared with the archive, because their file is not in it",
                count=unchecked,
            )
        ((count,),) = self.rows("SELECT count(*) FROM archived")
        path.unlink()
        return int(count)

    def check_metrics(self, day: str, items: Optional[str]) -> int:
        """Checks that the day's items follow from its rows. Returns the right number of items."""
        there: Iterator[Row] = iter(())
        if items:
            columns = "{pk: 'VARCHAR', sk: 'VARCHAR', item: 'VARCHAR'}"
            source = f"read_json(?, format = 'newline_delimited', columns = {columns})"
            there = self.rows(f"SELECT pk, sk, item FROM {source} ORDER BY pk, sk", [items])
        count = 0
        remedy = None
        absent: list[tuple[Key, Item]] = []
        has_summary = False
        for key, wanted, found in _side_by_side(self.wanted(day), there):
            count += wanted is not None
            has_summary = has_summary or (key[1] == "SUMMARY" and found is not None)
            if wanted is not None and found is None and key[1] in ITEMS_OF_LATER_VERSIONS:
                absent.append((key, wanted))
            elif wanted != found:
                remedy = remedy or self.replay_all()
                _tell_difference(day, key, wanted, found, remedy)
        if has_summary and len(absent) == len(ITEMS_OF_LATER_VERSIONS):
            told = "days of an earlier version lack top tracks, hours and countries: a replay adds them"
            say(information=told, count=1, check="metrics")
            return count - len(absent)
        for key, wanted in absent:
            _tell_difference(day, key, wanted, None, self.replay_all())
        return count

    def replay_all(self) -> str:
        """The command that publishes the day again: a replay publishes only the tracks and genres of its own rows."""
        batches = [batch for (batch,) in self.rows("SELECT DISTINCT batch FROM rows ORDER BY batch")]
        more = f", and {len(batches) - MOST_NAMED} more batches of this day" if len(batches) > MOST_NAMED else ""
        return f"npm run replay -- {' '.join(batches[:MOST_NAMED])}{more}"

    def wanted(self, day: str) -> Iterator[Item]:
        """Yields every item of the day, by the definitions in docs/architecture.md, in order of pk and sk."""
        ((listens, listeners, ms, tracks),) = self.rows(f"SELECT {COUNTS}, count(DISTINCT track_id) FROM rows")
        if not listens:
            return
        by_genre = f"SELECT genre, {COUNTS} FROM {HEARD} GROUP BY genre"
        ranked = nsmallest(TOP_GENRES, _counted(self.rows(by_genre)), key=_place)
        ((genres,),) = self.rows(f"SELECT count(DISTINCT genre) FROM {HEARD}")
        first = [{"rank": rank, "genre": name, **counts} for rank, (name, counts, _) in enumerate(ranked, 1)]
        summary = {**_counts(listens, listeners, ms), "tracks": tracks, "genres": genres}
        yield {"pk": f"DAY#{day}", "sk": "COUNTRIES", "countries": self.countries()}
        yield {"pk": f"DAY#{day}", "sk": "HOURS", "hours": self.hours()}
        yield {"pk": f"DAY#{day}", "sk": "SUMMARY", **summary}
        if first:
            yield {"pk": f"DAY#{day}", "sk": "TOP_GENRES", "genres": first}
        every_track = f"SELECT track_id, {COUNTS}, {NAMES} FROM rows GROUP BY track_id"
        top_of_day = nsmallest(TOP_TRACKS_OF_DAY, _counted(self.rows(every_track)), key=_place)
        yield {
            "pk": f"DAY#{day}",
            "sk": "TOP_TRACKS",
            "tracks": _told_tracks(top_of_day, oracle.NAME_CHARACTERS_OF_TEN),
        }
        by_track = f"SELECT genre, track_id, {COUNTS}, {NAMES} FROM {HEARD} GROUP BY genre, track_id ORDER BY genre"
        tracks_of = groupby(self.rows(by_track), key=lambda row: row[0])
        for (genre, *counts), (_, rows) in zip(self.rows(f"{by_genre} ORDER BY genre"), tracks_of):
            group = _counts(*counts)
            yield {"pk": f"GENRE#{genre}", "sk": f"DAY#{day}", **group, **_average(group)}
            top = nsmallest(TOP_TRACKS, _counted(row[1:] for row in rows), key=_place)
            yield {"pk": f"GENRE#{genre}", "sk": f"TOP_TRACKS#{day}", "tracks": _told_tracks(top)}
        for track_id, of_track, names in _counted(self.rows(f"{every_track} ORDER BY track_id")):
            yield {"pk": f"TRACK#{track_id}", "sk": f"DAY#{day}", **of_track, **_average(of_track), **_names(*names)}

    def hours(self) -> list[dict[str, int]]:
        """Returns the day's counts by hour in UTC, of all 24 hours."""
        by_hour = f"SELECT us // 3600000000 % 24, {COUNTS} FROM rows WHERE us IS NOT NULL GROUP BY 1"
        heard = {hour: _counts(*counts) for hour, *counts in self.rows(by_hour)}
        return [{"hour": hour, **heard.get(hour, _counts(0, 0, 0))} for hour in range(24)]

    def countries(self) -> list[dict[str, Any]]:
        """Returns the day's counts by country, the most heard first. Unknown countries are an entry without one."""
        country = f"left(coalesce(user_country, ''), {oracle.COUNTRY_CHARACTERS})"
        by_country = _counted(self.rows(f"SELECT {country}, {COUNTS} FROM rows GROUP BY 1"))
        most = nsmallest(oracle.MOST_COUNTRIES, by_country, key=_place)
        return [{**({"country": name} if name else {}), **counts} for name, counts, _ in most]

    def rows(self, query: str, parameters: Iterable[Any] = ()) -> Iterator[Row]:
        """Yields a query's rows as needed. Several queries can be open at once."""
        cursor = self.database.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        try:
            cursor.execute(query, list(parameters))
            while some := cursor.fetchmany(10_000):
                yield from some
        finally:
            cursor.close()


COUNTS = "count(*), count(DISTINCT user_id), sum(coalesce(duration_ms, 0)::HUGEINT)"
# The latest batch that knew a name wins.
NAMES = ", ".join(
    f"max(struct_pack(batch := batch, name := {c})) FILTER ({c} <> '')" for c in ("track_name", "artists")
)
# A name that does not fit a key is no genre.
HEARD = (
    "(SELECT * FROM (SELECT * EXCLUDE (genres), unnest(genres) AS genre FROM rows) "
    f"WHERE octet_length(encode(genre)) BETWEEN 1 AND {oracle.GENRE_BYTES}) AS heard"
)


def _counts(listens: Any, listeners: Any, ms: Any) -> dict[str, int]:
    return {"listens": int(listens), "unique_listeners": int(listeners), "listening_ms": int(ms)}


def _counted(rows: Iterable[Row]) -> Iterator[tuple[str, dict[str, int], Row]]:
    """Yields name, counts, and the rest of each row."""
    for name, listens, listeners, ms, *rest in rows:
        yield name, _counts(listens, listeners, ms), tuple(rest)


def _place(group: tuple[str, dict[str, int], Row]) -> tuple[Any, ...]:
    name, counts, _ = group
    return -counts["listens"], -counts["unique_listeners"], -counts["listening_ms"], not name, name.encode()


def _told_tracks(
    top: Iterable[tuple[str, dict[str, int], Row]], characters: int = oracle.NAME_CHARACTERS
) -> list[dict[str, Any]]:
    return [
        {"rank": rank, "track_id": track_id, **of_track, **_names(*names, characters=characters)}
        for rank, (track_id, of_track, names) in enumerate(top, 1)
    ]


def _average(counts: dict[str, int]) -> dict[str, int]:
    return oracle.average(counts)


def _names(*latest: Optional[dict[str, str]], characters: int = oracle.NAME_CHARACTERS) -> dict[str, str]:
    keys = ("track_name", "artists")
    return {key: found["name"][:characters] for key, found in zip(keys, latest) if found}


def _side_by_side(wanted: Iterator[Item], there: Iterator[Row]) -> Iterator[tuple[Key, Optional[Item], Optional[Item]]]:
    """Yields both sides by key. Each side must be in the order of the keys."""
    one, other = next(wanted, None), next(there, None)
    while one is not None or other is not None:
        keys = [(one["pk"], one["sk"])] if one is not None else []
        if other is not None:
            keys.append((other[0], other[1]))
        key = min(keys)
        mine = one if one is not None and (one["pk"], one["sk"]) == key else None
        found = json.loads(other[2]) if other is not None and (other[0], other[1]) == key else None
        yield key, mine, found
        if mine is not None:
            one = next(wanted, None)
        if found is not None:
            other = next(there, None)


def _tell_difference(day: str, key: Key, wanted: Optional[Item], found: Optional[Item], remedy: str) -> None:
    where = " ".join(key)
    if wanted is None:
        delete = "delete the item: no curated row belongs to it"
        breach("metrics", "an item too many", where, "no item", _json(found), delete, days=[day])
    elif found is None:
        breach("metrics", "an item is missing", where, _json(wanted), "no item", remedy, days=[day])
    else:
        names = sorted({*wanted, *found})
        differing = [name for name in names if wanted.get(name) != found.get(name)]
        one, other = ({name: side[name] for name in differing if name in side} for side in (wanted, found))
        breach("metrics", "an item differs", where, _json(one), _json(other), remedy, days=[day])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _told(user_id: Optional[str], track_id: Optional[str], us: Optional[int]) -> str:
    return f"{user_id} {track_id} {_moment(us)}"


def _moment(us: Optional[int]) -> str:
    if us is None:
        return "no time"
    try:
        return (EPOCH + us * MICROSECOND).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{us} microseconds after 1970"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def main() -> None:
    """Answers requests until stdin ends."""
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    auditor = Auditor(Path(sys.argv[1]))
    carry_out: dict[str, Callable[..., Item]] = {
        "forgotten": auditor.forgotten,
        "claims": auditor.claims,
        "archived": auditor.archived,
        "unreadable": auditor.unreadable,
        "day": auditor.day,
    }
    for line in sys.stdin:
        request = json.loads(line)
        say(done=carry_out[request.pop("do")](**request))
        sys.stdout.flush()


if __name__ == "__main__":
    main()

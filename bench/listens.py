"""Made-up listens for benchmarks: the same arguments give the same rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

LAST_DAY = date(2024, 6, 25)
# One row in a hundred repeats another, and one in a hundred has a track that the reference data doesn't know.
ONE_IN = 100


@dataclass(frozen=True)
class Listens:
    """How many rows, in how many CSVs, over how many days up to the last one."""

    rows: int
    files: int = 1
    days: int = 1
    seed: int = 1

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"{self.rows}-{self.files}-{self.days}-{self.seed}"


def make(listens: Listens, reference: Path, below: Path) -> list[Path]:
    """Writes the CSVs to a folder of their own, if they aren't there. Returns their paths in order."""
    folder = below / listens.name
    if not folder.exists():
        unfinished = below / f"{listens.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _write(listens, reference, unfinished)
        unfinished.rename(folder)
    return sorted(folder.glob("*.csv"))


def _write(listens: Listens, reference: Path, folder: Path) -> None:
    """Each value is a hash of the row's number, so neither the order nor the number of threads matters.

    Half of the listens fall on tracks by 1/rank, the others on any track.
    """
    distinct = listens.rows - listens.rows // ONE_IN
    first = LAST_DAY - timedelta(days=listens.days - 1)

    def share(what: str) -> str:
        return f"(hash(j, '{what}', {listens.seed}) / 18446744073709551616.0)"

    with duckdb.connect() as connection:
        songs, users = (
            f"read_csv('{reference}/{name}.csv', header = true, all_varchar = true, quote = '\"', escape = '\"')"
            for name in ("songs", "users")
        )
        connection.execute(f"""
            CREATE TABLE tracks AS SELECT row_number() OVER (ORDER BY track_id) - 1 AS n, track_id
            FROM (SELECT DISTINCT track_id FROM {songs})
        """)
        connection.execute(f"""
            CREATE TABLE users AS SELECT row_number() OVER (ORDER BY user_id) - 1 AS m, user_id
            FROM (SELECT DISTINCT user_id FROM {users})
        """)
        counts = connection.execute("SELECT (SELECT count(*) FROM tracks), (SELECT count(*) FROM users)").fetchone()
        assert counts is not None
        tracks, people = counts
        connection.execute(f"""
            CREATE TABLE picked AS
            SELECT i, CAST(floor({share("user")} * {people}) AS BIGINT) AS m,
                CAST(floor(CASE WHEN {share("kind")} < 0.5 THEN exp({share("track")} * ln({tracks})) - 1
                    ELSE {share("track")} * {tracks} END) AS BIGINT) % {tracks} AS n,
                {share("known")} < 1.0 / {ONE_IN} AS is_unknown,
                TIMESTAMP '{first} 00:00:00'
                    + to_seconds(CAST(floor({share("time")} * {86_400 * listens.days}) AS BIGINT)) AS moment
            FROM (
                SELECT i, CASE WHEN i < {distinct} THEN i ELSE i - {distinct} END AS j FROM range({listens.rows}) r(i)
            )
        """)
        connection.execute("""
            CREATE TABLE listens AS
            SELECT i, user_id, CASE WHEN is_unknown THEN 'unknown' || lpad(CAST(n % 2000 AS VARCHAR), 15, '0')
                ELSE track_id END AS track_id, strftime(moment, '%Y-%m-%d %H:%M:%S') AS listen_time
            FROM picked JOIN tracks USING (n) JOIN users USING (m) ORDER BY i
        """)
        each = -(-listens.rows // listens.files)
        for nth in range(listens.files):
            connection.execute(f"""
                COPY (SELECT user_id, track_id, listen_time FROM listens
                    WHERE i >= {nth * each} AND i < {(nth + 1) * each} ORDER BY i)
                TO '{folder}/streams-{nth:05d}.csv' (HEADER, DELIMITER ',')
            """)

"""What programs wrote, as values that must be equal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
from tables import items_of

from lake import Lake

Rows = list[tuple[Any, ...]]


class OutputError(Exception):
    """Two programs disagree, so their times can't be compared."""


def curated(lake: Lake, prefix: str) -> tuple[Rows, Rows]:
    """Reads Parquet below a prefix: a digest of all rows, and the metrics of each day and genre."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        files = [str(file) for file in lake.download(prefix, ".parquet", Path(folder))]
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE VIEW rows AS SELECT user_id, track_id, CAST(listen_time AS TIMESTAMP) AS listen_time, track_name, "
            "duration_ms, genres, user_country FROM read_parquet(?, hive_partitioning = false)".replace(
                "?", repr(files)
            )
        )
        digest = "SELECT count(*), bit_xor(hash(user_id, track_id, listen_time, track_name, user_country)) FROM rows"
        metrics = """
            SELECT CAST(listen_time AS DATE) AS day, genre, count(*), count(DISTINCT user_id), sum(duration_ms)
            FROM (SELECT listen_time, user_id, duration_ms, unnest(genres) AS genre FROM rows)
            GROUP BY ALL ORDER BY ALL
        """
        return connection.execute(digest).fetchall(), connection.execute(metrics).fetchall()


def top_listens(lake: Lake, prefix: str) -> list[int]:
    """Reads the listens of the top genres that the naive baseline wrote, the largest first."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        files = [str(file) for file in lake.download(prefix, ".csv", Path(folder))]
        query = f"SELECT CAST(listens AS BIGINT) FROM read_csv({files!r}, header = true) ORDER BY 1 DESC"
        return [row[0] for row in connection.execute(query).fetchall()]


def expected_top_listens(files: list[Path], reference: Path) -> list[int]:
    """Computes the same from the CSVs. Like the naive baseline, it counts a repeated listen again."""
    options = """header = true, all_varchar = true, quote = '"', escape = '"'"""
    with duckdb.connect() as connection:
        rows = connection.execute(f"""
            SELECT of_genre FROM (
                SELECT CAST(played.listen_time[:10] AS DATE) AS day, songs.track_genre, count(*) AS of_genre
                FROM read_csv({[str(file) for file in files]!r}, {options}) AS played
                JOIN read_csv('{reference}/songs.csv', {options}) AS songs USING (track_id)
                JOIN read_csv('{reference}/users.csv', {options}) AS users USING (user_id)
                GROUP BY ALL
            )
            QUALIFY row_number() OVER (PARTITION BY day ORDER BY of_genre DESC) <= 5
            ORDER BY of_genre DESC
        """).fetchall()
    return [row[0] for row in rows]


def metrics(table: Any) -> list[dict[str, Any]]:
    """Reads the items of a metrics table in order, without what says when they were written."""
    items = [{name: item[name] for name in item if name != "published_at"} for item in items_of(table)]
    return sorted(items, key=lambda item: (item["pk"], item["sk"]))


def require_equal(what: str, found: Any, expected: Any) -> None:
    """Raises OutputError, with the first difference, unless both are equal."""
    if found == expected:
        return
    if isinstance(found, list) and len(found) == len(expected):
        found, expected = next(pair for pair in zip(found, expected) if pair[0] != pair[1])
    elif isinstance(found, list):
        found, expected = f"{len(found)} rows", f"{len(expected)}"
    raise OutputError(f"{what} differs: found {str(found)[:300]}, expected {str(expected)[:300]}")

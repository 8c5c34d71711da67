"""What transform writes to curated: columns, order, files, reference data."""

from __future__ import annotations

import csv as csv_module
import random
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import transform_support as support
from pyspark.sql import SparkSession
from transform_support import SONGS_KEY, USERS_KEY, Lake, csv, listen_keys, zipped

from music_streams import layout, placement

SORTED_DAYS = ["2024-05-20", "2024-05-21", "2024-05-22"]
LARGE_DAY = "2024-06-25"
WEEK = [f"2024-06-{day}" for day in range(24, 31)]


@pytest.fixture
def lake(s3: Any, spark: SparkSession) -> Lake:
    return Lake(s3, spark)


@pytest.fixture(scope="module")
def mixed(s3: Any, spark: SparkSession) -> tuple[Lake, dict[str, Any]]:
    """One batch for several tests: each has its own files, users and days."""
    lake = Lake(s3, spark)
    known = ["u0,t0,2024-06-10 10:00:00", "u1,t1,2024-06-10T23:59:59.123456-01:00", "x,y,2024-06-10 10:00:00"]
    many = [f"many{n},t{n * 7919 % 1000},2024-05-2{n % 3} 10:00:00" for n in range(3000)]
    return lake, lake.run({"known.csv": csv(*known), "many.csv": csv(*many), **week_of_odd_files()})


def week_of_odd_files() -> dict[str, str | bytes]:
    """Forty small files with various line ends, byte-order marks, compression and bad rows, and one without bytes."""
    files: dict[str, str | bytes] = {"odd/empty.csv": ""}
    for n in range(40):
        rows = [f"odd{(n * 5 + at) % 17},t{at % 3},{WEEK[(n + at) % 7]} {at:02}:{n:02}:00" for at in range(12)]
        text = csv(*rows, *(["u1,t1,never"] if n % 4 == 0 else []))
        text = text.replace("\n", "\r\n") if n % 3 == 0 else text
        text = "\ufeff" + text if n % 5 == 0 else text
        files[f"odd/{n}.csv.gz" if n % 6 == 0 else f"odd/{n}.csv"] = zipped(text) if n % 6 == 0 else text
    return files


def test_a_kept_row_carries_what_the_reference_data_knows(mixed: tuple[Lake, dict[str, Any]]) -> None:
    lake, report = mixed
    known, several, unknown = [row for row in lake.curated() if row["user_id"] in ("u0", "u1", "x")]
    assert known == {
        "user_id": "u0",
        "track_id": "t0",
        "listen_time": "2024-06-10 10:00:00.000000",
        "listen_date": date(2024, 6, 10),
        "batch_id": lake.batches[0],
        "track_name": 'Say "hi" é',
        "artists": "A;B",
        "album_name": "Al, bum",
        "popularity": 10,
        "duration_ms": 180000,
        "genres": ["pop"],
        "user_country": "Chile",
        "user_age": 30,
    }
    assert (several["genres"], several["listen_time"], several["listen_date"]) == (
        ["indie", "rock"],
        "2024-06-11 00:59:59.123456",
        date(2024, 6, 11),
    )
    nothing = ("track_name", "artists", "album_name", "popularity", "duration_ms", "user_country", "user_age")
    assert [unknown[name] for name in nothing] == [None] * 7
    assert unknown["genres"] == []
    # All rows of the other files have unknown users; of their tracks, the reference data knows t0 and t1.
    unknown_tracks = sum(1 for row in lake.curated() if row["track_id"] not in ("t0", "t1"))
    assert (report["unknownTracks"], report["unknownUsers"]) == (unknown_tracks, report["rowsKept"] - 2)
    assert report["days"] == [*SORTED_DAYS, "2024-06-10", "2024-06-11", *WEEK]
    assert lake.json("touched", lake.batches[0]) == {"days": report["days"]}
    assert lake.json("readingMarker", lake.batches[0]) == {"workflowRunId": "wr_1"}


def test_the_files_have_the_contract_s_columns_sorted_by_track(
    mixed: tuple[Lake, dict[str, Any]], tmp_path: Path
) -> None:
    lake, report = mixed
    keys = lake.keys(layout.key("listens"))
    assert len(keys) == len(report["days"]) == 12
    for day, key in zip(report["days"], keys):
        assert key.startswith(layout.key("listensBatch", date=day, batchId=lake.batches[0]) + "part-")
        lake.s3.download_file(lake.bucket, key, str(tmp_path / "file.parquet"))
        with duckdb.connect() as connection:
            source = f"'{tmp_path / 'file.parquet'}'"
            columns = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            assert {column[0]: column[1] for column in columns} == {
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
            tracks = [row[0] for row in connection.execute(f"SELECT track_id FROM {source}").fetchall()]
            assert tracks == sorted(tracks)
            assert day not in SORTED_DAYS or len(tracks) == 1000
            codecs = connection.execute(f"SELECT DISTINCT compression FROM parquet_metadata({source})").fetchall()
            assert codecs == [("ZSTD",)]


def test_a_week_of_odd_files_adds_up(mixed: tuple[Lake, dict[str, Any]]) -> None:
    lake, report = mixed
    odd = [file for file in report["files"] if file["name"].startswith("odd/")]
    assert len(odd) == 40
    assert sum(file["rowsRead"] for file in odd) == 490
    assert all(file["rowsKept"] == 12 for file in odd)
    assert report["rowsQuarantined"] == {"bad_listen_time": 10}
    assert [bad["name"] for bad in report["filesQuarantined"]] == ["odd/empty.csv"]
    assert len([row for row in lake.curated() if row["user_id"].startswith("odd")]) == 480
    assert (report["rowsRead"], report["rowsKept"], report["rowsDuplicate"]) == (3493, 3483, 0)


@pytest.fixture(scope="module")
def twice(s3: Any, spark: SparkSession) -> tuple[Lake, list[list[dict[str, Any]]]]:
    """A batch of seven small days and a large one, and what S3 lists after each of two runs."""
    lake = Lake(s3, spark)
    small = [f"u{n % 50},t{n % 3},2024-06-{1 + n % 7:02} {n % 24:02}:{n // 168:02}:00" for n in range(2000)]
    large = [f"u{n},t{n // 2:05},{LARGE_DAY} 10:00:00" for n in range(4000)]
    batch = lake.claim({"a.csv": csv(*small[::2]), "b.csv": csv(*small[1::2]), "large.csv": csv(*large)})
    written = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(placement, "FEWEST_ROWS", 400)
        patched.setattr(placement, "MOST_ROWS", 400)
        patched.setattr(placement, "FILE_ROWS", 1)
        for _ in range(2):
            assert lake.transform(batch)["files"][2]["rowsKept"] == 4000
            written.append(lake.entries(layout.key("listens")))
    return lake, written


def test_a_large_day_becomes_several_files_each_with_tracks_of_its_own(
    twice: tuple[Lake, list[list[dict[str, Any]]]],
) -> None:
    lake, _ = twice
    keys = lake.keys(layout.key("listensDay", date=LARGE_DAY))
    assert len(keys) == 10
    tracks_of: dict[str, list[str]] = {}
    for row in lake.parquet(keys, "track_id, key"):
        tracks_of.setdefault(row["key"], []).append(row["track_id"])
    assert len(tracks_of) == len(keys)
    assert all(tracks == sorted(tracks) for tracks in tracks_of.values())
    assert sum(len(tracks) for tracks in tracks_of.values()) == 4000
    assert sum(len(set(tracks)) for tracks in tracks_of.values()) == 2000
    assert all(200 < len(tracks) < 800 for tracks in tracks_of.values())


def test_a_batch_that_runs_again_writes_the_same_bytes(twice: tuple[Lake, list[list[dict[str, Any]]]]) -> None:
    # Publish's checkpoint knows the days of an earlier attempt by the ETags of their files.
    _, written = twice
    first, again = (
        sorted((entry["Key"].rpartition("/")[0], entry["Size"], entry["ETag"]) for entry in entries)
        for entries in written
    )
    assert len(first) == 7 + 10
    assert again == first
    first_names, names = ({entry["Key"] for entry in entries} for entries in written)
    assert not first_names & names


def test_generated_days_reconcile_row_by_row(lake: Lake) -> None:
    chance = random.Random(3)
    rows = [
        f"{n},t{chance.randrange(4)},2024-06-25 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}"
        for n in range(22_692)
    ]
    reconcile_row_by_row(lake, {"one.csv": csv(*rows[::2]), "two.csv": csv(*rows[1::2])}, support.SONGS)


def test_real_days_reconcile_row_by_row(lake: Lake, real_data: Path) -> None:
    for key, name in ((SONGS_KEY, "songs.csv"), (USERS_KEY, "users.csv")):
        lake.put(key, (real_data / "reference" / name).read_bytes())
    sources = {path.name: path.read_bytes().decode() for path in (real_data / "streams").iterdir()}
    reconcile_row_by_row(lake, sources, (real_data / "reference" / "songs.csv").read_text())


def reconcile_row_by_row(lake: Lake, sources: dict[str, str], songs: str) -> None:
    """Transforms files of 22,692 distinct listens, and checks each curated row by its line and the songs."""
    report = lake.transform(lake.claim(dict(sources), "2026-11-23T10:00:00.000Z"))
    assert (report["rowsRead"], report["rowsKept"], report["rowsDuplicate"], report["rowsQuarantined"]) == (
        22_692,
        22_692,
        0,
        {},
    )
    genres: dict[str, set[str]] = {}
    first: dict[str, tuple[str, str, str, int]] = {}
    for song in read_songs(songs):
        genres.setdefault(song["track_id"], set()).add(song["track_genre"])
        found = (song["track_genre"], song["track_name"], song["artists"], int(song["duration_ms"]))
        first[song["track_id"]] = min(first.get(song["track_id"], found), found, key=lambda some: some[0])
    curated = lake.curated()
    for row in curated:
        assert row["genres"] == sorted(genres.get(row["track_id"], []))
        expected = first.get(row["track_id"], (None, None, None, None))[1:]
        assert tuple(text or None for text in expected) == (row["track_name"], row["artists"], row["duration_ms"])
    lines = [line for text in sources.values() for line in text.splitlines()]
    wanted = Counter(line for line in lines if not line.startswith("user_id"))
    assert Counter(f"{user},{track},{time[:19]}" for user, track, time in listen_keys(curated)) == wanted
    assert report["unknownTracks"] == sum(1 for row in curated if row["track_id"] not in genres)


def read_songs(text: str) -> Iterator[dict[str, str]]:
    yield from csv_module.DictReader(text.splitlines(keepends=True))

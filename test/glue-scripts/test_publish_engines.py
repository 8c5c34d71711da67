"""DuckDB and Spark run the same SQL: both give the same items, and the oracle's."""

from __future__ import annotations

import random
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from publish_support import DAY, NEXT_DAY, Lake, Row, expected

import music_streams
from spark_support import FULL

FIRST = "20240625T100000Z-aaaaaaaa"
SECOND = "20240625T110000Z-bbbbbbbb"
GENRES = ["Pop", "pop", "pöp", "pop\u0301", "z", "Z", "😀", "ﬀ", "_", "a b#c", "日本", "'; --"]


@pytest.fixture
def lake(s3: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return Lake(s3, dynamodb, monkeypatch)


@pytest.fixture(scope="session")
def library(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Adds the job's library to the executors, as the zip that Glue gives them."""
    archive = tmp_path_factory.mktemp("library") / "music_streams.zip"
    package = Path(music_streams.__file__).parent
    with zipfile.ZipFile(archive, "w") as written:
        for path in package.rglob("*"):
            if path.suffix in (".py", ".sql"):
                written.write(path, path.relative_to(package.parent))
        written.write(package.parents[1] / "layout.json", "music_streams/layout.json")
    spark.sparkContext.addPyFile(str(archive))


def odd_rows() -> list[Row]:
    """Draws rows with ties, odd texts, sums beyond 64 bits, nulls, tracks without genre and with many."""
    chance = random.Random(7)
    tracks = {}
    for number in range(60):
        names = chance.choice([None, "", "A Name", "Ünï 'quoted' \"twice\"", "日本\n語", "x" * 9000, " spaced "])
        duration = chance.choice([None, 0, 1, -5, 200_000, 2**63 - 1])
        genres = tuple(sorted(chance.sample(GENRES, chance.choice([0, 1, 1, 2, 5]))))
        tracks[chance.choice("tTzZ_.:-09") * 2 + str(number)] = (
            names,
            chance.choice([None, names, "B;C"]),
            duration,
            genres,
        )
    countries = [None, "", "Chile", "Peru", "peru", "Ñandú", "日本", "x" * 256, "x" * 300, "😀" * 257, " ", "Chile"]
    drawn = {
        (
            chance.randrange(12),
            chance.choice(sorted(tracks)),
            f"2024-06-{chance.randrange(24, 27)} {chance.randrange(24):02d}:{chance.choice(['00:00', '59:59.999999'])}",
        )
        for _ in range(700)
    }
    return [
        Row(f"u{user}", track_id, time, *tracks[track_id], user_country=countries[user])
        for user, track_id, time in sorted(drawn)
    ]


@pytest.mark.grows
def test_both_engines_give_the_items_from_scratch(
    lake: Lake, s3: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, library: None
) -> None:
    rows = odd_rows()
    by_spark = Lake(s3, dynamodb, monkeypatch)
    reports = []
    for place, engine in ((lake, "duckdb"), (by_spark, "spark")):
        first = place.publish(FIRST, place.curate(FIRST, rows[::2]), engine if FULL else "duckdb")
        second = place.publish(SECOND, place.curate(SECOND, rows[1::2]), engine)
        reports.append(
            [{k: v for k, v in r.items() if k not in ("startedAt", "finishedAt", "engine")} for r in (first, second)]
        )
    assert lake.items() == expected([cut(row) for row in rows])
    assert by_spark.items() == lake.items()
    assert reports[0] == reports[1]


def test_spark_removes_empty_groups_and_takes_names_from_the_latest_batch(lake: Lake, library: None) -> None:
    moved = [Row("u1", "t1", genres=("old",)), Row("u1", "t2")]
    lake.publish(FIRST, lake.curate(FIRST, moved))
    lake.replaced(FIRST, moved)
    lake.curate(FIRST, [Row("u1", "t2", f"{NEXT_DAY} 10:00:00")])
    report = lake.publish(FIRST, [DAY, NEXT_DAY], "spark")
    assert (report["engine"], report["itemsRemoved"]) == ("spark", 11)
    assert lake.items() == expected([Row("u1", "t2", f"{NEXT_DAY} 10:00:00")])
    # DuckDB finds Spark's items unchanged.
    assert lake.publish(FIRST, [DAY, NEXT_DAY])["itemsWritten"] == 0
    newer = Row("u2", "t2", f"{NEXT_DAY} 11:00:00", track_name="New", artists=None, genres=("pop",))
    lake.publish(SECOND, lake.curate(SECOND, [newer]), "spark")
    track = lake.item("TRACK#t2", f"DAY#{NEXT_DAY}")
    assert track is not None
    assert (track["track_name"], track["artists"], track["listens"]) == ("New", "Someone", 2)


def cut(row: Row) -> Row:
    """Returns the row with its names cut as in an item, and None for empty ones."""
    track_name, artists = ((name or "")[:8192] or None for name in (row.track_name, row.artists))
    return replace(row, track_name=track_name, artists=artists)


@st.composite
def batches(draw: st.DrawFn) -> list[list[Row]]:
    """Draws distinct listens of a few users, tracks and days, in one to four batches."""
    tracks = {
        f"t{number}": (draw(st.sampled_from([None, "N"])), "A", draw(st.sampled_from([None, 0, 1, 3])), tuple(genres))
        for number, genres in enumerate(
            draw(st.lists(st.sets(st.sampled_from(["g", "h", "é"])).map(sorted), min_size=1, max_size=5))
        )
    }
    listen = st.tuples(
        st.sampled_from(["u1", "u2", "u3"]),
        st.sampled_from(sorted(tracks)),
        st.sampled_from([DAY, NEXT_DAY]),
        st.integers(10, 13),
    )
    listens = draw(st.lists(listen, unique=True, min_size=1, max_size=40))
    countries = {user: draw(st.sampled_from([None, "", "A", "B", "b"])) for user in ("u1", "u2", "u3")}
    rows = [
        Row(user, track, f"{day} {hour}:00:00", *tracks[track], user_country=countries[user])
        for user, track, day, hour in listens
    ]
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    return [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)])]


@pytest.mark.grows
@settings(
    max_examples=25 if FULL else 4,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches(), st.randoms(use_true_random=False))
def test_any_split_into_batches_in_any_order_gives_the_items_from_scratch(
    s3: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, drawn: list[list[Row]], order: random.Random
) -> None:
    lake = Lake(s3, dynamodb, monkeypatch)
    numbered = list(enumerate(drawn))
    order.shuffle(numbered)
    for number, rows in numbered:
        batch_id = f"20240625T10{number:04d}Z-aaaaaaaa"
        lake.publish(batch_id, lake.curate(batch_id, rows))
    assert lake.items() == expected(row for rows in drawn for row in rows)

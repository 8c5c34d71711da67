"""The publish job on an emulator: what it writes, and that it writes only what changed.

One file, because its tests share the fixtures above them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from publish_support import CURATED, DAY, NEXT_DAY, Lake, Row, curated, expected

import oracle
from music_streams import layout, publish_duckdb, store
from spark_support import FULL

FIRST = "20240625T100000Z-aaaaaaaa"
SECOND = "20240625T110000Z-bbbbbbbb"


@pytest.fixture
def lake(s3: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Lake:
    return Lake(s3, dynamodb, monkeypatch)


def test_the_metrics_of_a_tiny_day_equal_those_worked_out_by_hand(lake: Lake) -> None:
    days = lake.curate(
        FIRST,
        [
            Row("u1", "t1", duration_ms=100, genres=("pop", "rock")),
            Row("u1", "t1", f"{DAY} 00:00:00", duration_ms=100, genres=("pop", "rock")),
            Row("u2", "t1", duration_ms=100, genres=("pop", "rock"), user_country="Peru"),
            Row("u2", "t2", track_name="Ünï", artists=None, duration_ms=None, genres=("pop",), user_country="Peru"),
            Row("u3", "t3", f"{DAY} 23:59:59.999999", None, None, None, genres=(), user_country=None),
        ],
    )
    report = lake.publish(FIRST, days)
    none = {"listens": 0, "unique_listeners": 0, "listening_ms": 0}
    one = {"listens": 1, "unique_listeners": 1, "listening_ms": 0}
    hours = {0: {**one, "listening_ms": 100}, 10: {"listens": 3, "unique_listeners": 2, "listening_ms": 200}, 23: one}
    t1 = {"listens": 3, "unique_listeners": 2, "listening_ms": 300}
    t2 = {"listens": 1, "unique_listeners": 1, "listening_ms": 0}
    pop = {"listens": 4, "unique_listeners": 2, "listening_ms": 300}
    named = {"track_name": "A Name", "artists": "Someone"}
    first = {"rank": 1, "track_id": "t1", **t1, **named}
    assert lake.items() == [
        {
            "pk": f"DAY#{DAY}",
            "sk": "COUNTRIES",
            "countries": [
                {"country": "Chile", "listens": 2, "unique_listeners": 1, "listening_ms": 200},
                {"country": "Peru", "listens": 2, "unique_listeners": 1, "listening_ms": 100},
                one,
            ],
        },
        {
            "pk": f"DAY#{DAY}",
            "sk": "HOURS",
            "hours": [{"hour": hour, **hours.get(hour, none)} for hour in range(24)],
        },
        {
            "pk": f"DAY#{DAY}",
            "sk": "SUMMARY",
            "listens": 5,
            "unique_listeners": 3,
            "listening_ms": 300,
            "tracks": 3,
            "genres": 2,
        },
        {
            "pk": f"DAY#{DAY}",
            "sk": "TOP_GENRES",
            "genres": [{"rank": 1, "genre": "pop", **pop}, {"rank": 2, "genre": "rock", **t1}],
        },
        {
            "pk": f"DAY#{DAY}",
            "sk": "TOP_TRACKS",
            "tracks": [
                first,
                {"rank": 2, "track_id": "t2", **t2, "track_name": "Ünï"},
                {"rank": 3, "track_id": "t3", **t2},
            ],
        },
        {"pk": "GENRE#pop", "sk": f"DAY#{DAY}", **pop, "avg_listening_ms_per_listener": 150},
        {
            "pk": "GENRE#pop",
            "sk": f"TOP_TRACKS#{DAY}",
            "tracks": [first, {"rank": 2, "track_id": "t2", **t2, "track_name": "Ünï"}],
        },
        {"pk": "GENRE#rock", "sk": f"DAY#{DAY}", **t1, "avg_listening_ms_per_listener": 150},
        {"pk": "GENRE#rock", "sk": f"TOP_TRACKS#{DAY}", "tracks": [first]},
        {"pk": "TRACK#t1", "sk": f"DAY#{DAY}", **t1, **named, "avg_listening_ms_per_listener": 150},
        {"pk": "TRACK#t2", "sk": f"DAY#{DAY}", **t2, "track_name": "Ünï", "avg_listening_ms_per_listener": 0},
        {"pk": "TRACK#t3", "sk": f"DAY#{DAY}", **t2, "avg_listening_ms_per_listener": 0},
    ]
    counts = {
        key: report[key]
        for key in ("days", "engine", "groupsComputed", "itemsWritten", "itemsUnchanged", "itemsRemoved")
    }
    assert counts == {
        "days": [DAY],
        "engine": "duckdb",
        "groupsComputed": 6,
        "itemsWritten": 12,
        "itemsUnchanged": 0,
        "itemsRemoved": 0,
    }
    assert (report["batchId"], report["workflowRunId"]) == (FIRST, "wr_1")


def listed_items(lake: Lake) -> list[tuple[str, str]]:
    return [(item["pk"], item["sk"]) for item in lake.items(stamps=True) if "listed_in" in item]


def test_the_index_has_the_days_and_the_genres_of_each_day_and_nothing_else(lake: Lake) -> None:
    # The longest name that fits the index's key, and one that does not.
    fits, long = "é" * 509, "é" * 510
    rows = [Row("u1", "t1", genres=("rock", fits, long, "pop")), Row("u1", "t1", f"{NEXT_DAY} 10:00:00")]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    assert lake.listed("DAYS") == [f"DAY#{DAY}", f"DAY#{NEXT_DAY}"]
    assert lake.listed(f"GENRES#{DAY}") == ["GENRE#pop", "GENRE#rock", f"GENRE#{fits}"]
    assert lake.listed(f"GENRES#{NEXT_DAY}") == ["GENRE#pop"]
    assert len(listed_items(lake)) == 6
    assert lake.item(f"GENRE#{long}", f"DAY#{DAY}") is not None


def test_an_item_of_an_earlier_version_is_listed_once_its_batch_is_published_again(lake: Lake) -> None:
    days = lake.curate(FIRST, [Row("u1", "t1")])
    lake.publish(FIRST, days)
    for pk, sk in listed_items(lake):
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        lake.dynamodb.update_item(TableName=lake.table, Key=key, UpdateExpression="REMOVE listed_in")
    assert lake.listed("DAYS") == []
    report = lake.publish(FIRST, days)
    assert (lake.listed("DAYS"), lake.listed(f"GENRES#{DAY}")) == ([f"DAY#{DAY}"], ["GENRE#pop"])
    assert report["itemsWritten"] == 2


def test_a_day_and_a_genre_without_listens_are_no_longer_listed(lake: Lake) -> None:
    lake.publish(FIRST, lake.curate(FIRST, [Row("u1", "t1")]))
    lake.replaced(FIRST, [Row("u1", "t1")])
    lake.uncurate(FIRST)
    lake.publish(FIRST, [DAY])
    assert (lake.listed("DAYS"), lake.listed(f"GENRES#{DAY}")) == ([], [])


def test_an_average_is_rounded_half_up(lake: Lake) -> None:
    rows = [Row("u1", "up", duration_ms=3), Row("u2", "up", duration_ms=0), Row("u1", "down", duration_ms=1)]
    rows += [Row(f"u{n}", "down", duration_ms=0) for n in (2, 3)]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    averages = {item["pk"]: item.get("avg_listening_ms_per_listener") for item in lake.items()}
    assert averages["TRACK#up"] == 2
    assert averages["TRACK#down"] == 0


def test_a_second_batch_of_the_day_adds_listens_but_not_listeners_it_knows(lake: Lake) -> None:
    first = [Row("u1", "t1"), Row("u2", "t1")]
    second = [Row("u1", "t1", f"{DAY} 12:00:00"), Row("u3", "t1", f"{DAY} 12:00:00")]
    lake.publish(FIRST, lake.curate(FIRST, first))
    lake.publish(SECOND, lake.curate(SECOND, second))
    assert lake.items() == expected(first + second)
    track = lake.item("TRACK#t1", f"DAY#{DAY}")
    assert track is not None
    assert (track["listens"], track["unique_listeners"]) == (4, 3)


def test_only_what_the_batch_touched_is_written_again(lake: Lake) -> None:
    first = [Row("u1", f"t{n}", genres=(f"g{n}",)) for n in range(20)]
    second = [Row("u2", "t3", genres=("g3",))]
    lake.publish(FIRST, lake.curate(FIRST, first))
    report = lake.publish(SECOND, lake.curate(SECOND, second))
    # The track, its genre with its top tracks, and all of the day.
    assert (report["itemsWritten"], report["itemsUnchanged"], report["groupsComputed"]) == (8, 0, 3)
    by_second = sorted((item["pk"], item["sk"]) for item in lake.items(stamps=True) if item["batch_id"] == SECOND)
    assert by_second == [
        (f"DAY#{DAY}", "COUNTRIES"),
        (f"DAY#{DAY}", "HOURS"),
        (f"DAY#{DAY}", "SUMMARY"),
        (f"DAY#{DAY}", "TOP_GENRES"),
        (f"DAY#{DAY}", "TOP_TRACKS"),
        ("GENRE#g3", f"DAY#{DAY}"),
        ("GENRE#g3", f"TOP_TRACKS#{DAY}"),
        ("TRACK#t3", f"DAY#{DAY}"),
    ]
    assert lake.items() == expected(first + second)


def test_publishing_a_batch_again_writes_nothing_and_keeps_the_stamps(lake: Lake) -> None:
    days = lake.curate(FIRST, [Row("u1", "t1"), Row("u1", "t2", track_name=None, genres=("a", "b"))])
    written = lake.publish(FIRST, days)["itemsWritten"]
    before = lake.items(stamps=True)
    report = lake.publish(FIRST, days)
    assert (report["itemsWritten"], report["itemsUnchanged"], report["itemsRemoved"]) == (0, written, 0)
    assert lake.items(stamps=True) == before
    assert {item["batch_id"] for item in before} == {FIRST}
    assert all(item["published_at"].endswith("Z") for item in before)


def test_a_damaged_item_is_written_again(lake: Lake) -> None:
    days = lake.curate(FIRST, [Row("u1", "t1")])
    lake.publish(FIRST, days)
    before = lake.items()
    key = {"pk": {"S": "TRACK#t1"}, "sk": {"S": f"DAY#{DAY}"}}
    lake.dynamodb.put_item(TableName=lake.table, Item={**key, "listens": {"N": "7"}, "surplus": {"BOOL": True}})
    assert lake.publish(FIRST, days)["itemsWritten"] == 1
    assert lake.items() == before


def test_groups_that_a_replay_left_without_rows_are_removed(lake: Lake) -> None:
    old = [Row("u1", "t1", genres=("old",)), Row("u1", "t2", genres=("kept",))]
    new = [Row("u1", "t1", genres=("new",)), Row("u1", "t2", genres=("kept",))]
    lake.publish(FIRST, lake.curate(FIRST, old))
    lake.replaced(FIRST, old)
    report = lake.publish(FIRST, lake.curate(FIRST, new))
    assert report["itemsRemoved"] == 2
    assert lake.items() == expected(new)


def test_an_emptied_day_loses_all_its_items_and_a_moved_listen_finds_its_new_day(lake: Lake) -> None:
    old, other, new = Row("u1", "t1"), Row("u5", "t9", f"{NEXT_DAY} 09:00:00"), Row("u1", "t1", f"{NEXT_DAY} 10:00:00")
    lake.publish(FIRST, lake.curate(FIRST, [old]))
    lake.publish(SECOND, lake.curate(SECOND, [other]))
    lake.replaced(FIRST, [old])
    lake.curate(FIRST, [new])
    lake.publish(FIRST, [DAY, NEXT_DAY])
    assert lake.items() == expected([other, new])
    assert lake.item(f"DAY#{DAY}", "HOURS") is None
    again = lake.publish(FIRST, [DAY, NEXT_DAY])
    assert (again["itemsWritten"], again["itemsRemoved"]) == (0, 0)


def test_a_late_listen_changes_its_own_day_only(lake: Lake) -> None:
    first = [Row("u1", "t1", f"{NEXT_DAY} 10:00:00"), Row("u1", "t1")]
    late = [Row("u2", "t1", f"{DAY} 23:59:59")]
    lake.publish(FIRST, lake.curate(FIRST, first))
    lake.publish(SECOND, lake.curate(SECOND, late))
    assert lake.items() == expected(first + late)
    assert {item["batch_id"] for item in lake.items(stamps=True) if NEXT_DAY in item["pk"] + item["sk"]} == {FIRST}


def test_ties_are_broken_by_listeners_then_listening_time_then_the_bytes_of_the_id(lake: Lake) -> None:
    tied = [
        Row("u1", track, genres=("g", genre))
        for track, genre in (("b", "é"), ("a", "z"), ("B", "Z"), ("_".join("xy"), "ﬀ"))
    ]
    more_time = [Row("u1", "slow", duration_ms=1001, genres=("g",))]
    one_listener = [Row("u1", "loyal", f"{DAY} 1{n}:00:00", duration_ms=9000, genres=("g", "😀")) for n in range(2)]
    two_listeners = [Row(f"u{n}", "shared", genres=("g",)) for n in range(2)]
    rows = tied + more_time + one_listener + two_listeners
    lake.publish(FIRST, lake.curate(FIRST, rows))
    tracks = lake.item("GENRE#g", f"TOP_TRACKS#{DAY}")
    genres = lake.item(f"DAY#{DAY}", "TOP_GENRES")
    assert tracks is not None
    assert genres is not None
    assert [(entry["rank"], entry["track_id"]) for entry in tracks["tracks"]] == [
        (1, "shared"),
        (2, "loyal"),
        (3, "slow"),
    ]
    assert [entry["genre"] for entry in genres["genres"]] == ["g", "😀", "Z", "z", "é"]
    day = lake.item(f"DAY#{DAY}", "TOP_TRACKS")
    assert day is not None
    assert [entry["track_id"] for entry in day["tracks"]] == ["shared", "loyal", "slow", "B", "a", "b", "x_y"]
    assert lake.items() == expected(rows)


def test_a_day_names_its_first_ten_tracks_whatever_their_genres(lake: Lake) -> None:
    # Eleven tracks tie for the last nine places.
    heard = [(f"t{n:02d}", 3 if n == 12 else 2 if n < 11 else 1) for n in range(13)]
    rows = [
        Row("u1", track, f"{DAY} 10:00:0{at}", genres=(f"g{track}",) if track < "t05" else ())
        for track, times in heard
        for at in range(times)
    ]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    day = lake.item(f"DAY#{DAY}", "TOP_TRACKS")
    assert day is not None
    assert [entry["track_id"] for entry in day["tracks"]] == ["t12", *(f"t{n:02d}" for n in range(9))]
    assert [entry["rank"] for entry in day["tracks"]] == list(range(1, 11))
    assert lake.items() == expected(rows)


def test_the_hours_of_days_that_are_computed_together_stay_apart(lake: Lake) -> None:
    rows = [Row("u1", "t1", f"2024-06-{day:02d} {hour:02d}:30:00") for day in range(1, 21) for hour in range(day, 24)]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    assert lake.items() == expected(rows)


def countries_of(lake: Lake) -> list[tuple[str | None, int, int]]:
    item = lake.item(f"DAY#{DAY}", "COUNTRIES")
    assert item is not None
    return [(entry.get("country"), entry["listens"], entry["unique_listeners"]) for entry in item["countries"]]


def test_countries_have_the_order_of_ranks_and_the_unknown_one_is_last_among_equals(lake: Lake) -> None:
    rows = [Row(f"u{n}", "t1", user_country=name) for n, name in enumerate(["é", "Z", None, "z", "", "Z"])]
    rows += [Row("loyal", f"t{n}", user_country="A") for n in range(2)]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    assert countries_of(lake) == [("Z", 2, 2), (None, 2, 2), ("A", 2, 1), ("z", 1, 1), ("é", 1, 1)]
    assert lake.items() == expected(rows)


def test_a_listener_whose_country_changed_between_batches_counts_in_both(lake: Lake) -> None:
    old = [Row("u1", "t1", user_country="Chile"), Row("u2", "t1", user_country="Chile")]
    new = [Row("u1", "t1", f"{DAY} 11:00:00", user_country="Peru"), Row("u1", "t2", user_country="Peru")]
    lake.publish(FIRST, lake.curate(FIRST, old))
    lake.publish(SECOND, lake.curate(SECOND, new))
    assert countries_of(lake) == [("Chile", 2, 2), ("Peru", 2, 1)]


def test_texts_that_are_no_countries_and_long_names_leave_an_item_below_400_kb(lake: Lake) -> None:
    long = "😀" * 3_000
    rows = [Row(f"u{n}", f"t{n}", track_name=long, artists=long, user_country=f"{n:03d}{long}") for n in range(260)]
    # Both are one country once they are cut.
    rows += [Row(f"a{n}", "t0", track_name=long, artists=long, user_country=f"{'x' * 256}{n}") for n in range(2)]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    countries = countries_of(lake)
    assert countries[0] == ("x" * 256, 2, 2)
    assert countries[1:] == [(f"{n:03d}{'😀' * 253}", 1, 1) for n in range(249)]
    day = lake.item(f"DAY#{DAY}", "TOP_TRACKS")
    assert day is not None
    assert {len(entry[name]) for entry in day["tracks"] for name in ("track_name", "artists")} == {2048}
    largest = max(len(json.dumps(item, ensure_ascii=False).encode()) for item in lake.items())
    assert 250_000 < largest < 400_000
    assert lake.items() == expected(rows)


def test_curated_files_without_countries_have_listens_of_an_unknown_country(lake: Lake) -> None:
    old, new = Row("u1", "t1"), Row("u2", "t1")
    kept = [column for column in CURATED.replace("\n", "").split(",") if "country" not in column]
    values = [value for value, column in zip(curated(old), CURATED.split(",")) if "country" not in column]
    lake.put_parquet(
        f"{layout.key('listensBatch', date=DAY, batchId=FIRST)}part-0.parquet", ",".join(kept), [tuple(values)]
    )
    lake.publish(FIRST, [DAY])
    assert countries_of(lake) == [(None, 1, 1)]
    lake.publish(SECOND, lake.curate(SECOND, [new]))
    assert countries_of(lake) == [("Chile", 1, 1), (None, 1, 1)]


def test_a_name_is_that_of_the_latest_batch_that_knows_it(lake: Lake) -> None:
    lake.publish(FIRST, lake.curate(FIRST, [Row("u1", "t1", track_name="Old", artists="Old")]))
    lake.publish(SECOND, lake.curate(SECOND, [Row("u2", "t1", track_name="New", artists=None)]))
    third = "20240625T120000Z-cccccccc"
    lake.publish(third, lake.curate(third, [Row("u3", "t1", track_name=None, artists="", duration_ms=None, genres=())]))
    track = lake.item("TRACK#t1", f"DAY#{DAY}")
    assert track is not None
    assert (track["track_name"], track["artists"], track["listens"]) == ("New", "Old", 3)


def test_a_genre_and_its_top_tracks_count_the_listens_that_had_it(lake: Lake) -> None:
    # Reference data changed between the batches.
    third = "20240625T120000Z-cccccccc"
    lake.publish(FIRST, lake.curate(FIRST, [Row("u1", "t1", track_name="Old", genres=("pop",))]))
    lake.publish(SECOND, lake.curate(SECOND, [Row("u2", "t1", track_name="New", genres=("pop", "rock"))]))
    lake.publish(third, lake.curate(third, [Row("u3", "t1", track_name="Newest", genres=("pop",))]))
    found = {}
    for genre in ("pop", "rock"):
        day, top = lake.item(f"GENRE#{genre}", f"DAY#{DAY}"), lake.item(f"GENRE#{genre}", f"TOP_TRACKS#{DAY}")
        assert day is not None
        assert top is not None
        found[genre] = [day["listens"], *((track["listens"], track["track_name"]) for track in top["tracks"])]
    assert found == {"pop": [3, (3, "Newest")], "rock": [1, (1, "New")]}


def test_sums_beyond_64_bits_are_exact(lake: Lake) -> None:
    rows = [Row(f"u{n}", "t1", duration_ms=2**63 - 1) for n in range(7)]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    assert lake.items() == expected(rows)
    summary = lake.item(f"DAY#{DAY}", "SUMMARY")
    assert summary is not None
    assert summary["listening_ms"] == 7 * (2**63 - 1)


def test_a_genre_too_long_for_a_key_is_no_genre_and_a_name_too_long_for_an_item_is_cut(lake: Lake) -> None:
    rows = [Row("u1", "t1", track_name="n" * 500_000, artists="é" * 200_000, genres=("g" * 2042, "h" * 2043))]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    summary, track = lake.item(f"DAY#{DAY}", "SUMMARY"), lake.item("TRACK#t1", f"DAY#{DAY}")
    assert summary is not None
    assert track is not None
    assert summary["genres"] == 1
    assert (track["track_name"], track["artists"]) == ("n" * 8192, "é" * 8192)
    assert lake.item("GENRE#" + "g" * 2042, f"TOP_TRACKS#{DAY}") is not None


def test_a_day_of_tracks_without_genre_has_a_summary_and_no_top_genres(lake: Lake) -> None:
    rows = [Row("u1", "t1", genres=())]
    lake.publish(FIRST, lake.curate(FIRST, rows))
    assert [item["sk"] for item in lake.items()] == ["COUNTRIES", "HOURS", "SUMMARY", "TOP_TRACKS", f"DAY#{DAY}"]
    assert lake.items() == expected(rows)


def test_a_batch_without_rows_writes_nothing_and_reports_zeros(lake: Lake) -> None:
    report = lake.publish(FIRST, [])
    assert [report[key] for key in ("groupsComputed", "itemsWritten", "itemsUnchanged", "itemsRemoved")] == [0, 0, 0, 0]
    assert lake.items() == []


def test_a_named_day_that_never_had_rows_writes_nothing(lake: Lake) -> None:
    report = lake.publish(FIRST, [DAY])
    assert [report[key] for key in ("itemsWritten", "itemsUnchanged", "itemsRemoved")] == [0, 0, 0]
    assert lake.items() == []


def test_markers_and_unfinished_files_are_no_data(lake: Lake) -> None:
    rows = [Row("u1", "t1")]
    days = lake.curate(FIRST, rows)
    prefix = layout.key("listensDay", date=DAY)
    for name in ("_temporary/0/part-0.parquet", f"batch_id={FIRST}/.part-1.parquet", f"batch_id={SECOND}_$folder$", ""):
        lake.s3.put_object(Bucket=lake.bucket, Key=f"{prefix}{name}", Body=b"not Parquet")
    lake.publish(FIRST, days)
    assert lake.items() == expected(rows)


@pytest.fixture
def page_keys() -> Iterator[int]:
    """Keys on a page of S3's lists: 1,000 as on AWS where every test runs, otherwise 50."""
    keys = 1000 if FULL else 50
    event = "before-parameter-build.s3.ListObjectsV2"

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = keys

    # Clients of the job take it from the session.
    boto3.setup_default_session()
    session = boto3.DEFAULT_SESSION
    assert session is not None
    session.events.register(event, limit)
    yield keys
    session.events.unregister(event, limit)


@pytest.mark.grows
def test_a_day_of_more_files_than_a_page_of_s3_is_read_whole(lake: Lake, page_keys: int) -> None:
    days = lake.curate(FIRST, [Row("u1", "t1")])
    (key,) = (key for key in lake.keys(layout.key("listens")) if key.endswith(".parquet"))
    content = lake.s3.get_object(Bucket=lake.bucket, Key=key)["Body"].read()
    prefix = layout.key("listensBatch", date=DAY, batchId=SECOND)
    store.in_parallel(
        lambda n: lake.s3.put_object(Bucket=lake.bucket, Key=f"{prefix}part-{n}.parquet", Body=content),
        range(page_keys + 49),
    )
    lake.publish(FIRST, days)
    summary = lake.item(f"DAY#{DAY}", "SUMMARY")
    assert summary is not None
    assert (summary["listens"], summary["unique_listeners"]) == (page_keys + 50, 1)


def test_many_days_are_computed_in_parts_that_fit_the_memory(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Row("u1", f"t{n}", f"2024-06-{n:02d} 10:00:00") for n in range(1, 8)]
    days = lake.curate(FIRST, rows)
    monkeypatch.setattr(publish_duckdb, "BYTES_TOGETHER", 5_000)
    lake.publish(FIRST, days)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    parts = [line["part"] for line in lines if line["event"] == "reading"]
    assert parts == [f"{number} of {len(parts)}" for number in range(1, 1 + len(parts))]
    assert len(parts) > 1
    assert (lines[-1]["event"], lines[-1]["written"]) == ("done", len(expected(rows)))
    assert {(line["job"], line["level"], line["workflow_run_id"]) for line in lines} == {("publish", "INFO", "wr_1")}
    assert lake.items() == expected(rows)


def test_the_real_data_in_two_batches_gives_the_metrics_from_scratch(lake: Lake, real_data: Path) -> None:
    truth = oracle.truth(real_data)
    songs = oracle.read_songs(real_data / "reference")
    countries = oracle.read_countries(real_data / "reference")
    rows = []
    for user_id, track_id, time in sorted(truth.listens):
        song = songs.get(track_id) or oracle.Song(None, None, 0, [])
        names = (song.track_name, song.artists, song.duration_ms, tuple(song.genres))
        rows.append(Row(user_id, track_id, time.strftime("%Y-%m-%d %H:%M:%S"), *names, countries.get(user_id)))
    lake.publish(FIRST, lake.curate(FIRST, rows[::2]))
    lake.publish(SECOND, lake.curate(SECOND, rows[1::2]))
    assert lake.items() == truth.items

"""Tests the oracle, which the pipeline's tests compare with, by cases worked out by hand.

One file: nearly all of it are tables of cases.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import pytest

import oracle

CLAIMED_AT = datetime(2024, 7, 1, 12, tzinfo=timezone.utc)
HEADER = "user_id,track_id,listen_time\n"
SONGS = """track_id,artists,track_name,duration_ms,track_genre
t1,"A;B","Say ""hi"", twice",100,rock
t1,later,later,999,zouk
t1,"A;B","Say ""hi"", twice",100,rock
t2,C,T2,,pop
t2,first,First,7,afro
short,row
t3,,,x,
"""

USERS = """user_id,user_age,user_country
 u1 ,34,Chile
u1,34,Later
u2,,
u2,,Peru
short,row
"""

Folder = Callable[[Mapping[str, "str | bytes"]], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes stream files into a folder, beside the songs and users above."""

    def write(streams: Mapping[str, str | bytes]) -> Path:
        files: dict[str, str | bytes] = {
            "reference/songs.csv": SONGS,
            "reference/users.csv": USERS,
            **{f"streams/{name}": content for name, content in streams.items()},
        }
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("2024-06-25 17:13:13", "2024-06-25T17:13:13+00:00"),
        ("2024-06-25T17:13:13Z", "2024-06-25T17:13:13+00:00"),
        ("2024-06-25T17:13", "2024-06-25T17:13:00+00:00"),
        ("2024-06-25T17:13:13.1234569+02:00", "2024-06-25T15:13:13.123456+00:00"),
        ("2024-06-25 17:13:13,5-0130", "2024-06-25T18:43:13.500000+00:00"),
        ("2024-06-25T23:30:00-01", "2024-06-26T00:30:00+00:00"),
        ("20240625T171313Z", "2024-06-25T17:13:13+00:00"),
        ("20240625T1713+0530", "2024-06-25T11:43:00+00:00"),
        ("2024-02-29 00:00:00", "2024-02-29T00:00:00+00:00"),
        ("2024-06-25", None),
        ("2024-06-25 24:00:00", None),
        ("2024-06-25 23:59:60", None),
        ("2023-02-29 00:00:00", None),
        ("2024-13-01 00:00:00", None),
        ("0000-01-01 00:00:00", None),
        ("2024-06-25 17:13:13 ", None),
        ("2024-06-25T17:13:13.1234567890", None),
        ("2024-06-25T17:13:13+24:00", None),
        ("2024-06-25T17:13:13 UTC", "2024-06-25T17:13:13+00:00"),
        ("2024-06-25 17:13:13 +0200", "2024-06-25T15:13:13+00:00"),
        ("2024-06-25T17:13:13+02:00[Europe/Oslo]", "2024-06-25T15:13:13+00:00"),
        ("2024-06-25 17:13:13 CET", None),
        ("２０２４-06-25 17:13:13", None),
        ("1719335593", None),
        ("", None),
    ],
)
def test_a_time_is_read_as_utc_or_not_at_all(text: str, meaning: str | None) -> None:
    time = oracle.read_time(text)
    assert (time.isoformat() if time else None) == meaning


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("u1,t1,2024-06-25 10:00:00", ""),
        ("u1,t1", "malformed_row"),
        ("u1,t1,2024-06-25 10:00:00,", "malformed_row"),
        ('""', "malformed_row"),
        (",,", "missing_user_id"),
        (' ,"",2024-06-25 10:00:00', "missing_user_id"),
        ("u1,\u00a0,bad", "missing_track_id"),
        (" u1,t1,bad", "bad_id"),
        ("-u1,t1,bad", "bad_id"),
        ("u" * 129 + ",t1,bad", "bad_id"),
        ('"u""1",t1,bad', "bad_id"),
        ('"u1"x,t1,bad', "bad_id"),
        ("u" * 128 + ",t1,bad", "bad_listen_time"),
        ("u1,t1,", "bad_listen_time"),
        ("u1,t1,1999-12-31 23:59:59", "out_of_range_listen_time"),
        ("u1,t1,2000-01-01 00:00:00", ""),
        ("u1,t1,2024-07-02 12:00:00", ""),
        ("u1,t1,2024-07-02T12:00:00.000001", "out_of_range_listen_time"),
        ("u1,t1,9999-12-31T23:59:59-05:00", "out_of_range_listen_time"),
        ("u1,t1,0001-01-01T00:00:00+05:00", "out_of_range_listen_time"),
        ('"u1","t1","2024-06-25 10:00:00"', ""),
    ],
)
def test_a_row_is_a_listen_or_has_the_first_reason_that_holds(row: str, reason: str) -> None:
    outcome, listens = oracle.read_stream((HEADER + row).encode(), CLAIMED_AT)
    assert (outcome.rows_read, dict(outcome.rows_quarantined)) == (1, {reason: 1} if reason else {})
    assert len(listens) == (0 if reason else 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"\xef\xbb\xbf \r\n\n", "empty_file"),
        ((HEADER + "u1,t1,x\n").encode("utf-16"), "not_text"),
        ((HEADER + "u1,t1,x\n").encode("utf-16-le"), "not_text"),
        (b"PK\x03\x04\x00\x00", "not_text"),
        (b"<html><body>404</body></html>", "missing_columns"),
        (b"u1,t1,2024-06-25 10:00:00\n", "missing_columns"),
        (b"user_id;track_id;listen_time\n", "missing_columns"),
        (b"user_id,track_id,USER_ID ,listen_time\n", "duplicate_columns"),
        ((HEADER + 'u1,"t1,2024-06-25 10:00:00\nu2,t2,x\n').encode(), "unreadable"),
        (gzip.compress(HEADER.encode() * 100)[:-9], "unreadable"),
        (b"\x1f\x8b rubbish", "unreadable"),
        (gzip.compress(HEADER.encode()) + b"\0" * 512 + b"x", "unreadable"),
        (zlib.compress(HEADER.encode()), "not_text"),
        (b"\x04\x22\x4d\x18" + HEADER.encode(), "not_text"),
        (gzip.compress(HEADER.encode()) + b"\x1f", "unreadable"),
        ((HEADER + "\U0001f600" * 600_000 + "\n").encode(), "unreadable"),
    ],
)
def test_a_quarantined_file_has_a_reason(content: bytes, reason: str) -> None:
    outcome, listens = oracle.read_stream(content, CLAIMED_AT)
    assert (outcome.quarantined, outcome.rows_read, listens) == (reason, 0, set())


@pytest.mark.parametrize(
    "content",
    [
        "user_id,track_id,listen_time\nu1,t1,2024-06-25 10:00:00",
        "\ufeffuser_id,track_id,listen_time\r\nu1,t1,2024-06-25 10:00:00\r\n",
        "\n\n Listen_Time ,TRACK_ID,user_id\n\n2024-06-25T12:00+02:00,t1,u1\n\n",
        'note,"user_id",track_id,listen_time,user\n"two\nlines, and ""quotes""",u1,t1,2024-06-25 10:00:00,\n',
        "user_id,track_id,listen_time\ru1,t1,2024-06-25 10:00:00\r",
    ],
)
def test_headers_and_line_ends_come_in_many_forms(content: str) -> None:
    expected = {("u1", "t1", datetime(2024, 6, 25, 10, tzinfo=timezone.utc))}
    for form in (content.encode(), gzip.compress(content.encode())):
        outcome, listens = oracle.read_stream(form, CLAIMED_AT)
        assert (outcome.rows_read, dict(outcome.rows_quarantined), listens) == (1, {}, expected)


def test_a_song_is_its_first_row_by_genre_with_the_genres_of_all_its_rows(folder: Folder) -> None:
    songs = oracle.read_songs(folder({}) / "reference")
    assert songs["t1"] == oracle.Song('Say "hi", twice', "A;B", 100, ["rock", "zouk"])
    assert songs["t2"] == oracle.Song("First", "first", 7, ["afro", "pop"])
    assert songs["t3"] == oracle.Song(None, None, 0, [])
    assert "short" not in songs


def test_a_user_has_the_country_of_the_first_row_if_that_has_one(folder: Folder) -> None:
    assert oracle.read_countries(folder({}) / "reference") == {"u1": "Chile"}
    assert oracle.read_countries(folder({}) / "streams") == {}


def test_zeros_behind_a_gzip_say_nothing() -> None:
    content = gzip.compress(f"{HEADER}u1,t1,2024-06-25 10:00:00\n".encode()) + b"\0" * 512
    outcome, listens = oracle.read_stream(content, CLAIMED_AT)
    assert (outcome.quarantined, outcome.rows_read, len(listens)) == (None, 1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            ("214000", 214000),
            ("214000.0", 214000),
            (" 2.14e5 ", 214000),
            ("+7.", 7),
            ("9223372036854775807", 2**63 - 1),
        ),
        *(
            ("9223372036854775808", 0),
            ("-5", 0),
            ("12.5", 0),
            ("1e30", 0),
            ("abc", 0),
            ("nan", 0),
            ("", 0),
            ("0x10", 0),
        ),
    ],
)
def test_a_whole_number_is_read_however_tools_write_it(text: str, value: int) -> None:
    assert oracle.whole_number(text) == value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_open_quote_costs_its_row_of_the_reference_data_alone(end: str) -> None:
    lines = ["id,name,genre", 'a,"two', 'lines",pop', 'b,"open,pop', "c,C,pop", 'd,"D, d",pop', 'e,E,"open', "f,F,pop"]
    rows = list(oracle.split_mended(end.join(lines)))
    assert [row[0] for row in rows if len(row) == 3] == ["id", "a", "c", "d", "f"]


def test_the_metrics_of_a_tiny_folder_equal_those_worked_out_by_hand(folder: Folder) -> None:
    streams = {
        "a.csv": HEADER + "u1,t1,2024-06-25 10:00:00\nu1,t1,2024-06-25T10:00:00Z\nu2,t1,2024-06-25 10:00:00\n",
        "deep/er/B.CSV": HEADER
        + "u1,t1,2024-06-25 10:00:00\nu2,t2,2024-06-25 10:00:00\nu1,t9,2024-06-26 00:00:00\nbad\n",
        "note.txt": "not a stream",
    }
    truth = oracle.truth(folder(streams), CLAIMED_AT)
    assert {name: (file.rows_read, dict(file.rows_quarantined)) for name, file in truth.files.items()} == {
        "a.csv": (3, {}),
        "deep/er/B.CSV": (4, {"malformed_row": 1}),
    }
    assert len(truth.listens) == 4
    t1 = (
        '"listening_ms":200,"listens":2,"rank":1,'
        '"track_id":"t1","track_name":"Say \\"hi\\", twice","unique_listeners":2'
    )
    t2 = '"listening_ms":7,"listens":1,"rank":1,"track_id":"t2","track_name":"First","unique_listeners":1'

    def genre(rank: int, name: str, counts: str) -> str:
        return f'{{"genre":"{name}",{counts.replace("RANK", str(rank))}}}'

    two = '"listening_ms":200,"listens":2,"rank":RANK,"unique_listeners":2'
    one = '"listening_ms":7,"listens":1,"rank":RANK,"unique_listeners":1'
    top = ",".join([genre(1, "rock", two), genre(2, "zouk", two), genre(3, "afro", one), genre(4, "pop", one)])
    group_1 = '"avg_listening_ms_per_listener":100,"listening_ms":200,"listens":2,"unique_listeners":2'
    group_2 = '"avg_listening_ms_per_listener":7,"listening_ms":7,"listens":1,"unique_listeners":1'
    track_1 = '"artists":"A;B","avg_listening_ms_per_listener":100,"listening_ms":200,"listens":2,'
    track_2 = '"artists":"first","avg_listening_ms_per_listener":7,"listening_ms":7,"listens":1,'

    def hours(heard: dict[int, str]) -> str:
        nothing = '"listening_ms":0,"listens":0,"unique_listeners":0'
        return ",".join(f'{{"hour":{hour},{heard.get(hour, nothing)}}}' for hour in range(24))

    of_day = '"listening_ms":207,"listens":3,"unique_listeners":2'
    u1, u2 = (f'"listening_ms":{ms},"listens":{n},"unique_listeners":1' for ms, n in ((100, 1), (107, 2)))
    t9 = '"listening_ms":0,"listens":1,"unique_listeners":1'
    second_track = t2.replace('"rank":1', '"rank":2')
    top_tracks = f'{{"artists":"A;B",{t1}}},{{"artists":"first",{second_track}}}'
    assert [oracle.line(item) for item in truth.items] == [
        f'{{"pk":"DAY#2024-06-25","sk":"COUNTRIES","countries":[{{{u2}}},{{"country":"Chile",{u1}}}]}}',
        f'{{"pk":"DAY#2024-06-25","sk":"HOURS","hours":[{hours({10: of_day})}]}}',
        '{"pk":"DAY#2024-06-25","sk":"SUMMARY","genres":4,"listening_ms":207,"listens":3,"tracks":2,"unique_listeners":2}',
        f'{{"pk":"DAY#2024-06-25","sk":"TOP_GENRES","genres":[{top}]}}',
        f'{{"pk":"DAY#2024-06-25","sk":"TOP_TRACKS","tracks":[{top_tracks}]}}',
        f'{{"pk":"DAY#2024-06-26","sk":"COUNTRIES","countries":[{{"country":"Chile",{t9}}}]}}',
        f'{{"pk":"DAY#2024-06-26","sk":"HOURS","hours":[{hours({0: t9})}]}}',
        '{"pk":"DAY#2024-06-26","sk":"SUMMARY","genres":0,"listening_ms":0,"listens":1,"tracks":1,"unique_listeners":1}',
        '{"pk":"DAY#2024-06-26","sk":"TOP_TRACKS","tracks":[{"listening_ms":0,"listens":1,"rank":1,"track_id":"t9",'
        '"unique_listeners":1}]}',
        f'{{"pk":"GENRE#afro","sk":"DAY#2024-06-25",{group_2}}}',
        f'{{"pk":"GENRE#afro","sk":"TOP_TRACKS#2024-06-25","tracks":[{{"artists":"first",{t2}}}]}}',
        f'{{"pk":"GENRE#pop","sk":"DAY#2024-06-25",{group_2}}}',
        f'{{"pk":"GENRE#pop","sk":"TOP_TRACKS#2024-06-25","tracks":[{{"artists":"first",{t2}}}]}}',
        f'{{"pk":"GENRE#rock","sk":"DAY#2024-06-25",{group_1}}}',
        f'{{"pk":"GENRE#rock","sk":"TOP_TRACKS#2024-06-25","tracks":[{{"artists":"A;B",{t1}}}]}}',
        f'{{"pk":"GENRE#zouk","sk":"DAY#2024-06-25",{group_1}}}',
        f'{{"pk":"GENRE#zouk","sk":"TOP_TRACKS#2024-06-25","tracks":[{{"artists":"A;B",{t1}}}]}}',
        f'{{"pk":"TRACK#t1","sk":"DAY#2024-06-25",{track_1}"track_name":"Say \\"hi\\", twice","unique_listeners":2}}',
        f'{{"pk":"TRACK#t2","sk":"DAY#2024-06-25",{track_2}"track_name":"First","unique_listeners":1}}',
        '{"pk":"TRACK#t9","sk":"DAY#2024-06-26","avg_listening_ms_per_listener":0,"listening_ms":0,"listens":1,'
        '"unique_listeners":1}',
    ]


@pytest.mark.parametrize(
    ("ms", "listeners", "mean"), [(1, 2, 1), (1, 3, 0), (5, 2, 3), (-1, 2, 0), (-3, 2, -1), (2**70 + 1, 2, 2**69 + 1)]
)
def test_an_average_is_rounded_half_up(ms: int, listeners: int, mean: int) -> None:
    assert oracle.average({"listening_ms": ms, "unique_listeners": listeners}) == {
        "avg_listening_ms_per_listener": mean
    }


def test_ranks_go_by_listens_then_listeners_then_time_then_the_bytes_of_the_id() -> None:
    time = datetime(2024, 6, 25, tzinfo=timezone.utc)
    songs = {
        "b": oracle.Song(None, None, 1, ["é"]),
        "B": oracle.Song(None, None, 1, ["z"]),
        "slow": oracle.Song(None, None, 2, ["é", "z"]),
        "loyal": oracle.Song(None, None, 0, ["Z"]),
        "shared": oracle.Song(None, None, 0, ["Z"]),
    }
    listens = {("u1", track, time) for track in songs} | {("u1", "loyal", time.replace(hour=1)), ("u2", "shared", time)}
    items = {item["pk"] + item["sk"]: item for item in oracle.metrics(listens, songs, {"u2": "Peru"})}
    tracks = [entry["track_id"] for entry in items["DAY#2024-06-25TOP_TRACKS"]["tracks"]]
    assert tracks == ["shared", "loyal", "slow", "B", "b"]
    assert [entry.get("country") for entry in items["DAY#2024-06-25COUNTRIES"]["countries"]] == [None, "Peru"]
    assert [entry["genre"] for entry in items["DAY#2024-06-25TOP_GENRES"]["genres"]] == ["Z", "z", "é"]
    assert [entry["track_id"] for entry in items["GENRE#ZTOP_TRACKS#2024-06-25"]["tracks"]] == ["shared", "loyal"]
    assert [entry["track_id"] for entry in items["GENRE#éTOP_TRACKS#2024-06-25"]["tracks"]] == ["slow", "b"]


def test_the_program_prints_the_items_as_the_export_does(folder: Folder) -> None:
    place = folder({"a.csv": HEADER + "u1,é,2024-06-25 10:00:00\nu1,t1,2024-07-03 10:00:00\n"})

    def run(*arguments: str) -> bytes:
        return subprocess.run(
            [sys.executable, oracle.__file__, str(place), *arguments], check=True, capture_output=True
        ).stdout

    truth = oracle.truth(place)
    assert run() == "".join(oracle.line(item) + "\n" for item in truth.items).encode()
    assert json.loads(run().splitlines()[0])["pk"] == "DAY#2024-07-03"
    assert run("--claimed-at", "2024-07-01T12:00:00Z") == b""


def test_a_forgotten_listener_s_rows_are_left_out_and_so_are_bad_rows_that_name_them(folder: Folder) -> None:
    rows = ["u1,t1,2024-06-25 10:00:00", "u2,u1,2024-06-25 10:00:00", "u1.,t1,2024-06-25 10:00:00", "u2,of u1,soon"]
    place = folder({"a.csv": HEADER + "\n".join([*rows, "u2,t1,soon", 'x,"u1"'])})
    truth = oracle.truth(place, CLAIMED_AT, None, frozenset({"u1"}))
    assert {(user, track) for user, track, _ in truth.listens} == {("u2", "u1"), ("u1.", "t1")}
    assert truth.files["a.csv"].rows_quarantined == {"forgotten": 3, "bad_listen_time": 1}
    items = subprocess.run(
        [sys.executable, oracle.__file__, str(place), "--claimed-at", CLAIMED_AT.isoformat(), "--forgotten", "u1"],
        check=True,
        capture_output=True,
    ).stdout
    assert items == "".join(oracle.line(item) + "\n" for item in truth.items).encode()


def test_every_row_of_the_real_data_is_a_listen(real_data: Path) -> None:
    truth = oracle.truth(real_data)
    assert sum(file.rows_read for file in truth.files.values()) == 22_692
    assert all(not file.rows_quarantined and file.quarantined is None for file in truth.files.values())
    assert len(truth.listens) == 22_692
    (summary,) = (item for item in truth.items if item["sk"] == "SUMMARY")
    assert (summary["sk"], summary["listens"], summary["unique_listeners"]) == ("SUMMARY", 22_692, 14_651)

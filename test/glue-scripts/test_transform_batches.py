"""A listen once for all time: within a batch, across batches, after crashes; and what is written, where."""

from __future__ import annotations

import csv as csv_module
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import transform_support as support
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from transform_support import Lake, csv, listen_keys, zipped

import transform
from music_streams import curated as curated_module
from music_streams import layout
from music_streams.batch import BatchError
from music_streams.curated import Curated
from music_streams.report import ReconciliationError

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def lake(s3: Any, spark: SparkSession) -> Lake:
    return Lake(s3, spark)


def test_a_kept_row_carries_what_the_reference_data_knows(lake: Lake) -> None:
    report = lake.run(
        {"a.csv": csv("u0,t0,2024-06-25 10:00:00", "u1,t1,2024-06-25T23:59:59.123456-01:00", "x,y,2024-06-25 10:00:00")}
    )
    known, several, unknown = lake.curated()
    assert known == {
        "user_id": "u0",
        "track_id": "t0",
        "listen_time": "2024-06-25 10:00:00.000000",
        "listen_date": date(2024, 6, 25),
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
        "2024-06-26 00:59:59.123456",
        date(2024, 6, 26),
    )
    nothing = ("track_name", "artists", "album_name", "popularity", "duration_ms", "user_country", "user_age")
    assert [unknown[name] for name in nothing] == [None] * 7
    assert unknown["genres"] == []
    assert (report["unknownTracks"], report["unknownUsers"], report["days"]) == (1, 1, ["2024-06-25", "2024-06-26"])
    assert lake.json("touched", lake.batches[0]) == {"days": ["2024-06-25", "2024-06-26"]}
    assert lake.json("readingMarker", lake.batches[0]) == {"workflowRunId": "wr_1"}


def test_the_files_have_the_contract_s_columns_sorted_by_track(lake: Lake, tmp_path: Path) -> None:
    rows = [f"u{n},t{n * 7919 % 1000},2024-06-2{n % 3} 10:00:00" for n in range(3000)]
    report = lake.run({"a.csv": csv(*rows)})
    keys = lake.keys("curated/")
    assert len(keys) == len(report["days"]) == 3
    for number, key in enumerate(keys):
        assert key.startswith(
            layout.key("listensBatch", date=report["days"][number], batchId=lake.batches[0]) + "part-"
        )
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
            codecs = connection.execute(f"SELECT DISTINCT compression FROM parquet_metadata({source})").fetchall()
            assert codecs == [("ZSTD",)]


def test_a_large_day_becomes_several_files_each_a_range_of_tracks(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curated_module, "LARGEST_FILE_BYTES", 20_000)
    report = lake.run({"a.csv": csv(*[f"u{n},t{n:05},2024-06-25 10:00:00" for n in range(4000)])})
    keys = lake.keys("curated/")
    assert report["rowsKept"] == 4000
    assert 8 <= len(keys) <= 40
    ranges = []
    for key in keys:
        tracks = [row[0] for row in lake.spark.read.parquet(f"s3://{lake.bucket}/{key}").select("track_id").collect()]
        ranges.append((tracks[0], tracks[-1]))
        assert len(tracks) <= 20_000 / curated_module.ROW_BYTES
    ordered = sorted(ranges)
    assert all(before[1] < after[0] for before, after in zip(ordered, ordered[1:]))


def test_a_listen_counts_once_whatever_file_batch_or_writing_brings_it_again(lake: Lake) -> None:
    first = lake.run(
        {
            "a.csv": csv("u0,t0,2024-06-25 10:00:00", "u0,t0,2024-06-25T12:00:00+02:00", "u1,t1,2024-06-25 10:00:00"),
            "b.csv": csv("u1,t1,2024-06-25T10:00Z", "u2,t1,2024-06-25 10:00:00", 'u2,t1,"2024-06-25 10:00:00"'),
            "c.csv": csv("u0,t0,2024-06-25 10:00:00.000001"),
        }
    )
    assert [(file["rowsKept"], file["rowsDuplicate"]) for file in first["files"]] == [(2, 1), (1, 2), (1, 0)]
    assert (first["rowsDuplicate"], first["rowsDuplicateElsewhere"]) == (3, 0)
    again = lake.run(
        {
            "again.csv": csv(
                *["u0,t0,2024-06-25 10:00:00"] * 2, *["u3,t0,2024-06-25 10:00:00"] * 3, "u0,t0,2024-06-24 10:00:00"
            )
        }
    )
    assert (again["rowsKept"], again["rowsDuplicate"], again["days"]) == (2, 4, ["2024-06-24", "2024-06-25"])
    assert again["rowsDuplicateElsewhere"] == 2
    nothing = lake.run({"again.csv": csv("u0,t0,2024-06-25 10:00:00")})
    assert (nothing["rowsKept"], nothing["rowsDuplicate"], nothing["days"], nothing["unknownTracks"]) == (0, 1, [], 0)
    keys = listen_keys(lake.curated())
    assert len(keys) == len(set(keys)) == 6


def test_a_repeat_is_found_on_the_day_in_utc(lake: Lake) -> None:
    lake.run({"a.csv": csv("u0,t0,2024-06-25T23:30:00-01:00")})
    report = lake.run({"b.csv": csv("u0,t0,2024-06-26 00:30:00", "u1,t0,2024-06-25 10:00:00")})
    assert (report["rowsKept"], report["rowsDuplicate"]) == (1, 1)


def test_random_batches_in_any_order_leave_the_same_listens(lake: Lake) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    times = [f"2024-06-{day} 10:0{minute}:00" for day in range(20, 24) for minute in range(10)]
    listens = [f"u{chance.randrange(9)},t{chance.randrange(5)},{chance.choice(times)}" for _ in range(400)]
    kept = 0
    for number in range(3):
        chosen = chance.sample(listens, 250)
        report = lake.run({f"{number}-{part}.csv": csv(*chosen[part::3]) for part in range(3)})
        kept += report["rowsKept"]
        everything = [(*row.split(",")[:2], f"{row.split(',')[2]}.000000") for row in chosen]
        assert set(everything) <= set(listen_keys(lake.curated()))
    keys = listen_keys(lake.curated())
    assert len(keys) == len(set(keys)) == kept


class CrashError(Exception):
    """The job ends here."""


def test_a_run_again_leaves_the_same_rows_wherever_earlier_ones_ended(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.run({"earlier.csv": csv("u9,t0,2024-06-25 10:00:00")})
    rows = ["u0,t0,2024-06-25 10:00:00", "u1,t1,2024-06-26 10:00:00", "u9,t0,2024-06-25 10:00:00", "bad,row"]
    batch = lake.claim({"a.csv": csv(*rows)})
    own = layout.key("quarantinedRows", batchId=batch)

    def crash_after(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def late(*arguments: Any) -> None:
            real(*arguments)
            raise CrashError(name)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, late)
            with pytest.raises(CrashError):
                lake.transform(batch)
        assert lake.json("transformReport", batch) is None
        assert lake.keys("temporary/") == []

    crash_after(curated_module, "put_json")
    assert lake.json("touched", batch) == {"days": ["2024-06-25", "2024-06-26"]}
    crash_after(Curated, "_write")
    assert len(lake.curated(batch)) == 2
    crash_after(Curated, "remember_replaced")
    crash_after(curated_module, "put_json")
    crash_after(Curated, "clean")
    assert lake.curated(batch) == []
    crash_after(Curated, "replace_rejected")
    crash_after(transform, "counts")
    # And what a writer leaves that was killed.
    lake.put("curated/listens/_temporary/0/_temporary/attempt_1/listen_date=2024-06-25/part-0.parquet", "half")
    lake.put(f"{own}_temporary/0/part-0.json", "half")
    for _ in range(2):
        report = lake.transform(batch)
        assert (report["rowsKept"], report["rowsDuplicate"], report["rowsQuarantined"]) == (2, 1, {"malformed_row": 1})
        assert report["days"] == ["2024-06-25", "2024-06-26"]
        assert [key[:2] for key in listen_keys(lake.curated(batch))] == [("u0", "t0"), ("u1", "t1")]
        assert lake.rejected(batch) == [("a.csv", "malformed_row", "bad,row")]
        assert len(lake.keys("curated/")) == 3
        assert len(lake.keys(own)) == 1


Lose = Callable[[Lake, str, pytest.MonkeyPatch], None]


def after(owner: Any, name: str, more: Callable[[Any], Any]) -> Lose:
    """What `name` gives goes through `more`."""

    def plant(_: Lake, __: str, monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments: more(real(*arguments)))

    return plant


def with_files(prefix: str, change: Callable[[Lake, str], Any]) -> Lose:
    """When all is written, a file of the batch below a prefix is changed."""

    def plant(lake: Lake, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Curated.replace_rejected

        def change_one(*arguments: Any) -> None:
            real(*arguments)
            change(lake, next(key for key in lake.keys(prefix) if f"batch_id={batch}/" in key))

        monkeypatch.setattr(Curated, "replace_rejected", change_one)

    return plant


def delete(lake: Lake, key: str) -> None:
    lake.s3.delete_object(Bucket=lake.bucket, Key=key)


def double(lake: Lake, key: str) -> None:
    folder, name = key.rsplit("/", 1)
    lake.s3.copy_object(Bucket=lake.bucket, Key=f"{folder}/part-again-{name}", CopySource=f"{lake.bucket}/{key}")


LOSSES: dict[str, tuple[Lose, str]] = {
    "a curated file is gone": (
        with_files("curated/", delete),
        r"0 rows in curated of 2024-06-25, but 2 kept$",
    ),
    "a curated file is there twice": (
        with_files("curated/listens/listen_date=2024-06-26", double),
        r"2 rows in curated of 2024-06-26, but 1 kept$",
    ),
    "a listen is dropped with the duplicates": (
        after(transform, "distinct_listens", lambda listens: listens.where("user_id != 'u1'")),
        r"3 rows accounted for \(2 kept, 1 repeats of these, 0 of other batches' listens\), but 4 valid$",
    ),
    "a listen is doubled by the reference data": (
        after(transform, "users_of", lambda users: users.unionAll(users.where("user_id = 'u1'"))),
        r"5 rows accounted for \(4 kept, 1 repeats of these, 0 of other batches' listens\), but 4 valid$",
    ),
    "a kept listen is not written": (
        after(transform, "enriched", lambda rows: rows.withColumn("elsewhere", F.expr("nullif(elsewhere, false)"))),
        r"0 rows in curated of 2024-06-25, but 2 kept; 0 rows in curated of 2024-06-26, but 1 kept$",
    ),
    "a rejected row is not written": (
        after(transform.Job, "_rejected", lambda rows: rows.where("reason != 'bad_id'")),
        r"0 rows of a\.csv in quarantine for bad_id, but 1 rejected$",
    ),
    "a file of rejected rows is there twice": (
        with_files("quarantine/rows/", double),
        r"2 rows of a\.csv in quarantine for bad_id, but 1 rejected; 4 rows .* malformed_row, but 2 rejected$",
    ),
    "a row is read and not judged": (
        after(transform, "count_rows", lambda reading: replace(reading, rejected={})),
        r"4 rows of a\.csv judged, but 7 read$",
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_that_does_not_add_up_fails_and_has_no_report(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    rows = ["u0,t0,2024-06-25 10:00:00", "u0,t0,2024-06-25 10:00:00", "u1,t0,2024-06-25 10:00:00"]
    rows += ["u2,t1,2024-06-26 10:00:00", "bad", "worse", "u 1,t1,2024-06-25 10:00:00"]
    batch = lake.claim({"a.csv": csv(*rows)})
    plant, message = LOSSES[loss]
    with monkeypatch.context() as patched:
        plant(lake, batch, patched)
        with pytest.raises(ReconciliationError, match=f"^the batch does not add up: {message}"):
            lake.transform(batch)
    assert lake.json("readingMarker", batch) == {"workflowRunId": "wr_1"}
    assert lake.json("transformReport", batch) is None
    report = lake.transform(batch)
    assert (report["rowsKept"], report["rowsDuplicate"], len(lake.rejected(batch))) == (3, 1, 3)
    assert len(lake.curated(batch)) == 3


def test_rows_that_a_run_again_no_longer_has_are_named_for_publish(lake: Lake) -> None:
    batch = lake.claim(
        {"a.csv": csv("u0,t0,2024-06-25 10:00:00", "u0,t1,2024-06-26 10:00:00", "u1,t1,2024-06-26 10:00:00", "bad,row")}
    )
    lake.transform(batch)
    manifest = lake.json("manifest", batch)
    assert manifest is not None
    # A replay of other bytes, as when the reference data or a file's fate changed in between.
    lake.put("incoming/a.csv", csv("u0,t0,2024-06-27 10:00:00"))
    entry = lake.s3.list_objects_v2(Bucket=lake.bucket, Prefix="incoming/a.csv")["Contents"][0]
    lake.put(layout.key("manifest", batchId=batch), json.dumps({**manifest, "files": [lake.claimed(entry)]}))
    report = lake.transform(batch)
    assert report["days"] == ["2024-06-25", "2024-06-26", "2024-06-27"]
    assert [row["listen_date"] for row in lake.curated(batch)] == [date(2024, 6, 27)]
    assert lake.rejected(batch) == []
    replaced = lake.spark.read.parquet(
        *[f"s3://{lake.bucket}/{key}" for key in lake.keys(layout.key("replaced", batchId=batch))]
    )
    assert sorted((row.listen_date, row.track_id, list(row.genres)) for row in replaced.collect()) == [
        (date(2024, 6, 25), "t0", ["pop"]),
        (date(2024, 6, 26), "t1", ["indie", "rock"]),
    ]


def test_the_days_of_other_batches_history_are_not_listed(lake: Lake) -> None:
    for day in range(1, 3):
        lake.run({"a.csv": csv(f"u0,t0,2024-05-0{day} 10:00:00")})
    listed: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(lake.s3, name)

        def get_paginator(self, name: str) -> Any:
            paginator = lake.s3.get_paginator(name)

            class Paginator:
                def paginate(self, **arguments: Any) -> Any:
                    listed.append(arguments["Prefix"])
                    return paginator.paginate(**arguments)

            return Paginator()

    lake.transform(lake.claim({"a.csv": csv("u0,t0,2024-06-25 10:00:00")}), s3=Watched())
    below = {prefix for prefix in listed if prefix.startswith("curated/")}
    of_day = layout.key("listensDay", date="2024-06-25")
    own = layout.key("listensBatch", date="2024-06-25", batchId=lake.batches[-1])
    assert below == {of_day, own, "curated/listens/_temporary/"}


def test_real_or_generated_days_reconcile_row_by_row(lake: Lake) -> None:
    sources: dict[str, str | bytes]
    if REAL_DATA.exists():
        sources = {path.name: path.read_bytes() for path in (REAL_DATA / "streams").iterdir()}
        lake.put("reference/songs/songs.csv", (REAL_DATA / "reference" / "songs.csv").read_bytes())
        lake.put("reference/users/users.csv", (REAL_DATA / "reference" / "users.csv").read_bytes())
        songs = (REAL_DATA / "reference" / "songs.csv").read_text()
    else:
        chance = random.Random(3)
        rows = [
            f"{n},t{chance.randrange(4)},2024-06-25 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}"
            for n in range(22_692)
        ]
        sources = {"one.csv": csv(*rows[::2]), "two.csv": csv(*rows[1::2])}
        songs = support.SONGS
    report = lake.transform(lake.claim(sources, "2026-11-23T10:00:00.000Z"))
    assert (report["rowsRead"], report["rowsKept"], report["rowsDuplicate"], report["rowsQuarantined"]) == (
        22_692,
        22_692,
        0,
        {},
    )
    genres: dict[str, set[str]] = {}
    first: dict[str, tuple[str, str, str, int]] = {}
    for song in csv_module.DictReader(songs.splitlines(keepends=True)):
        genres.setdefault(song["track_id"], set()).add(song["track_genre"])
        found = (song["track_genre"], song["track_name"], song["artists"], int(song["duration_ms"]))
        first[song["track_id"]] = min(first.get(song["track_id"], found), found, key=lambda some: some[0])
    curated = lake.curated()
    for row in curated:
        assert row["genres"] == sorted(genres.get(row["track_id"], []))
        expected = first.get(row["track_id"], (None, None, None, None))[1:]
        assert tuple(text or None for text in expected) == (row["track_name"], row["artists"], row["duration_ms"])
    text = "".join(content.decode() if isinstance(content, bytes) else content for content in sources.values())
    wanted = Counter(line for line in text.splitlines() if not line.startswith("user_id"))
    assert Counter(f"{row['user_id']},{row['track_id']},{row['listen_time'][:19]}" for row in curated) == wanted
    assert report["unknownTracks"] == sum(1 for row in curated if row["track_id"] not in genres)


def test_a_week_of_odd_files_adds_up(lake: Lake) -> None:
    files: dict[str, str | bytes] = {}
    for n in range(40):
        rows = [f"u{(n * 5 + at) % 17},t{at % 3},2024-06-{24 + (n + at) % 7} {at:02}:{n:02}:00" for at in range(12)]
        text = csv(*rows, *(["u1,t1,never"] if n % 4 == 0 else []))
        text = text.replace("\n", "\r\n") if n % 3 == 0 else text
        text = "\ufeff" + text if n % 5 == 0 else text
        files[f"{n}.csv.gz" if n % 6 == 0 else f"{n}.csv"] = zipped(text) if n % 6 == 0 else text
    files["empty.csv"] = ""
    report = lake.run(files)
    assert (report["rowsRead"], report["rowsKept"], report["rowsQuarantined"]) == (490, 480, {"bad_listen_time": 10})
    assert report["days"] == [f"2024-06-{day}" for day in range(24, 31)]
    assert len(lake.keys("curated/")) == 7
    assert all(file["rowsKept"] == 12 for file in report["files"])


def test_a_batch_without_manifest_fails_with_what_is_wrong(lake: Lake) -> None:
    with pytest.raises(BatchError, match="does not exist"):
        lake.transform("20240625T000000Z-nomanife")


def test_a_job_that_fails_says_why_in_its_last_line_and_exits_with_an_error(lake: Lake) -> None:
    script = Path(transform.__file__)
    arguments = [
        "--bucket",
        lake.bucket,
        "--reference-location",
        f"s3://{lake.bucket}/reference/",
        "--ledger-table",
        "none",
        "--WORKFLOW_NAME",
        "none",
        "--WORKFLOW_RUN_ID",
        "wr_1",
        "--job-language",
        "python",
    ]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ERROR: ")
    assert "GetWorkflowRunProperties" in last
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["job"], line["event"], line["workflow_run_id"]) == ("transform", "jobFailed", "wr_1")
    assert last == f"ERROR: {line['error']}"

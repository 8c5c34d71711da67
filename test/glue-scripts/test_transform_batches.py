"""A listen once for all time: within a batch, across batches, and after crashes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import Lake, csv, incoming, listen_keys

import transform
from music_streams import curated as curated_module
from music_streams import layout, reference_copy
from music_streams.curated import Curated
from spark_support import FULL


@pytest.fixture
def lake(s3: Any, spark: SparkSession) -> Lake:
    return Lake(s3, spark)


@pytest.fixture(scope="module", params=["small", "large"])
def again(request: pytest.FixtureRequest, s3: Any, spark: SparkSession) -> Iterator[tuple[Lake, list[dict[str, Any]]]]:
    """Three batches that bring the same listens again, and their reports. `large`: as if nothing fitted into memory."""
    threshold = "spark.sql.autoBroadcastJoinThreshold"
    before = spark.conf.get(threshold) or "10MB"
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "large":
            patched.setattr(transform, "FEW_LISTENS", -1)
            patched.setattr(reference_copy, "SMALL_BYTES", -1)
            spark.conf.set(threshold, "-1")
        yield three_batches(Lake(s3, spark))
    spark.conf.set(threshold, before)


def three_batches(lake: Lake) -> tuple[Lake, list[dict[str, Any]]]:
    first = {
        "a.csv": csv("u0,t0,2024-06-25 10:00:00", "u0,t0,2024-06-25T12:00:00+02:00", "u1,t1,2024-06-25 10:00:00"),
        "b.csv": csv("u1,t1,2024-06-25T10:00Z", "u2,t1,2024-06-25 10:00:00", 'u2,t1,"2024-06-25 10:00:00"'),
        "c.csv": csv("u0,t0,2024-06-25 10:00:00.000001"),
        "late.csv": csv("late,t0,2024-06-25T23:30:00-01:00"),
    }
    rows = [*["u0,t0,2024-06-25 10:00:00"] * 2, *["u3,t0,2024-06-25 10:00:00"] * 3, "u0,t0,2024-06-24 10:00:00"]
    late = csv("late,t0,2024-06-26 00:30:00", "other,t0,2024-06-26 10:00:00")
    second = {"again.csv": csv(*rows), "late again.csv": late}
    third = {"again.csv": csv("u0,t0,2024-06-25 10:00:00")}
    return lake, [lake.run(dict(files)) for files in (first, second, third)]


def test_a_listen_counts_once_whatever_file_batch_or_writing_brings_it_again(
    again: tuple[Lake, list[dict[str, Any]]],
) -> None:
    lake, (first, second, third) = again
    assert [(file["rowsKept"], file["rowsDuplicate"]) for file in first["files"]] == [(2, 1), (1, 2), (1, 0), (1, 0)]
    assert (first["rowsDuplicate"], first["rowsDuplicateElsewhere"]) == (3, 0)
    assert (second["files"][0]["rowsKept"], second["files"][0]["rowsDuplicate"]) == (2, 4)
    assert (second["rowsKept"], second["rowsDuplicate"], second["rowsDuplicateElsewhere"]) == (3, 5, 3)
    assert second["days"] == ["2024-06-24", "2024-06-25", "2024-06-26"]
    assert (third["rowsKept"], third["rowsDuplicate"], third["days"], third["unknownTracks"]) == (0, 1, [], 0)
    keys = listen_keys(lake.curated())
    assert len(keys) == len(set(keys)) == 8


def test_a_batch_has_one_file_a_day_in_the_order_of_tracks(again: tuple[Lake, list[dict[str, Any]]]) -> None:
    lake, _ = again
    keys = lake.keys(layout.key("listens"))
    assert len({key.rpartition("/")[0] for key in keys}) == len(keys) == 5
    for key in keys:
        rows = lake.parquet([key], "track_id, epoch_us(listen_time) AS listen_time, user_id, track_name")
        order = [(row["track_id"], row["listen_time"], row["user_id"]) for row in rows]
        assert order == sorted(order)
        assert all(row["track_name"] for row in rows)


def test_a_repeat_is_found_on_the_day_in_utc(again: tuple[Lake, list[dict[str, Any]]]) -> None:
    _, (first, second, _) = again
    assert "2024-06-26" in first["days"]
    (late,) = [file for file in second["files"] if file["name"] == "late again.csv"]
    assert (late["rowsKept"], late["rowsDuplicate"]) == (1, 1)


@pytest.mark.grows
def test_random_batches_in_any_order_leave_the_same_listens(lake: Lake) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    times = [f"2024-06-{day} 10:0{minute}:00" for day in range(20, 24) for minute in range(10)]
    listens = [f"u{chance.randrange(9)},t{chance.randrange(5)},{chance.choice(times)}" for _ in range(400)]
    kept = 0
    for number in range(3 if FULL else 2):
        chosen = chance.sample(listens, 250)
        report = lake.run({f"{number}-{part}.csv": csv(*chosen[part::3]) for part in range(3)})
        kept += report["rowsKept"]
        everything = [(*row.split(",")[:2], f"{row.split(',')[2]}.000000") for row in chosen]
        assert set(everything) <= set(listen_keys(lake.curated()))
    keys = listen_keys(lake.curated())
    assert len(keys) == len(set(keys)) == kept


class CrashError(Exception):
    """The job ends here."""


@pytest.mark.grows
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
        assert lake.copies() == []

    if FULL:
        crash_after(curated_module, "put_json")
        assert lake.json("touched", batch) == {"days": ["2024-06-25", "2024-06-26"]}
    crash_after(Curated, "_write")
    assert lake.json("touched", batch) == {"days": ["2024-06-25", "2024-06-26"]}
    assert len(lake.curated(batch)) == 2
    if FULL:
        crash_after(Curated, "remember_replaced")
        crash_after(curated_module, "put_json")
        crash_after(Curated, "clean")
        assert lake.curated(batch) == []
        crash_after(Curated, "replace_quarantined")
        crash_after(transform, "counts")
    # A killed writer leaves unfinished files.
    listens = layout.key("listens")
    lake.put(f"{listens}_temporary/0/_temporary/attempt_1/listen_date=2024-06-25/part-0.parquet", "half")
    lake.put(f"{listens}__magic_job-1/job-1/00/task_1.pendingset", "half")
    lake.put(f"{own}_temporary/0/part-0.json", "half")
    for _ in range(2 if FULL else 1):
        report = lake.transform(batch)
        assert (report["rowsKept"], report["rowsDuplicate"], report["rowsQuarantined"]) == (2, 1, {"malformed_row": 1})
        assert report["days"] == ["2024-06-25", "2024-06-26"]
        assert [key[:2] for key in listen_keys(lake.curated(batch))] == [("u0", "t0"), ("u1", "t1")]
        assert lake.quarantined_rows(batch) == [("a.csv", "malformed_row", "bad,row")]
        assert len(lake.keys(listens)) == 3
        assert len(lake.keys(own)) == 1


def watched(s3: Any, listed: list[str]) -> Any:
    """An S3 client that notes the prefixes it lists."""

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def get_paginator(self, name: str) -> Any:
            paginator = s3.get_paginator(name)

            class Paginator:
                def paginate(self, **arguments: Any) -> Any:
                    listed.append(arguments["Prefix"])
                    return paginator.paginate(**arguments)

            return Paginator()

    return Watched()


@pytest.fixture(scope="module")
def listing(s3: Any, spark: SparkSession) -> tuple[Lake, list[str]]:
    """A batch beside another batch's history, and the folders that its run listed."""
    lake, listed = Lake(s3, spark), list[str]()
    for day in range(1, 3):
        lake.put(layout.key("listensBatch", date=f"2024-05-0{day}", batchId="other") + "part-0.parquet", "other")
    batch = lake.claim(
        {"a.csv": csv("u0,t0,2024-06-25 10:00:00", "u0,t1,2024-06-26 10:00:00", "u1,t1,2024-06-26 10:00:00", "bad,row")}
    )
    lake.transform(batch, s3=watched(s3, listed))
    return lake, listed


def test_many_days_of_a_month_take_one_list_and_no_file_of_its_other_days(s3: Any, spark: SparkSession) -> None:
    lake, listed = Lake(s3, spark), list[str]()
    days = [*(f"2024-06-0{day}" for day in range(1, 10)), "2024-07-01"]
    rows = [f"u1,t1,{day} 10:00:00" for day in days]
    lake.run({"a.csv": csv(*rows)})
    # Whoever reads it fails.
    lake.put(layout.key("listensBatch", date="2024-06-10", batchId="other") + "part-0.parquet", "other")
    again = lake.claim({"b.csv": csv(*rows, *(row.replace("10:", "11:") for row in rows))})
    report = lake.transform(again, s3=watched(s3, listed))
    assert (report["rowsKept"], report["rowsDuplicate"], report["days"]) == (len(days), len(days), days)
    listens = layout.key("listens")
    month = layout.key("listensDay", date="2024-06").rstrip("/")
    below = {prefix for prefix in listed if prefix.startswith(listens)}
    assert below == {month, layout.key("listensDay", date="2024-07-01"), f"{listens}_"}


def test_the_days_of_other_batches_history_are_not_listed(listing: tuple[Lake, list[str]]) -> None:
    _, listed = listing
    listens = layout.key("listens")
    below = {prefix for prefix in listed if prefix.startswith(listens)}
    days = ("2024-06-25", "2024-06-26")
    assert below == {*(layout.key("listensDay", date=day) for day in days), f"{listens}_"}


def test_rows_that_a_run_again_no_longer_has_are_named_for_publish(listing: tuple[Lake, list[str]]) -> None:
    lake, _ = listing
    (batch,) = lake.batches
    manifest = lake.json("manifest", batch)
    assert manifest is not None
    # A replay of other bytes, as after a change of the reference data or of a file's fate.
    lake.put(incoming("a.csv"), csv("u0,t0,2024-06-27 10:00:00"))
    (entry,) = lake.entries(incoming("a.csv"))
    lake.put(layout.key("manifest", batchId=batch), json.dumps({**manifest, "files": [lake.claimed(entry)]}))
    report = lake.transform(batch)
    assert report["days"] == ["2024-06-25", "2024-06-26", "2024-06-27"]
    assert [row["listen_date"] for row in lake.curated(batch)] == [date(2024, 6, 27)]
    assert lake.quarantined_rows(batch) == []
    replaced = lake.parquet(lake.keys(layout.key("replaced", batchId=batch)), "listen_date, track_id, genres")
    assert sorted((row["listen_date"], row["track_id"], row["genres"]) for row in replaced) == [
        (date(2024, 6, 25), "t0", ["pop"]),
        (date(2024, 6, 26), "t1", ["indie", "rock"]),
    ]

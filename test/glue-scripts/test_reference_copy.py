"""The reference data's copy as Parquet: made once for each set of files, and made again when it is not whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import SONGS, SONGS_KEY, Lake, csv

from music_streams import dimensions, layout, store
from music_streams.reference import Place
from music_streams.reference_copy import folder_of_copies, open_reference

SKIPPED = {"users": 0, "songs": 1}


@dataclass
class Opened:
    """What a batch knows of the reference data: the name of track t1, and the unreadable rows."""

    name: str
    skipped: dict[str, int]


@pytest.fixture(scope="module")
def lake(s3: Any, spark: SparkSession) -> Lake:
    lake = Lake(s3, spark)
    lake.put(SONGS_KEY, SONGS + "3,t2,only two fields\n")
    return lake


def opened(lake: Lake) -> Opened:
    """Opens the reference data as a batch does."""
    place, folder = Place(lake.bucket, layout.key("reference")), layout.key("staged", batchId="b")
    reference = open_reference(lake.spark, lake.s3, place, lake.bucket, folder, {})
    [row] = reference.tracks.where("track_id = 't1'").collect()
    assert reference.users.count() == 2
    store.delete_below(lake.s3, lake.bucket, folder)
    return Opened(row["track_name"], reference.findings["referenceRowsSkipped"])


def copies(lake: Lake) -> set[str]:
    return set(lake.keys(folder_of_copies()))


def folders(lake: Lake) -> set[str]:
    return {key.removeprefix(folder_of_copies()).partition("/")[0] for key in copies(lake)}


def test_the_files_are_parsed_once_and_again_when_one_changes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(lake) == Opened("E", SKIPPED)
    with monkeypatch.context() as patched:
        # Whoever parses the files again fails.
        patched.setattr(dimensions, "tracks_of", None)
        assert opened(lake) == Opened("E", SKIPPED)
    assert len(folders(lake)) == 1
    lake.put(SONGS_KEY, SONGS.replace("C,D,E", "C,D,Another"))
    assert opened(lake) == Opened("Another", {"users": 0, "songs": 0})
    assert len(folders(lake)) == 2


@pytest.mark.parametrize("part", ["tracks/", "users/", "copy.json", "not JSON"])
def test_a_copy_that_is_not_whole_is_made_again(lake: Lake, part: str) -> None:
    before = opened(lake)
    whole = len(copies(lake))
    for key in copies(lake):
        if part == "not JSON" and key.endswith("copy.json"):
            lake.put(key, "torn")
        elif part in key:
            lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    assert opened(lake) == before
    # The folder of a set of files that is not there any more stays as it is.
    assert len(copies(lake)) <= whole


def test_other_code_makes_a_copy_of_its_own(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before, known = folders(lake), opened(lake)
    monkeypatch.setattr("music_streams.reference_copy.own_code", lambda: [("reference.py", "another version")])
    assert opened(lake) == known
    assert len(folders(lake)) == len(before) + 1


def test_a_batch_takes_its_reference_data_from_the_copy_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(lake)
    monkeypatch.setattr(dimensions, "tracks_of", None)
    lake.run({"a.csv": csv("u0,t1,2024-06-25 10:00:00")})
    [row] = lake.curated()
    assert (row["track_name"], row["user_country"]) == ("Another", "Chile")

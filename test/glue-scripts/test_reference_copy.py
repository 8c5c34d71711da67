"""The reference data's copy as Parquet: made once for each set of files, and made again when it is not whole."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import SONGS, SONGS_KEY, Lake, csv

from music_streams import dimensions, store
from music_streams.reference_copy import folder_of_copies


@pytest.fixture(scope="module")
def lake(s3: Any, spark: SparkSession) -> Lake:
    lake = Lake(s3, spark)
    store.delete_below(s3, lake.bucket, folder_of_copies())
    lake.put(SONGS_KEY, SONGS + "3,t2,only two fields\n")
    return lake


def listen(lake: Lake) -> tuple[dict[str, Any], str]:
    """Transforms one more listen of t1. Returns the report, and the name of its track."""
    number = len(lake.batches)
    report = lake.run({"a.csv": csv(f"u{number},t1,2024-06-25 10:00:00")})
    [row] = lake.curated(lake.batches[-1])
    return report, row["track_name"]


def copies(lake: Lake) -> dict[str, str]:
    """The objects of all copies, and when each was written."""
    return {entry["Key"]: entry["LastModified"] for entry in lake.entries(folder_of_copies())}


def folders(lake: Lake) -> set[str]:
    return {key.removeprefix(folder_of_copies()).partition("/")[0] for key in copies(lake)}


def test_the_files_are_parsed_once_and_again_when_one_changes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first, name = listen(lake)
    assert name == "E"
    assert first["referenceRowsSkipped"] == {"users": 0, "songs": 1}
    with monkeypatch.context() as patched:
        # Whoever parses the files again fails.
        patched.setattr(dimensions, "tracks_of", None)
        again, name = listen(lake)
    assert name == "E"
    assert {key: again[key] for key in again if key.startswith("reference")} == {
        key: first[key] for key in first if key.startswith("reference")
    }
    assert len(folders(lake)) == 1
    lake.put(SONGS_KEY, SONGS.replace("C,D,E", "C,D,Another"))
    report, name = listen(lake)
    assert (name, report["referenceRowsSkipped"]) == ("Another", {"users": 0, "songs": 0})
    assert len(folders(lake)) == 2


@pytest.mark.parametrize("part", ["tracks/", "users/", "copy.json", "not JSON"])
def test_a_copy_that_is_not_whole_is_made_again(lake: Lake, part: str) -> None:
    listen(lake)
    whole = len(copies(lake))
    for key in copies(lake):
        if part == "not JSON" and key.endswith("copy.json"):
            lake.put(key, "torn")
        elif part in key:
            lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    assert listen(lake)[1] in ("E", "Another")
    # The folder of a set of files that is not there any more stays as it is.
    assert len(copies(lake)) <= whole


def test_other_code_makes_a_copy_of_its_own(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = folders(lake)
    monkeypatch.setattr("music_streams.reference_copy.own_code", lambda: [("reference.py", "another version")])
    assert listen(lake)[1] in ("E", "Another")
    assert len(folders(lake)) == len(before) + 1

"""Files after public bug reports, which are not part of the repository: what must become of each, in one run."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import SONGS_KEY, USERS_KEY, Lake

import oracle
from music_streams.log import iso

# Expectations that a rule has changed since the files were collected.
CHANGED: dict[str, dict[str, Any]] = {
    "times/of warehouses and languages.csv": {"kept": 14, "duplicate": 0, "rows": {"bad_listen_time": 3}},
    "lastfm/Scrubbler, columns renamed.csv": {"kept": 2, "duplicate": 0, "rows": {"bad_listen_time": 2}},
    "gzip/padded with zeros.csv.gz": {"kept": 3, "duplicate": 0, "rows": {}},
}


@pytest.fixture(scope="module")
def expected(cases_folder: Path) -> dict[str, dict[str, Any]]:
    """Returns what must become of each file, by its path. A file that is no CSV by its name is left out."""
    reports = json.loads((cases_folder / "expected.json").read_text())
    files = {name: file for report in reports.values() for name, file in report["files"].items()}
    return {name: CHANGED.get(name, file) for name, file in files.items() if not file.get("leftAlone")}


def test_every_file_of_a_public_report_ends_as_it_must(
    s3: Any, spark: SparkSession, cases_folder: Path, expected: dict[str, dict[str, Any]]
) -> None:
    lake, claimed_at = Lake(s3, spark), datetime(2026, 11, 1, tzinfo=timezone.utc)
    for key, name in ((SONGS_KEY, "songs.csv"), (USERS_KEY, "users.csv")):
        lake.put(key, (cases_folder / "reference" / name).read_bytes())
    streams: dict[str, str | bytes] = {name: (cases_folder / "streams" / name).read_bytes() for name in expected}
    report = lake.transform(lake.claim(streams, iso(claimed_at)))
    quarantined = {bad["name"]: bad for bad in report["filesQuarantined"]}
    assert quarantined.keys() == {name for name, file in expected.items() if "quarantined" in file}
    for name, bad in quarantined.items():
        assert bad["reason"] in expected[name]["quarantined"].split("|"), bad
        assert re.search(expected[name].get("detail", ""), bad["detail"]), bad
    for file in report["files"]:
        wanted = expected[file["name"]]
        assert file["rowsQuarantined"] == wanted["rows"], file
        # Which file of a group keeps a listen that all of them have depends on their order.
        if "group" not in wanted:
            assert (file["rowsKept"], file["rowsDuplicate"]) == (wanted["kept"], wanted["duplicate"]), file
    truth = oracle.truth(cases_folder, claimed_at)
    assert report["rowsKept"] == len(truth.listens)

"""Rows of forgotten listeners: transform leaves them out, and nothing that it writes has their text."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import HEADER, Lake, csv, incoming, listen_keys, zipped

import oracle
from music_streams import layout
from spark_support import FULL

# A list of S3 has 1,000 keys a page.
OTHERS = 3000 if FULL else 200
GOOD = "t0,2024-06-25 10:00:0"
FILES: dict[str, str | bytes] = {
    # By lines: plain rows, quoted ones, and bad ones of every reason.
    "lines.csv": csv(
        f"gone,{GOOD}0",
        f"gone2,{GOOD}0",
        f"a.gone,{GOOD}0",
        f'"gone",{GOOD}1',
        f"stays,{GOOD}2",
        f'"stays",{GOOD}3',
        "gone,t0",
        "stays,t0,2024-06-25 10:00:00,friend of gone",
        "stays,t0,2024-06-25 10:00:00,friend of a.gone",
        "gone,t0,soon",
        "gone,,2024-06-25 10:00:00",
        "gone,t0,1999-06-25 10:00:00",
        "gone,t 0,2024-06-25 10:00:00",
        "stays,t 0,2024-06-25 10:00:00",
        # Only its track has the name: the listen is another listener's.
        "stays,gone,2024-06-25 10:00:05",
    ),
    # As a whole, by Spark's CSV reader: a record has several lines. A note may name anybody in a good row.
    "whole.csv": csv(
        f"gone,{GOOD}0,plain",
        f'gone,{GOOD}6,"two\nlines"',
        f'stays,{GOOD}7,"a note\nabout gone"',
        'stays,t0,soon,"a note\nabout gone"',
        'stays,t0,soon,"a note\nabout gone2"',
        "also-gone",
        header=f"{HEADER},note",
    ),
    "packed.csv.gz": zipped(csv(f"also-gone,{GOOD}8", f"stays,{GOOD}2")),
}


@pytest.fixture(scope="module")
def lake(s3: Any, spark: SparkSession) -> Lake:
    """A batch before two of its listeners were forgotten, and one after it. The second brings old rows again."""
    lake = Lake(s3, spark)
    lake.run({"before.csv": csv(f"gone,{GOOD}0", f"stays,{GOOD}2")})
    # Many others, and a name that is no id.
    names = ["gone", "also-gone", "t0,2024", *(f"other-{number}" for number in range(OTHERS))]
    for name in names:
        lake.put(layout.key("forgotten", userId=name), '{"forgottenAt": "2024-06-30T00:00:00.000Z"}')
    lake.run(dict(FILES))
    return lake


@pytest.mark.grows
def test_a_forgotten_listener_s_rows_are_no_listens_however_they_are_read(lake: Lake) -> None:
    found = listen_keys(lake.curated(lake.batches[1]))
    seconds = {(user, track, time[17:19]) for user, track, time in found}
    assert seconds == {
        ("a.gone", "t0", "00"),
        ("gone2", "t0", "00"),
        ("stays", "t0", "03"),
        ("stays", "gone", "05"),
        ("stays", "t0", "07"),
    }
    # The earlier batch stays as it is until it is replayed.
    assert [user for user, _, _ in listen_keys(lake.curated(lake.batches[0]))] == ["gone", "stays"]


def test_every_row_is_accounted_for_and_bad_rows_that_name_the_listener_lose_their_text(lake: Lake) -> None:
    report = lake.json("transformReport", lake.batches[1])
    assert report is not None
    assert report["rowsQuarantined"] == {"bad_id": 1, "bad_listen_time": 1, "forgotten": 13, "malformed_row": 1}
    assert (report["rowsKept"], report["rowsDuplicate"]) == (5, 2)
    rows = lake.quarantined_rows(lake.batches[1])
    assert {raw for _, reason, raw in rows if reason == "forgotten"} == {""}
    assert sorted(raw for _, reason, raw in rows if reason != "forgotten") == [
        "stays,t 0,2024-06-25 10:00:00",
        "stays,t0,2024-06-25 10:00:00,friend of a.gone",
        'stays,t0,soon,"a note\nabout gone2"',
    ]
    assert [(name, reason) for name, reason, _ in rows if reason == "forgotten" and name != "lines.csv"] == [
        ("packed.csv.gz", "forgotten"),
        *[("whole.csv", "forgotten")] * 4,
    ]
    for name, content in FILES.items():
        content = content if isinstance(content, bytes) else content.encode()
        outcome, _ = oracle.read_stream(content, datetime.now(timezone.utc), None, frozenset({"gone", "also-gone"}))
        (file,) = [file for file in report["files"] if file["name"] == name]
        assert (file["rowsRead"], file["rowsQuarantined"]) == (outcome.rows_read, outcome.rows_quarantined), name
    written = [layout.key("quarantinedRows", batchId=lake.batches[1]), layout.key("manifest", batchId=lake.batches[1])]
    for key in [key for prefix in written for key in lake.keys(prefix)]:
        tokens = set(re.findall(r"[\w.:-]+", lake.content(key).decode().replace("\\n", " ")))
        assert tokens.isdisjoint({"gone", "also-gone"}), key


def test_a_replay_takes_their_rows_out_and_another_brings_them_back_once_the_list_is_shorter(lake: Lake) -> None:
    batch = lake.batches[0]
    lake.put(incoming("before.csv"), csv(f"gone,{GOOD}0", f"stays,{GOOD}2"))
    assert lake.transform(batch)["rowsQuarantined"] == {"forgotten": 1}
    assert [user for user, _, _ in listen_keys(lake.curated(batch))] == ["stays"]
    lake.s3.delete_object(Bucket=lake.bucket, Key=layout.key("forgotten", userId="gone"))
    lake.transform(batch)
    assert [user for user, _, _ in listen_keys(lake.curated(batch))] == ["gone", "stays"]

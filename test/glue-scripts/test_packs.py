"""Small files whose lines are put together, next to the same files as copies."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import HEADER, Lake, csv, zipped

from music_streams import packs, staging
from music_streams.batch import ManifestFile
from music_streams.inputs import HEAD_BYTES, Table
from music_streams.packs import Packs

ROW = "u{},t0,2024-06-25 10:00:00"


class Bucket:
    """An S3 client that keeps what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **asked: Any) -> None:
        assert (asked["Bucket"], asked["Key"] in self.objects) == ("lake", False)
        self.objects[asked["Key"]] = asked["Body"]


def test_packs_hold_each_line_once_behind_its_file_s_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 200)
    bucket = Bucket()
    written = Packs(bucket, "lake", "temporary/b/")
    texts = {number: "\n".join(f"é{line}\r" for line in range(number % 7)) for number in range(200)}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda one: written.add(one[0], one[1].encode()), texts.items()))
    written.close()
    assert len(bucket.objects) > 10
    assert all(key.startswith("temporary/b/packed/") for key in bucket.objects)
    lines = Counter(line for pack in bucket.objects.values() for line in pack.decode().split("\n") if line)
    assert lines == Counter(f"{number:06d}{line}" for number, text in texts.items() for line in text.split("\n"))
    assert all(pack.endswith(b"\n") for pack in bucket.objects.values())


def test_packs_of_nothing_are_none() -> None:
    bucket = Bucket()
    Packs(bucket, "lake", "x/").close()
    assert bucket.objects == {}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (csv(ROW), True),
        (csv("é,t0,x").removesuffix("\n"), True),
        (csv(ROW).replace("\n", "\r\n"), True),
        (csv('"u0",t0,x'), False),
        (csv(HEADER), False),
        (csv(HEADER + "\r"), False),
        ("", False),
    ],
    ids=["plain", "no end", "returns", "a quote", "the header again", "the header again, otherwise", "no header"],
)
def test_a_text_is_packed_when_its_lines_are_its_records(text: str, verdict: bool) -> None:
    assert packs.can_be_packed(table("\n"), text.encode()) is verdict


def test_a_text_of_other_line_ends_or_not_of_utf_8_is_not_packed() -> None:
    assert not packs.can_be_packed(table("\r"), csv(ROW).encode())
    assert not packs.can_be_packed(table("\n"), csv(ROW).encode() + b"\xff\n")


def table(line_end: str) -> Table:
    """A table with the usual header."""
    file = ManifestFile("a.csv", "a.csv", '"e"', 0, datetime(2024, 6, 25, tzinfo=timezone.utc))
    return Table(file, False, tuple(HEADER.split(",")), HEADER, line_end, 0, 0)


# Files of every kind that is packed, and neighbours that are not.
FILES: dict[str, str | bytes] = {
    "plain.csv": csv(*[ROW.format(n) for n in range(50)], ROW.format(1)),
    "no end.csv": csv(ROW.format(100), ",t0,2024-06-25 10:00:00").removesuffix("\n"),
    "returns.csv": csv(ROW.format(200), "-u,t0,2024-06-25 10:00:00", "", " ").replace("\n", "\r\n"),
    "returns inside.csv": csv(ROW.format(300), f"{ROW.format(301)}\r{ROW.format(302)}", "a\rb"),
    "blank lines.csv": "\n\n" + csv(ROW.format(400), "", "", ROW.format(401), "\t"),
    "a mark.csv": "\ufeff" + csv(ROW.format(500), "é\u2028,t0,2024-06-25 10:00:00"),
    "a mark on its line.csv": "\ufeff\n" + csv(ROW.format(600)),
    "other columns.csv": csv("x,2024-06-25 10:00:00,t0,u700", header="note,listen_time,track_id,user_id"),
    "only a header.csv": csv(),
    "zipped.csv.gz": zipped(csv(ROW.format(800), "u800,t0")),
    "zeros.csv.gz": zipped(csv(ROW.format(801))) + bytes(600),
    "quotes.csv": csv('"u\n900",t0,2024-06-25 10:00:00', f'"u901"{ROW[3:]}', 'u"902,t0,2024-06-25 10:00:00'),
    "the header again.csv": csv(ROW.format(1000), HEADER, ROW.format(1001)),
    "not UTF-8.csv": csv(ROW.format(1100)).encode() + b"u\xe9,t0,2024-06-25 10:00:00\nu0,t0,\xc3\n",
    "old ends.csv": csv(ROW.format(1200), "x").replace("\n", "\r"),
    "large.csv": csv(*[ROW.format(n) for n in range(2000, 2000 + HEAD_BYTES // 20)]),
}
COPIED = {"quotes.csv", "the header again.csv", "not UTF-8.csv", "old ends.csv", "large.csv"}


def test_packed_files_give_what_their_copies_give(
    s3: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, bool] = {}
    can = packs.can_be_packed

    def noted(table: Table, text: bytes) -> bool:
        seen[table.file.name] = can(table, text)
        return seen[table.file.name]

    outcomes = []
    for judge in (noted, lambda *_: False):
        monkeypatch.setattr(staging, "can_be_packed", judge)
        lake = Lake(s3, spark)
        report = lake.run(FILES)
        rows = [{name: value for name, value in row.items() if name != "batch_id"} for row in lake.curated()]
        stamps = ("startedAt", "finishedAt")
        told = {name: value for name, value in report.items() if name not in stamps}
        outcomes.append((told, rows, lake.quarantined_rows()))
    assert {name for name in FILES if not seen.get(name)} == COPIED
    assert outcomes[0][0]["rowsKept"] > len(FILES["large.csv"]) // 40
    assert len(outcomes[0][2]) >= 8
    assert outcomes[0] == outcomes[1]

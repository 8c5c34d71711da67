"""How transform reads and judges rows, compared with Python's csv and datetime."""

from __future__ import annotations

import csv
import io
import random
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import transform_support as support
from pyspark.sql import SparkSession
from transform_support import CLAIMED_AT, Lake, listen_keys, zipped

CLAIM = datetime.fromisoformat(CLAIMED_AT.replace("Z", "+00:00"))
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
TIME = re.compile(
    r"(\d{4})(-?)(\d\d)\2(\d\d)([T ])(\d\d)(:?)(\d\d)(?:\7(\d\d)(?:[.,](\d{1,9}))?)?(?:(Z)|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)


def time_of(text: str) -> str | None:
    """Returns a time as UTC text, `range` when it is out of range, None when the text is no time."""
    match = TIME.fullmatch(text)
    if not match or bool(match[2]) != bool(match[7]) or (not match[2] and match[5] == " "):
        return None
    year, month, day, hour, minute = (int(match[group]) for group in (1, 3, 4, 6, 8))
    try:
        micros = int((match[10] or "").ljust(6, "0")[:6])
        moment = datetime(year, month, day, hour, minute, int(match[9] or 0), micros, timezone.utc)
    except ValueError:
        return None
    hours, minutes = int(match[13] or 0), int(match[14] or 0)
    if hours > 23 or minutes > 59:
        return None
    try:
        moment -= timedelta(hours=hours, minutes=minutes) * (-1 if match[12] == "-" else 1)
    except OverflowError:
        return "range"
    in_range = datetime(2000, 1, 1, tzinfo=timezone.utc) <= moment <= CLAIM + timedelta(days=1)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if in_range else "range"


def judge(row: list[str], header: list[str]) -> tuple[str, tuple[str, str, str] | None]:
    """Judges a row: (reason, None) or ("", listen)."""
    if len(row) != len(header):
        return "malformed_row", None
    user, track, text = (row[header.index(name)] for name in ("user_id", "track_id", "listen_time"))
    if not user.strip():
        return "missing_user_id", None
    if not track.strip():
        return "missing_track_id", None
    if not ID.fullmatch(user) or not ID.fullmatch(track):
        return "bad_id", None
    moment = time_of(text)
    if moment is None:
        return "bad_listen_time", None
    if moment == "range":
        return "out_of_range_listen_time", None
    return "", (user, track, moment)


def verdict(content: str) -> tuple[Counter[str], list[tuple[str, str, str]]]:
    """Judges a file: the reasons of its rows, and its listens."""
    rows = [row for row in csv.reader(io.StringIO(content.removeprefix("\ufeff"), newline="")) if row]
    judged = [judge(row, [name.strip().lower() for name in rows[0]]) for row in rows[1:]]
    reasons = Counter(reason for reason, _ in judged if reason)
    return reasons, [listen for _, listen in judged if listen]


TIMES = [
    "2024-06-25 10:00:00",
    "2024-06-25T10:00:00",
    "2024-06-25T10:00",
    "2024-06-25 10:00",
    "2024-06-25T10:00Z",
    "2024-06-25T10:00:00Z",
    "2024-06-25 10:00:00Z",
    "2024-06-25T10:00:00+02:00",
    "2024-06-25T10:00:00-0530",
    "2024-06-25T10:00:00+09",
    "2024-06-25T00:30:00+23:59",
    "2024-06-25T23:30:00-23:59",
    "2024-06-25T10:00:00.1",
    "2024-06-25T10:00:00,123456",
    "2024-06-25T10:00:00.123456789Z",
    "2024-06-25T10:00:00.999999999-01:00",
    "20240625T100000",
    "20240625T1000",
    "20240625T1000Z",
    "20240625T100000Z",
    "20240625T100000.5+0200",
    "20240625T1000+02:00",
    "2024-02-29 23:59:59",
    "2000-01-01 00:00:00",
    "2024-07-02 00:00:00",
    # Not times.
    "2024-06-25",
    "20240625",
    "2023-02-29 00:00:00",
    "2024-06-31 10:00:00",
    "2024-13-01 10:00:00",
    "2024-00-10 10:00:00",
    "2024-06-25 24:00:00",
    "2024-06-25 10:60:00",
    "2024-06-25 10:00:60",
    "2024-06-25 1:00:00",
    "24-06-25 10:00:00",
    "2024-6-25 10:00:00",
    "2024/06/25 10:00:00",
    "2024-06-25  10:00:00",
    " 2024-06-25 10:00:00",
    "2024-06-25 10:00:00 ",
    "2024-06-25 10:00:00 Z",
    "2024-06-25T10:00:00.",
    "2024-06-25T10:00:00.1234567890",
    "2024-06-25T10:00.5",
    "2024-06-25T10",
    "2024-06-25T10:00:00+24:00",
    "2024-06-25T10:00:00+02:60",
    "2024-06-25T10:00:00+2",
    "2024-06-25T10:00:00 UTC",
    "2024-06-25t10:00:00",
    "20240625 100000",
    "2024-06-25T100000",
    "20240625T10:00:00",
    "20240631T100000",
    "20240625T250000",
    "1719309600",
    "0000-01-01 00:00:00",
    "+2024-06-25 10:00:00",
    "٢٠٢٤-06-25 10:00:00",
    "2024-06-25 10:00:00 AM",
    "now",
    "epoch",
    "",
    " ",
    # Times, but not of a listen.
    "1999-12-31 23:59:59",
    "2000-01-01T00:30:00+01:00",
    "2024-07-02 00:00:01",
    "2024-07-01T23:59:59.999999-00:01",
    "0001-01-01 00:00:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31 23:59:59",
    "9999-12-31T23:59:59.999999999-23:59",
    "1970-01-01 00:00:00",
    "2106-02-07 06:28:16",
]


def generated(chance: random.Random) -> str:
    """Makes a CSV of the three columns and some others, in any order and every style."""
    header = ["user_id", "track_id", "listen_time", *[f"x{n}" for n in range(chance.randrange(4))]]
    chance.shuffle(header)
    end = chance.choice(["\n", "\r\n", "\n", "\r\n", "\r"])
    pieces = [
        "a",
        "b1",
        "Z",
        " ",
        "\t",
        ",",
        '"',
        "\n",
        "\r\n",
        "\r",
        "é",
        "日本",
        "\\",
        "#",
        "'",
        ";",
        "\u2028",
        "\x0b",
        "\x1f",
        "\x85",
        "{}",
        "a" * 300,
    ]

    def odd() -> str:
        return "".join(chance.choice(pieces) for _ in range(chance.randrange(5)))

    def field(name: str) -> str:
        if name == "listen_time":
            text = (
                chance.choice(TIMES)
                if chance.random() < 0.3
                else f"2024-06-{chance.randrange(20, 30)} 10:00:{chance.randrange(60):02}"
            )
        elif name.endswith("_id"):
            text = odd() if chance.random() < 0.15 else f"k{chance.randrange(30)}"
        else:
            text = odd()
        must = any(mark in text for mark in ',"\r\n')
        return '"' + text.replace('"', '""') + '"' if must or chance.random() < 0.3 else text

    lines = [",".join(chance.choice([name, f'"{name}"', f" {name.upper()} "]) for name in header)]
    for _ in range(chance.randrange(60)):
        fields = [field(name) for name in header]
        if chance.random() < 0.1:
            fields = fields[: chance.randrange(len(fields))] if chance.random() < 0.5 else [*fields, field("x")]
        lines.append(",".join(fields))
        if chance.random() < 0.05:
            lines.append("")
    return ("\ufeff" if chance.random() < 0.2 else "") + end.join(lines) + (end if chance.random() < 0.7 else "")


LINE_ENDS = {"lf": ["\n"], "crlf": ["\r\n"], "cr": ["\r"], "mixed": ["\r\n", "\n", "\n\n", "\r\n\r\n", "\r"]}


@dataclass
class Outcome:
    """One run over the files of all tests: each test has a folder of its own, and users of its own."""

    generated: dict[str, str]
    files: dict[str, dict[str, Any]]
    files_quarantined: list[dict[str, str]]
    listens: list[tuple[str, str, str]]
    days_agree: bool

    def counts(self, name: str) -> tuple[int, int, int, dict[str, int]]:
        """Rows read, kept and duplicate of a file, and its quarantined rows by reason."""
        file = self.files[name]
        return file["rowsRead"], file["rowsKept"], file["rowsDuplicate"], file["rowsQuarantined"]


@pytest.fixture(scope="module")
def outcome(s3: Any, spark: SparkSession) -> Outcome:
    seed = random.randrange(2**32)
    print("seed", seed)
    texts = {f"generated/{number}.csv": generated(random.Random(seed + number)) for number in range(60)}
    files = {name: zipped(text) if n % 5 == 0 else text.encode() for n, (name, text) in enumerate(texts.items())}
    lake = Lake(s3, spark)
    report = lake.run({**times_file(), **line_end_files(), **buffer_files(), **files})
    curated = lake.curated()
    return Outcome(
        texts,
        {file["name"]: file for file in report["files"]},
        report["filesQuarantined"],
        listen_keys(curated),
        all(row["listen_date"].isoformat() == row["listen_time"][:10] for row in curated),
    )


def times_file() -> dict[str, str | bytes]:
    return {"times.csv": support.csv(*[f'time{n},t{n},"{text}"' for n, text in enumerate(TIMES)])}


def line_end_files() -> dict[str, str | bytes]:
    """Three files for each line end: plain, after a BOM and blank lines, without the last line end."""
    files: dict[str, str | bytes] = {}
    for name, ends in LINE_ENDS.items():
        lines = ["user_id,note,track_id,listen_time"]
        lines += [
            f'{name}{n},"a ""note""{ends[n % len(ends)]}over lines, {n}",t{n},"2024-06-25 10:00:0{n % 9}"'
            for n in range(20)
        ]
        lines += [f"{name}-plain{n},,t{n},2024-06-25 10:00:00" for n in range(20)]
        content = "".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
        files[f"ends/{name}/a.csv"] = content.encode()
        files[f"ends/{name}/b.csv"] = ("\ufeff" + ends[0] * 2 + content).encode()
        files[f"ends/{name}/c.csv"] = content.rstrip().encode()
    return files


def buffer_files() -> dict[str, str | bytes]:
    chance = random.Random(7)
    rows = [
        f'buffer{n},"{"x" * chance.randrange(3000)}\r\n{n}, ""said""\n",t{n % 50},2024-06-25 10:{n // 60:02}:00'
        for n in range(3000)
    ]
    content = "\n".join(["user_id,note,track_id,listen_time", *rows])
    return {"buffers/a.csv": content.encode(), "buffers/b.csv": zipped(content)}


def test_a_listen_time_is_read_as_utc_or_quarantined_with_its_reason(outcome: Outcome) -> None:
    header = ["user_id", "track_id", "listen_time"]
    expected = [judge([f"time{number}", f"t{number}", text], header) for number, text in enumerate(TIMES)]
    listens = sorted(listen for _, listen in expected if listen)
    assert len(listens) == 25
    reasons = Counter(reason for reason, _ in expected if reason)
    assert outcome.counts("times.csv") == (len(TIMES), 25, 0, reasons)
    assert sorted(listen for listen in outcome.listens if listen[0].startswith("time")) == listens
    assert outcome.days_agree


@pytest.mark.parametrize("end", LINE_ENDS)
def test_lines_may_end_in_any_way_also_within_quotes(outcome: Outcome, end: str) -> None:
    counts = [outcome.counts(f"ends/{end}/{name}.csv") for name in "abc"]
    assert counts == [(40, 40, 0, {}), (40, 0, 40, {}), (40, 0, 40, {})]
    times = [time for user, _, time in outcome.listens if user.rstrip("0123456789") in (end, f"{end}-plain")]
    assert len(times) == 40
    assert not any("\r" in time for time in times)


def test_the_reading_equals_python_s_csv_on_generated_files(outcome: Outcome) -> None:
    assert outcome.files_quarantined == []
    for name, text in outcome.generated.items():
        reasons, listens = verdict(text)
        read, _, _, quarantined = outcome.counts(name)
        assert read == len(listens) + sum(reasons.values()), (name, text)
        assert quarantined == reasons, (name, text)
    others = ("time", "buffer", *LINE_ENDS)
    found = [listen for listen in outcome.listens if not listen[0].startswith(others)]
    assert found == sorted({listen for text in outcome.generated.values() for listen in verdict(text)[1]})


def test_quoted_newlines_hold_across_the_reader_s_buffers(outcome: Outcome) -> None:
    assert outcome.counts("buffers/a.csv") == (3000, 3000, 0, {})
    assert outcome.counts("buffers/b.csv") == (3000, 0, 3000, {})


def test_without_multi_line_a_newline_ends_a_row_even_in_quotes(s3: Any, spark: SparkSession) -> None:
    lake = Lake(s3, spark)
    content = support.csv(
        "u1,t1,2024-06-25 10:00:00", '"u2\nx",t1,2024-06-25 10:00:00', "", " \t ", "u3,t1,2024-06-25 10:00:00"
    ).replace("\n", "\r\n")
    report = lake.run(
        {"a.csv": content}, "--multi-line", "false", "--JOB_NAME", "transform", "--enable-metrics", "true"
    )
    assert (report["rowsKept"], report["rowsQuarantined"]) == (2, {"malformed_row": 1, "bad_id": 1})
    assert {raw for _, _, raw in lake.quarantined_rows()} == {'"u2', 'x",t1,2024-06-25 10:00:00'}

"""How transform reads and judges rows, compared with Python's csv and datetime."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import transform_support as support
from pyspark.sql import SparkSession
from row_cases import TIMES, generated, judge, verdict
from transform_support import Lake, listen_keys, zipped

# The reader's buffer is a million characters. The rows have some 1,500 each.
BUFFERED_ROWS = 1500
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
        for n in range(BUFFERED_ROWS)
    ]
    content = "\n".join(["user_id,note,track_id,listen_time", *rows])
    return {"buffers/a.csv": content.encode(), "buffers/b.csv": zipped(content)}


def test_a_listen_time_is_read_as_utc_or_quarantined_with_its_reason(outcome: Outcome) -> None:
    header = ["user_id", "track_id", "listen_time"]
    expected = [judge([f"time{number}", f"t{number}", text], header) for number, text in enumerate(TIMES)]
    listens = sorted(listen for _, listen in expected if listen)
    assert len(listens) == 41
    reasons = Counter(reason for reason, _ in expected if reason)
    assert outcome.counts("times.csv") == (len(TIMES), 41, 0, reasons)
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
    assert outcome.counts("buffers/a.csv") == (BUFFERED_ROWS, BUFFERED_ROWS, 0, {})
    assert outcome.counts("buffers/b.csv") == (BUFFERED_ROWS, 0, BUFFERED_ROWS, {})


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

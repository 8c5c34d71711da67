"""Texts of rows and files, and how Python's csv and datetime judge them."""

from __future__ import annotations

import csv
import io
import random
import re
from collections import Counter
from datetime import datetime, timedelta, timezone

from transform_support import CLAIMED_AT

CLAIM = datetime.fromisoformat(CLAIMED_AT.replace("Z", "+00:00"))
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
TIME = re.compile(
    r"(\d{4})(-?)(\d\d)\2(\d\d)([T ])(\d\d)(:?)(\d\d)(?:\7(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(?: ?(?:(UTC|GMT)|(?:Z|([+-])(\d\d)(?::?(\d\d))?)(?:\[[A-Za-z][A-Za-z0-9_+/-]*\]| [A-Z]{3,5})?))?",
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
    # As warehouses and languages write the zone.
    "2024-06-25 07:00:00 UTC",
    "2024-06-25 08:00:00.123456 UTC",
    "2024-06-25 08:30:00UTC",
    "2024-06-25 08:45 GMT",
    "2024-06-25 09:00:00 +0000",
    "2024-06-25 10:00:00.000 -0130",
    "2024-06-25 11:00:00.0000000 +00:00",
    "2024-06-25 12:00:00 +0000 UTC",
    "2024-06-25 12:00:00.5 +0200 CEST",
    "2024-06-25T15:00:00.000Z[UTC]",
    "2024-06-25T15:00+01:00[Europe/London]",
    "2024-06-25T15:30:00-03:00[America/Argentina/Buenos_Aires]",
    "2024-06-25T16:00:00+05[Etc/GMT-5]",
    "2024-06-25 17:00:00.000000000 Z",
    "20240625T180000 +0200",
    "20240625T1900 UTC",
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
    "2024-06-25T10:00:00.",
    "2024-06-25T10:00:00.1234567890",
    "2024-06-25T10:00.5",
    "2024-06-25T10",
    "2024-06-25T10:00:00+24:00",
    "2024-06-25T10:00:00+02:60",
    "2024-06-25T10:00:00+2",
    "2024-06-25 10:00:00 CET",
    "2024-06-25 10:00:00 utc",
    "2024-06-25 10:00:00 UTC+1",
    "2024-06-25 10:00:00 UTC UTC",
    "2024-06-25 10:00:00 GMT+0000",
    "2024-06-25 10:00:00  UTC",
    "2024-06-25 10:00:00 ",
    "2024-06-25 10:00:00 +00:00 ",
    "2024-06-25T10:00:00[UTC]",
    "2024-06-25T10:00:00Z[!UTC]",
    "2024-06-25T10:00:00Z[]",
    "2024-06-25T10:00:00Z[UTC][u-ca=gregory]",
    "2024-06-25T10:00:00+02:00 C",
    "2024-06-25T10:00:00\u221202:00",
    "2024-06-25UTC",
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

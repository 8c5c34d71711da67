"""Bad files as producers drop them, and what must happen to each. Code makes the same bytes every time.

Each case has the number of its rows that are kept or duplicate, its quarantined rows with their reasons, or the reason
to quarantine the whole file. It is longer than 300 lines because it is a list of cases.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spark_support import FULL

HEADER = "user_id,track_id,listen_time"
CLAIMED_AT = "2024-07-01T00:00:00.000Z"
MB = 1024**2
# The scripts' limits. Written again, so that a change of a limit fails a test.
LONGEST_FIELD = 1_048_576
MOST_COLUMNS = 100_000


@dataclass(frozen=True)
class Case:
    """A dropped file. `rows`: text and reason of each quarantined row. `quarantined`: the reason of the file."""

    name: str
    content: bytes
    kept: int = 0
    duplicate: int = 0
    rows: tuple[tuple[str, str], ...] = ()
    quarantined: str | None = None
    # A pattern for the detail in the report of a quarantined file.
    detail: str = "."


@dataclass
class Cases:
    """Collects cases."""

    all: list[Case] = field(default_factory=list)

    def table(
        self,
        name: str,
        content: str | bytes,
        kept: int = 0,
        duplicate: int = 0,
        quarantined: Mapping[str, str] | None = None,
    ) -> None:
        """Adds a readable file, with its quarantined rows."""
        rows = tuple((quarantined or {}).items())
        self.all.append(Case(name, encoded(content), kept, duplicate, rows))

    def quarantined_file(self, name: str, reason: str, content: str | bytes, detail: str = ".") -> None:
        """Adds a file that is quarantined for a reason."""
        self.all.append(Case(name, encoded(content), quarantined=reason, detail=detail))


def encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


USERS = (f"k{number}" for number in itertools.count())


def user() -> str:
    """Returns an id that no other row has."""
    return next(USERS)


def row(track: str = "t0") -> str:
    """Returns a row that is kept, and that no other file has."""
    return f"{user()},{track},2024-06-25 10:00:00"


def csv(*rows: str, header: str = HEADER, end: str = "\n") -> str:
    return end.join([header, *rows]) + end


def zipped(text: str | bytes) -> bytes:
    return gzip.compress(encoded(text), mtime=0)


def deflated(pieces: Iterable[bytes]) -> bytes:
    """Compresses pieces to one gzip member."""
    packer = zlib.compressobj(6, wbits=31)
    return b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])


def zip_file(**entries: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", ".")), content)
    return target.getvalue()


def all_cases() -> list[Case]:
    """Returns every case, in the order of the sections below."""
    cases = Cases()
    for section in (good, encodings, line_ends, quotes, shapes, headers, nothing, other_formats, gzips, huge):
        section(cases)
    for section in (ids, injections, times, names):
        section(cases)
    return cases.all


def good(cases: Cases) -> None:
    """Good files, which bad files in the same batch must not affect."""
    cases.table("good/plain.csv", csv(*[row(f"t{n % 9}") for n in range(2000)]), kept=2000)
    cases.table("good/packed.csv.gz", zipped(csv(*[row(f"t{n % 9}") for n in range(2000)])), kept=2000)
    twice = row()
    cases.table("good/a, once.csv", csv(twice, twice, row()), kept=2, duplicate=1)
    cases.table("good/b, again.csv", csv(twice, twice.replace(" ", "T") + "Z"), duplicate=2)


def encodings(cases: Cases) -> None:
    text = csv(row())
    noted = "user_id,note,track_id,listen_time"
    cases.table("encodings/utf-8 bom.csv", "\ufeff" + csv(row()), kept=1)
    cases.table("encodings/utf-8.csv", csv(f"{user()},ünï😀日本,t0,2024-06-25 10:00:00", header=noted), kept=1)
    cases.quarantined_file("encodings/two boms.csv", "missing_columns", "\ufeff\ufeff" + text)
    cases.table(
        "encodings/bom between files.csv", csv(row(), "\ufeff" + HEADER, row()), 2, 0, {"\ufeff" + HEADER: "bad_id"}
    )
    cases.quarantined_file("encodings/utf-16-le bom.csv", "not_text", b"\xff\xfe" + text.encode("utf-16-le"), "UTF-16")
    cases.quarantined_file("encodings/utf-16-be bom.csv", "not_text", b"\xfe\xff" + text.encode("utf-16-be"), "UTF-16")
    cases.quarantined_file("encodings/utf-16-le.csv", "not_text", text.encode("utf-16-le"), "is UTF-16")
    cases.quarantined_file("encodings/utf-16-be.csv", "not_text", text.encode("utf-16-be"), "is UTF-16")
    cases.quarantined_file("encodings/utf-32.csv", "not_text", text.encode("utf-32"))
    cases.quarantined_file("encodings/utf-16 in gzip.csv.gz", "not_text", zipped(text.encode("utf-16")))
    cases.table(
        "encodings/latin-1 note.csv",
        csv(f"{user()},Beyonc\xe9,t0,2024-06-25 10:00:00", header=noted).encode("latin-1"),
        kept=1,
    )
    # A text can't hold bytes that are not UTF-8: each of them becomes U+FFFD.
    cases.table(
        "encodings/latin-1 id.csv",
        csv("Beyonc\xe9,t0,2024-06-25 10:00:00", row()).encode("latin-1"),
        1,
        0,
        {"Beyonc\ufffd,t0,2024-06-25 10:00:00": "bad_id"},
    )
    cases.table(
        "encodings/invalid utf-8.csv",
        encoded(csv(row())) + b"u\xff\xfe,t0,x\nu\xc3(,t0,x\n\x80u,t0,x\nu\xe2\x82,t0,x\n",
        1,
        0,
        {
            "u\ufffd\ufffd,t0,x": "bad_id",
            "u\ufffd(,t0,x": "bad_id",
            "\ufffdu,t0,x": "bad_id",
            "u\ufffd,t0,x": "bad_id",
        },
    )
    cases.quarantined_file("encodings/nul early.csv", "not_text", csv(row(), "u\0,t0,2024-06-25 10:00:00"))
    cases.quarantined_file("encodings/nul late.csv", "not_text", csv(*[row()] * 5000, "u\0,t0,2024-06-25 10:00:00"))
    cases.quarantined_file(
        "encodings/nul in a note, late.csv", "not_text", csv(*["u,n,t,x"] * 20_000, "u,\0,t,x", header=noted)
    )
    cases.quarantined_file("encodings/padded with nul.csv", "not_text", csv(*[row()] * 5000) + "\0" * 512)


def line_ends(cases: Cases) -> None:
    for name, end in (("lf", "\n"), ("crlf", "\r\n"), ("cr", "\r")):
        cases.table(f"ends/{name}.csv", csv(row(), row(), end=end), kept=2)
        cases.table(f"ends/{name}, none at the end.csv", csv(row(), row(), end=end).removesuffix(end), kept=2)
        cases.table(f"ends/{name}, blank lines.csv", end * 2 + csv(row(), "", "", row(), "", end=end), kept=2)
        cases.table(f"ends/{name}, blank lines after a bom.csv", "\ufeff" + end + csv(row(), end=end), kept=1)
    cases.table("ends/mixed.csv", f"{HEADER}\r\n{row()}\n{row()}\r\n\r\n{row()}\r{row()}\n\r{row()}", kept=5)
    cases.table("ends/lf then cr.csv", f"{HEADER}\n{row()}\r{row()}\r", kept=2)
    cases.table("ends/cr then lf.csv", f"{HEADER}\r{row()}\n{row()}\n", kept=2)
    cases.table("ends/cr cr lf.csv", csv(row(), row(), end="\r\r\n"), kept=2)
    cases.table(
        "ends/lines of blanks.csv", csv("  ", row(), "\t"), 1, 0, {"  ": "malformed_row", "\t": "malformed_row"}
    )
    cases.table(
        "ends/what only unicode calls a line end.csv",
        csv(
            f"{user()},a\u2028b\u2029c\x85d\x0be\x0cf\x1eg,t0,2024-06-25 10:00:00",
            header="user_id,x,track_id,listen_time",
        ),
        kept=1,
    )
    cases.table("ends/many blank lines.csv", "\n" * 100_000 + csv(row(), *[""] * 100_000, row()), kept=2)
    cases.table("ends/ctrl-z.csv", csv(row()) + "\x1a", 1, 0, {"\x1a": "malformed_row"})


def quotes(cases: Cases) -> None:
    noted = "user_id,note,track_id,listen_time"

    def note(text: str) -> str:
        return f"{user()},{text},t0,2024-06-25 10:00:00"

    cases.table(
        "quotes/all.csv", csv(f'"{user()}","t0","2024-06-25 10:00:00"', header='"user_id","track_id","listen_time"'), 1
    )
    cases.table("quotes/doubled.csv", csv(note('"a ""b"" c"'), note('""""'), note('""'), header=noted), kept=3)
    cases.table("quotes/newlines within.csv", csv(note('"a\nb\r\nc\rd"'), note('"\n"'), header=noted), kept=2)
    cases.table("quotes/newlines within, crlf.csv", csv(note('"a\nb\r\nc\rd"'), header=noted, end="\r\n"), kept=1)
    cases.table("quotes/newlines within, cr.csv", csv(note('"a\nb\r\nc\rd"'), header=noted, end="\r"), kept=1)
    cases.table("quotes/delimiters within.csv", csv(note('"a,b,,c"'), note('",\n,"'), header=noted), kept=2)
    cases.table("quotes/in the middle.csv", csv(note('a"b'), note('a"b"c'), note('6"'), header=noted), kept=3)
    cases.table("quotes/behind the end.csv", csv(note('"a"b'), note('"a" '), note('"a"b"'), header=noted), kept=3)
    cases.table("quotes/backslashes.csv", csv(note('"say \\"hi\\""'), note("a\\"), note('"\\"'), header=noted), kept=3)
    comma = note('"a\\",b"')
    cases.table(
        "quotes/a backslash is no escape.csv", csv(comma, note("x"), header=noted), 1, 0, {comma: "malformed_row"}
    )
    odd = {
        f"'{user()}',t0,2024-06-25 10:00:00": "bad_id",
        f"\u201c{user()}\u201d,t0,2024-06-25 10:00:00": "bad_id",
        f' "{user()}",t0,2024-06-25 10:00:00': "bad_id",
        f'"{user()}" ,t0,2024-06-25 10:00:00': "bad_id",
        f'"{user()}""",t0,2024-06-25 10:00:00': "bad_id",
        f'{user()}",t0,2024-06-25 10:00:00': "bad_id",
        f'"{user()}"x,t0,2024-06-25 10:00:00': "bad_id",
        f'{user()}\\",t0,2024-06-25 10:00:00': "bad_id",
        f"\\{user()},t0,2024-06-25 10:00:00": "bad_id",
        '"a ""b"", c",t0,2024-06-25 10:00:00': "bad_id",
        '"plain words"': "malformed_row",
        '"one ""quoted"" field"': "malformed_row",
        '""': "malformed_row",
        '"",t0,2024-06-25 10:00:00': "missing_user_id",
    }
    cases.table("quotes/odd ones.csv", csv(*odd, row()), 1, 0, odd)
    unclosed = f'{user()},"t0,2024-06-25 10:00:00'
    cases.quarantined_file("quotes/unclosed early.csv", "unreadable", csv(unclosed, row(), row()), "is not closed")
    cases.quarantined_file("quotes/unclosed late.csv", "unreadable", csv(*[row()] * 5000, unclosed), "is not closed")
    cases.quarantined_file("quotes/unclosed at the end.csv", "unreadable", csv(row()) + '"', "is not closed")
    cases.quarantined_file("quotes/unclosed, crlf.csv", "unreadable", csv(unclosed, row(), end="\r\n"), "is not closed")
    cases.quarantined_file(
        "quotes/unclosed behind doubled ones.csv", "unreadable", csv('u0,t0,"2024 ""x"" ""'), "is not closed"
    )
    cases.quarantined_file("quotes/three.csv", "unreadable", csv(row(), 'u0,t0,"""'), "is not closed")
    cases.quarantined_file(
        "quotes/unclosed header.csv", "unreadable", f'user_id,track_id,"listen_time\n{row()}\n', "header"
    )
    cases.quarantined_file(
        "quotes/unclosed early, and megabytes behind.csv",
        "unreadable",
        csv(row(), unclosed, *[row()] * 60_000),
        f"a field of more than {LONGEST_FIELD} characters, the limit, in row 2",
    )


def shapes(cases: Cases) -> None:
    ragged = {
        "u0": "malformed_row",
        "u0,t0": "malformed_row",
        "u0,t0,2024-06-25 10:00:00,": "malformed_row",
        "u0,t0,2024-06-25 10:00:00,more,and more": "malformed_row",
        ",,": "missing_user_id",
        ",": "malformed_row",
        ",é,x": "missing_user_id",
        "é,,x": "missing_track_id",
        "é,a,x": "bad_id",
        ",t0,2024-06-25 10:00:00": "missing_user_id",
        "u0,,2024-06-25 10:00:00": "missing_track_id",
        "u0,t0,": "bad_listen_time",
        "# a comment": "malformed_row",
        "-----": "malformed_row",
        "(3 rows)": "malformed_row",
        "u0;t0;2024-06-25 10:00:00": "malformed_row",
        "u0\tt0\t2024-06-25 10:00:00": "malformed_row",
    }
    cases.table("shapes/ragged.csv", csv(*ragged, row()), 1, 0, ragged)
    cases.table(
        "shapes/cut in its last row.csv", csv(row()) + "u0,t0,2024-0", 1, 0, {"u0,t0,2024-0": "bad_listen_time"}
    )
    for name, mark in (("semicolons", ";"), ("tabs", "\t"), ("bars", "|"), ("spaces", " "), ("ctrl-a", "\x01")):
        cases.quarantined_file(
            f"shapes/{name}.csv", "missing_columns", csv(row()).replace(",", mark), "the first line is: user_id"
        )


def headers(cases: Cases) -> None:
    one = "2024-06-25 10:00:00"
    cases.table("headers/order.csv", csv(f"{one},{user()},t0", header="listen_time,user_id,track_id"), 1)
    cases.table("headers/case.csv", csv(row(), header="USER_ID,Track_Id,listen_TIME"), 1)
    cases.table("headers/blanks.csv", csv(row(), header=" user_id ,\ttrack_id,\u00a0listen_time\u2003"), 1)
    cases.table("headers/bom and quotes.csv", "\ufeff" + csv(row(), header='"user_id","track_id","listen_time"'), 1)
    cases.table("headers/extra.csv", csv(f"1,{row()},", header=f"id,{HEADER},rest"), 1)
    cases.table("headers/extra, twice the same.csv", csv(f"1,2,{row()}", header=f"x,x,{HEADER}"), 1)
    cases.table("headers/empty names.csv", csv(f",{row()},,", header=f",{HEADER},,"), 1)
    cases.table(
        "headers/newline in a name.csv", f'user_id,"a ""long""\r\nname",track_id,listen_time\n{user()},,t0,{one}\n', 1
    )
    cases.table("headers/long.csv", csv(f"{row()},", header=f'{HEADER},"{"x" * 300_000}"'), 1)
    cases.table("headers/long.csv.gz", zipped(csv(f"{row()},", header=f'{HEADER},"{"x" * 300_000}"')), 1)
    cases.table("headers/in the middle again.csv", csv(row(), HEADER, row()), 2, 0, {HEADER: "bad_listen_time"})
    cases.table(
        "headers/25,000 columns.csv",
        csv("," * 25_000 + row(), header=",".join([*(f"column{n}" for n in range(25_000)), HEADER])),
        1,
    )
    cases.quarantined_file(
        "headers/one twice.csv", "duplicate_columns", csv(f"{row()},x", header=f"{HEADER},USER_ID "), "user_id"
    )
    cases.quarantined_file(
        "headers/one missing.csv", "missing_columns", "user_id,track_id\nu0,t0\n", "no column listen_time"
    )
    cases.quarantined_file(
        "headers/other names.csv", "missing_columns", csv(row(), header="userid,track id,listentime")
    )
    cases.quarantined_file(
        "headers/cyrillic look-alike.csv", "missing_columns", csv(row(), header="us\u0435r_id,track_id,listen_time")
    )
    cases.quarantined_file(
        "headers/invisible mark.csv", "missing_columns", csv(row(), header="user_id\u200b,track_id,listen_time")
    )
    cases.quarantined_file(
        "headers/escapes.csv", "missing_columns", f"\x1b[2J\x1b]0;x\x07{csv(row())}", r"is: \\x1b\[2j\\x1b\]0;x\\x07"
    )
    cases.quarantined_file("headers/none.csv", "missing_columns", f"{row()}\n{row()}\n", "the first line is: k")
    cases.quarantined_file(
        "headers/after a title.csv", "missing_columns", f"Listens of June\n\n{csv(row())}", "listens of june"
    )
    cases.quarantined_file(
        "headers/after a comment.csv", "missing_columns", f"# made by hand\n{csv(row())}", "made by hand"
    )
    cases.quarantined_file("headers/after sep=.csv", "missing_columns", f"sep=,\n{csv(row())}", "sep=")
    cases.quarantined_file("headers/after blanks.csv", "missing_columns", f"   \n{csv(row())}")


def nothing(cases: Cases) -> None:
    cases.quarantined_file("nothing/empty.csv", "empty_file", "")
    cases.quarantined_file("nothing/empty.csv.gz", "empty_file", "")
    cases.quarantined_file("nothing/gzip of nothing.csv.gz", "empty_file", zipped(""))
    cases.quarantined_file("nothing/blank.csv", "empty_file", "\n\r\n  \t\n")
    cases.quarantined_file("nothing/blank and long.csv", "empty_file", "\n" * 200_000)
    cases.quarantined_file("nothing/bom.csv", "empty_file", "\ufeff")
    cases.quarantined_file("nothing/bom and newline.csv", "empty_file", "\ufeff\r\n")
    cases.table("nothing/header only.csv", HEADER)
    cases.table("nothing/header and newline.csv", HEADER + "\r\n")
    cases.table("nothing/header and blank lines.csv", HEADER + "\n\n\n")
    cases.table("nothing/header only.csv.gz", zipped(HEADER))


def other_formats(cases: Cases) -> None:
    page = "<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head></html>\n"
    cases.quarantined_file("formats/page.csv", "missing_columns", page, "doctype html")
    cases.quarantined_file(
        "formats/error.csv", "missing_columns", '<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>'
    )
    cases.quarantined_file("formats/object.csv", "missing_columns", '{"user_id": 1, "track_id": 2, "listen_time": 3}\n')
    cases.quarantined_file(
        "formats/array.csv", "missing_columns", '[{"user_id":"u0","track_id":"t0","listen_time":"2024"}]'
    )
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("plays.csv"), io.BytesIO())
    binary = {
        "zip.csv": (zip_file(a_csv=csv(row())), "a zip archive"),
        "empty zip.csv": (zip_file(), "an empty zip archive"),
        "sheet.csv": (zip_file(xl_workbook_xml="<workbook/>", xl_sheet1_xml="<sheet/>"), "an Excel file"),
        "old sheet.csv": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + b"\x3e\0\x03\0", "an old Excel file"),
        "parquet.csv": (b"PAR1\x15\x04\x15\x20\x15\x24 rest PAR1", "is Parquet"),
        "document.csv": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n", "is PDF"),
        "picture.csv": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        "photo.csv": (b"\xff\xd8\xff\xe0\x10JFIF", "a JPEG image"),
        "bzip2.csv": (bz2.compress(csv(row()).encode()), "is bzip2"),
        "xz.csv": (lzma.compress(csv(row()).encode()), "is xz"),
        "zstd.csv": (b"\x28\xb5\x2f\xfd\x04\x01" + csv(row()).encode(), "is Zstandard"),
        "lz4.csv": (b"\x04\x22\x4d\x18\x60\x40\x82" + csv(row()).encode(), "is LZ4"),
        "zlib.csv.gz": (zlib.compress(csv(*[row() for _ in range(99)]).encode()), "is zlib"),
        "zlib, fast.csv": (zlib.compress(csv(row()).encode(), 1), "is zlib"),
        "tar.csv": (tar.getvalue(), "a tar archive"),
        "tar in gzip.csv.gz": (zipped(tar.getvalue()), "a tar archive"),
        "of a mac.csv": (b"\0\5\x16\7\0\2\0\0Mac OS X        ", "macOS metadata"),
    }
    for name, (content, what) in binary.items():
        cases.quarantined_file(f"formats/{name}", "not_text", content, what)
    # Text may begin like a binary format.
    cases.quarantined_file("formats/x to the.csv", "missing_columns", "x^2,y\n1,2\n")


def gzips(cases: Cases) -> None:
    many = csv(*[f"u{n},t{n * 7919 % 1000},2024-06-25 10:00:00" for n in range(20_000)])
    whole = zipped(many)
    cases.table("gzips/good.csv.gz", zipped(csv(row())), 1)
    cases.table("gzips/UPPER.CSV.GZ", zipped(csv(row())), 1)
    cases.table("gzips/by another name.csv", zipped(csv(row())), 1)
    cases.table("gzips/not one.csv.gz", csv(row()), 1)
    cases.table("gzips/bom.csv.gz", zipped("\ufeff" + csv(row())), 1)
    cases.table("gzips/bom and blank lines.csv.gz", zipped("\ufeff\r\n\r\n" + csv(row(), end="\r\n")), 1)
    cases.table("gzips/members.csv.gz", zipped(HEADER + "\n") + zipped("") + zipped(row() + "\n"), 1)
    text = csv(row())
    cases.table("gzips/cut between members within a row.csv.gz", zipped(text[:-9]) + zipped(text[-9:]) + zipped(""), 1)
    cases.table("gzips/grown a thousand times, but small.csv.gz", zipped("\n" * MB + csv(row()) + "\n" * MB), 1)
    cases.table("gzips/zeros behind.csv.gz", zipped(csv(row())) + bytes(700), 1)
    cases.table("gzips/zeros between.csv.gz", zipped(HEADER + "\n") + bytes(MB) + zipped(row() + "\n") + b"\0", 1)
    cases.quarantined_file(
        "gzips/zeros and garbage.csv.gz", "unreadable", whole + bytes(512) + b"garbage", "corrupt gzip"
    )
    cases.quarantined_file(
        "gzips/cut, then zeros.csv.gz", "unreadable", whole[:-30] + bytes(512), "corrupt gzip|truncated"
    )
    cases.quarantined_file("gzips/cut.csv.gz", "unreadable", whole[:-30], "is truncated")
    cases.quarantined_file("gzips/cut in the trailer.csv.gz", "unreadable", whole[:-3], "is truncated")
    cases.quarantined_file("gzips/cut after two bytes.csv.gz", "unreadable", whole[:2], "is truncated")
    cases.quarantined_file("gzips/cut in the second member.csv.gz", "unreadable", whole + whole[:-20], "is truncated")
    flipped = whole[:-4000] + bytes([whole[-4000] ^ 0xFF]) + whole[-3999:]
    cases.quarantined_file("gzips/flipped.csv.gz", "unreadable", flipped, "corrupt gzip")
    cases.quarantined_file(
        "gzips/wrong checksum.csv.gz", "unreadable", whole[:-8] + b"abcd" + whole[-4:], "incorrect data check"
    )
    cases.quarantined_file("gzips/garbage behind.csv.gz", "unreadable", whole + b"garbage", "corrupt gzip")
    cases.quarantined_file("gzips/of gzip.csv.gz", "not_text", zipped(whole))
    # Repeats a member of 16 MB: 1 GB from 1 MB.
    rows = zipped(f"{row()}\n" * (16 * MB // 30))
    cases.quarantined_file(
        "gzips/bomb of rows.csv.gz", "unreadable", zipped(HEADER + "\n") + rows * 70, "above .* the limit is 100 times"
    )
    nuls = deflated([bytes(MB)] * 300)
    cases.quarantined_file("gzips/bomb of nul bytes.csv.gz", "unreadable", nuls, "grows too much")
    cases.quarantined_file(
        "gzips/bomb of one line.csv.gz", "unreadable", deflated([csv(row()).encode(), *[b"x" * MB] * 300]), "grows"
    )


def huge(cases: Cases) -> None:
    over = f"a field of more than {LONGEST_FIELD} characters, the limit, in row 2"
    wide = f"more than {MOST_COLUMNS} columns, the limit, in row 2"
    if FULL:
        # Each makes Spark read all files once more. Other cases below exceed the same limits.
        huge_field = f"{'y' * 30 * MB},t0,x"
        cases.quarantined_file("huge/field of 30 MB.csv", "unreadable", csv(row(), huge_field, row()), over)
        million = csv(row(), "x," * 1_000_000)
        cases.quarantined_file("huge/a million columns.csv", "unreadable", million, wide)
    cases.quarantined_file(
        "huge/field of 20 MB.csv.gz", "unreadable", zipped(csv(row(), f"{'y' * 20 * MB},t0,x", row())), over
    )
    cases.quarantined_file("huge/one line.csv", "unreadable", csv(row()) + "z" * 55 * MB, over)
    cases.quarantined_file(
        "huge/one line and no header.csv", "unreadable", "z" * 55 * MB, "header is longer than 4194304 bytes"
    )
    cases.quarantined_file(
        "huge/one character too many.csv", "unreadable", csv(row(), f"{'y' * (LONGEST_FIELD + 1)},t0,x"), over
    )
    longest = f"{'y' * LONGEST_FIELD},t0,2024-06-25 10:00:00"
    quoted = f'"{chr(34) * 200_000}",t0,2024-06-25 10:00:00'
    many = ",".join(["x" * 100_000] * 40)
    cases.table(
        "huge/just within the limits.csv",
        csv(longest, quoted, many, "," * (MOST_COLUMNS - 1), row()),
        1,
        0,
        {longest: "bad_id", quoted: "bad_id", many: "malformed_row", "," * (MOST_COLUMNS - 1): "malformed_row"},
    )
    cases.quarantined_file("huge/one column too many.csv", "unreadable", csv(row(), "," * MOST_COLUMNS, row()), wide)
    columns = ",".join(f"c{n}" for n in range(MOST_COLUMNS))
    cases.quarantined_file(
        "huge/columns of the header.csv", "unreadable", csv(row(), header=f"{HEADER},{columns}"), "columns"
    )


def ids(cases: Cases) -> None:
    time = "2024-06-25 10:00:00"
    fine = ["a", "0", "007", "a" * 128, "A.b_c:d-e", "null", "NULL", "None", "NaN", "1e5", "-" * 0 + "x--x", "true"]
    cases.table("ids/good.csv", csv(*[f"{text},good{n},{time}" for n, text in enumerate(fine)]), len(fine))
    bad = [
        " a",
        "a ",
        "a b",
        "a\tb",
        "a\u00a0b",
        "\u00e9",
        "日本",
        "\U0001f3b5",
        "_a",
        ".a",
        "-a",
        ":a",
        "a/b",
        "a#b",
        "a|b",
    ]
    bad += [
        "a" * 129,
        "\x00"[:0] + "a\x01",
        "a\x07",
        "\x7fa",
        "a\x1b",
        "\u200b",
        "\u202ea",
        "e\u0301",
        "ａ",
        "a\ufeff",
        "\\N",
    ]
    bad_rows = {line: "bad_id" for text in bad for line in (f"{text},t0,{time}", f"u0,{text},{time}")}
    cases.table("ids/bad.csv", csv(*bad_rows, row()), 1, 0, bad_rows)
    lines = {f'"a{end}",t0,{time}': "bad_id" for end in ("\n", "\r\n", "\n\nb")}
    cases.table("ids/with line ends.csv", csv(*lines, row()), 1, 0, lines)
    blanks = ["", " ", "\t", "\u00a0", "\u3000", " \u2003 ", "\x1c", "\u2028"]
    missing = {f"{text},t0,{time}": "missing_user_id" for text in blanks}
    missing |= {f"u0,{text},{time}": "missing_track_id" for text in blanks}
    cases.table("ids/missing.csv", csv(*missing, row()), 1, 0, missing)


def injections(cases: Cases) -> None:
    texts = [
        "=cmd|' /C calc'!A0",
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(1)",
        "\t=1+1",
        '=HYPERLINK(""http://x"")',
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "'; DROP TABLE listens; --",
        "{{7*7}}",
        "${jndi:ldap://x/a}",
        "../../etc/passwd",
        "%s%s%n",
        "\x1b[2J\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x9b31m",
        "a\bb",
    ]
    fields = [f'"{text}"' for text in texts]
    as_ids = {f"{text},t0,2024-06-25 10:00:00": "bad_id" for text in fields}
    as_ids |= {f"u0,{text},2024-06-25 10:00:00": "bad_id" for text in fields}
    as_ids |= {f"u0,t0,{text}": "bad_listen_time" for text in fields}
    cases.table("injections/ids.csv", csv(*as_ids, row()), 1, 0, as_ids)
    cases.table(
        "injections/other columns.csv",
        csv(*[f"{text},{row()}" for text in fields], header=f"=cmd()<script>,{HEADER}"),
        len(fields),
    )
    forged = '"u0\nERROR: forged line\n{""level"":""fatal""}",t0,2024-06-25 10:00:00'
    cases.table("injections/log lines.csv", csv(forged, row()), 1, 0, {forged: "bad_id"})


def times(cases: Cases) -> None:
    fine = [
        "2024-06-25 10:00:00",
        "2024-06-25T10:00:00",
        "2024-06-25T10:00",
        "2024-06-25T10:00:00Z",
        "2024-06-25 10:00:00Z",
        "2024-06-25T10:00:00+02:00",
        "2024-06-25T10:00:00-0530",
        "2024-06-25T10:00:00+09",
        "2024-06-25T00:30:00+23:59",
        "2024-06-25T10:00:00.1",
        "2024-06-25T10:00:00.123456789Z",
        "2024-06-25 10:00:00.999999999-01:00",
        "20240625T100000Z",
        "20240625T1000",
        "20240625T100000.5+0200",
        "2024-02-29 23:59:59",
        "2000-02-29 00:00:00",
        "2000-01-01 00:00:00",
        "1999-12-31T23:30:00-01:00",
        "2024-07-02 00:00:00",
        "2024-07-02T00:30:00+01:00",
    ]
    cases.table("times/good.csv", csv(*[f'{user()},t0,"{text}"' for text in fine]), len(fine))
    commas = ["2024-06-25T10:00:00,5", "20240625T100000,123+0200"]
    cases.table("times/decimal commas.csv", csv(*[f'{user()},t0,"{text}"' for text in commas]), len(commas))
    bad = [
        "2024-06-25",
        "20240625",
        "2023-02-29 00:00:00",
        "2100-02-29 00:00:00",
        "2024-02-30 10:00:00",
        "2024-06-31 10:00:00",
        "2024-13-01 10:00:00",
        "2024-00-10 10:00:00",
        "2024-06-25 24:00:00",
        "2024-06-25 10:60:00",
        "2016-12-31 23:59:60",
        "2024-06-25 1:00:00",
        "2024-6-25 10:00:00",
        "24-06-25 10:00:00",
        "25/06/2024 10:00:00",
        "06/25/2024 10:00:00",
        "2024/06/25 10:00:00",
        "25.06.2024 10:00",
        "25 Jun 2024 10:00:00",
        "2024-06-25 10:00:00 AM",
        "2024-06-25 10:00 PM",
        "2024-06-25  10:00:00",
        " 2024-06-25 10:00:00",
        "2024-06-25 10:00:00 ",
        "2024-06-25 10:00:00\t",
        "2024-06-25 10:00:00\u00a0",
        "2024-06-25 10:00:00 CET",
        "2024-06-25 10:00:00 UTC+1",
        "2024-06-25T10:00:00[Europe/Paris]",
        "2024-06-25t10:00:00z",
        "2024-06-25T10:00:00.",
        "2024-06-25T10:00:00.1234567890",
        "2024-06-25T10:00:00+24:00",
        "2024-06-25T10:00:00+02:60",
        "2024-06-25T10:00:00+2",
        "2024-06-25T100000",
        "20240625 100000",
        "2024-W26-2T10:00:00",
        "2024-177T10:00:00",
        "1719309600",
        "1719309600000",
        "1.7193096E9",
        "45468.4166667",
        "0000-01-01 00:00:00",
        "+2024-06-25 10:00:00",
        "-2024-06-25 10:00:00",
        "12024-06-25 10:00:00",
        "２０２４-06-25 10:00:00",
        "٢٠٢٤-06-25 10:00:00",
        "now",
        "yesterday",
        "epoch",
        "null",
        "",
        " ",
    ]
    beyond = [
        "0001-01-01 00:00:00",
        "0001-01-01T00:00:00+14:00",
        "1970-01-01 00:00:00",
        "1999-12-31 23:59:59",
        "1999-12-31T23:59:59.999999999",
        "2000-01-01T00:30:00+01:00",
        "2024-07-02 00:00:01",
        "2024-07-02T00:00:00.000001",
        "2038-01-19 03:14:08",
        "2106-02-07 06:28:16",
        "9999-12-31 23:59:59",
        "9999-12-31T23:59:59.999999999-23:59",
    ]
    bad_rows = {f"u0,t0,{text}": "bad_listen_time" for text in bad}
    cases.table("times/bad.csv", csv(*bad_rows, row()), 1, 0, bad_rows)
    late = {f"u0,t0,{text}": "out_of_range_listen_time" for text in beyond}
    cases.table("times/out of range.csv", csv(*late, row()), 1, 0, late)


NAMES = [
    "sp ace.csv",
    " lead.csv",
    "trailing .csv",
    "a+b.csv",
    "100%.csv",
    "a%20b.csv",
    "a b.csv",
    "a%2Fb.csv",
    "a&b=c;d,e#f.csv",
    "what?.csv",
    "quote'.csv",
    'double".csv',
    "[x].csv",
    "{a,b}.csv",
    "*.csv",
    "?.csv",
    "_x.csv",
    ".x.csv",
    "_temporary/0/.hidden/x.csv",
    "a//b.csv",
    "/lead.csv",
    "../up.csv",
    "a/./b.csv",
    "a/../b.csv",
    "back\\slash.csv",
    "cafe\u0301.csv",
    "caf\u00e9.csv",
    "日本語.csv",
    "🎵.csv",
    "new\nline.csv",
    "tab\t.csv",
    "bell\x07.csv",
    "delete\x7f.csv",
    "escape\x1b[31m.csv",
    "a:b@c!$~^`|<>.csv",
    "<script>alert(1)</script>.csv",
    "=cmd.csv",
    "-rf.csv",
    "s3:/b/x.csv",
    "UPPER.CSV",
    "upper.csv",
    "dup.csv",
    "dup.csv.gz",
    "part-00000.csv",
    "000000.csv",
    ".csv",
    "listen_date=2024-06-25/batch_id=x/part.csv",
]


def names(cases: Cases) -> None:
    """Files with odd names: each has a row that is kept, and one that is quarantined."""
    for name in [*NAMES, "k" * 1004 + ".csv"]:
        text = csv(row(), "bad row")
        content = zipped(text) if name.endswith(".gz") else text
        cases.table(name, content, 1, 0, {"bad row": "malformed_row"})

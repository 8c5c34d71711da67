"""Examines a CSV object before Spark reads it: text or gzip, its columns, or the reason to quarantine it."""

from __future__ import annotations

import codecs
import csv
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import urllib3.exceptions
from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError

from music_streams.batch import ManifestFile
from music_streams.column_names import ColumnNames, renamed
from music_streams.formats import GZIP, format_of, utf_16_of
from music_streams.quick_get import QuickGet
from music_streams.store import ChangedError, Version, raise_changed

HEAD_BYTES = 64 * 1024
# Longest header. Without a limit, a quote that is not closed would make the driver read the whole file.
LONGEST_HEADER = 4 * 1024**2
# A gzip that holds more than UNSUSPECTED_BYTES may hold at most MOST_GZIP_GROWTH times its size. CSV rows grow 3 to 20
# times. The format allows 1,032 times, by which a small file could fill the disks of the job.
UNSUSPECTED_BYTES = 64 * 1024**2
MOST_GZIP_GROWTH = 100
CHUNK_BYTES = 1024**2
STREAM_ATTEMPTS = 4

UNICODE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class Table:
    """A readable file.

    `columns`: names, trimmed and in lower case, by position. `header`: its text, without line end. `line_end`: "\\n" or
    "\\r". `skip`: bytes of text before the header that Spark would mistake for it. `text_bytes`: the unpacked text's
    size, without `skip` and a BOM. `padded`: zeros follow the gzip, which Spark takes for a broken one.
    """

    file: ManifestFile
    gzip: bool
    columns: tuple[str, ...]
    header: str
    line_end: str
    text_bytes: int
    skip: int
    padded: bool = False
    text: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class QuarantinedFile:
    """A CSV that holds no readable table. `reason` is one of the contract's, `detail` is for a person."""

    file: ManifestFile
    reason: str
    detail: str


@dataclass(frozen=True)
class ChangedFile:
    """A file that was overwritten or deleted since the claim."""

    file: ManifestFile


class QuarantinedFileError(Exception):
    """The file must be quarantined. Arguments: reason, detail."""


@dataclass
class Gzip:
    """What reading a gzip found besides its content: whether zeros follow a member."""

    padded: bool = False


@dataclass(frozen=True)
class Head:
    """The beginning of a file's text, or all of it (`whole`). `seen` is the number of bytes that were read."""

    content: bytes
    whole: bool
    seen: int


@dataclass(frozen=True)
class Header:
    """The first record: its names, its text without the line end (it may span lines), and how it ends."""

    columns: tuple[str, ...]
    text: str
    line_end: str


def examine(
    s3: Any, bucket: str, file: ManifestFile, required: ColumnNames, quick: QuickGet | None = None
) -> Table | QuarantinedFile | ChangedFile:
    """Decides what a file is from its beginning (of a gzip: from all of it). No content makes it raise."""
    try:
        size = HEAD_BYTES
        start = (quick.get(file) if quick and file.size <= size else b"") or fetch(s3, bucket, file, size)
        gzip, found = start.startswith(GZIP), Gzip()
        head, text_bytes = Head(start, file.size <= size, len(start)), file.size
        if gzip:
            pieces = [start] if head.whole else chunks(s3, bucket, file)
            head = head_of(inflate(pieces, found), size, None)
            text_bytes = head.seen
        while True:
            refuse_binary(head)
            header = header_of(head)
            if header is not None:
                break
            size *= 8
            if size > LONGEST_HEADER:
                raise QuarantinedFileError("unreadable", f"the header is longer than {LONGEST_HEADER} bytes")
            pieces = chunks(s3, bucket, file)
            head = head_of(inflate(pieces) if gzip else pieces, size, size)
        columns = required_columns(header.columns, required, head)
        skip = before_header(head.content)
        # Spark's reader of lines leaves out a BOM.
        before = skip or (len(codecs.BOM_UTF8) if head.content.startswith(codecs.BOM_UTF8) else 0)
        text = head.content[before:] if head.whole and size == HEAD_BYTES else None
        return Table(file, gzip, columns, header.text, header.line_end, text_bytes - before, skip, found.padded, text)
    except QuarantinedFileError as error:
        return QuarantinedFile(file, error.args[0], error.args[1])
    except ChangedError:
        return ChangedFile(file)


def head_of(pieces: Iterable[bytes], size: int, most: int | None) -> Head:
    """Returns the first `size` bytes of a text. Reads on until `most` bytes (None: to the end), to find its errors."""
    content, length = [], 0
    for piece in pieces:
        if length <= size:
            content.append(piece)
        length += len(piece)
        if most is not None and length > max(size, most):
            break
    return Head(b"".join(content)[:size], length <= size, length)


def fetch(s3: Any, bucket: str, file: ManifestFile, size: int) -> bytes:
    """The first bytes of an object, fewer if it is shorter. Raises ChangedError."""
    # S3 answers a range of an empty object with an error (416).
    ranged = {"Range": f"bytes=0-{size - 1}"} if file.size > size else {}
    for attempt in range(1, STREAM_ATTEMPTS + 1):
        try:
            body = s3.get_object(Bucket=bucket, Key=file.key, IfMatch=file.etag, **ranged)["Body"]
            content: bytes = body.read()
            return content[:size]
        except ClientError as error:
            raise_changed(error)
        except BROKEN_STREAM:
            # The SDK repeats a failed request, but not one whose body breaks off.
            if attempt == STREAM_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


BROKEN_STREAM = (ReadTimeoutError, ResponseStreamingError, urllib3.exceptions.HTTPError, ConnectionError)


def chunks(s3: Any, bucket: str, file: Version) -> Iterator[bytes]:
    """Yields an object's bytes. Continues where a body broke off. Raises ChangedError."""
    at, failures = 0, 0
    while at < file.size:
        try:
            ranged = {"Range": f"bytes={at}-"} if at else {}
            body = s3.get_object(Bucket=bucket, Key=file.key, IfMatch=file.etag, **ranged)["Body"]
            while chunk := body.read(CHUNK_BYTES):
                at += len(chunk)
                yield chunk
            return
        except ClientError as error:
            raise_changed(error)
        except BROKEN_STREAM:
            failures += 1
            if failures == STREAM_ATTEMPTS:
                raise


def inflate(compressed: Iterable[bytes], found: Gzip | None = None) -> Iterator[bytes]:
    """Yields the content of a gzip of any number of members, in pieces of 1 MB or less.

    Zeros behind a member are skipped, as gzip(1) and Python do: tapes and some tools fill a block with them. Raises
    QuarantinedFileError when the gzip is corrupt or truncated, or grows more than a CSV may.
    """
    found = found or Gzip()
    member = zlib.decompressobj(wbits=31)
    fresh = True
    taken = given = 0
    try:
        for chunk in compressed:
            taken += len(chunk)
            rest = chunk
            while rest:
                if member.eof:
                    behind, rest = rest, rest.lstrip(b"\0")
                    found.padded = found.padded or len(rest) < len(behind)
                    if not rest:
                        break
                    member, fresh = zlib.decompressobj(wbits=31), True
                piece = member.decompress(rest, CHUNK_BYTES)
                fresh = False
                rest = member.unused_data if member.eof else member.unconsumed_tail
                if piece:
                    given += len(piece)
                    _refuse_bomb(taken - len(rest), given)
                    yield piece
            # Takes the output that the limit held back. It needs no more input.
            while not member.eof and (piece := member.decompress(b"", CHUNK_BYTES)):
                given += len(piece)
                _refuse_bomb(taken, given)
                yield piece
    except zlib.error as error:
        raise QuarantinedFileError("unreadable", f"corrupt gzip: {error}") from error
    if fresh or not member.eof:
        raise QuarantinedFileError("unreadable", "the gzip is truncated: it ends before its content does")


def _refuse_bomb(taken: int, given: int) -> None:
    if given > UNSUSPECTED_BYTES and given > taken * MOST_GZIP_GROWTH:
        raise QuarantinedFileError(
            "unreadable",
            f"the gzip grows too much: its first {taken} bytes hold over {given} bytes; above "
            f"{UNSUSPECTED_BYTES} bytes the limit is {MOST_GZIP_GROWTH} times its size",
        )


def refuse_binary(head: Head) -> None:
    """Raises QuarantinedFileError when the content is empty, or can't be UTF-8 text."""
    content = head.content
    if content.startswith(UNICODE_BOMS):
        name = "UTF-32" if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) else "UTF-16"
        raise QuarantinedFileError("not_text", f"the file is {name}, not UTF-8")
    if head.whole and not content.removeprefix(codecs.BOM_UTF8).strip():
        raise QuarantinedFileError("empty_file", "the file is empty or blank")
    if b"\0" in content:
        what = format_of(content) or utf_16_of(content)
        detail = f"the file is {what}, not CSV" if what else "the file contains NUL bytes"
        raise QuarantinedFileError("not_text", detail)


def header_of(head: Head) -> Header | None:
    """Returns the header. None when the head does not hold all of it."""
    text = head.content.decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = list(io.StringIO(text, newline=""))
    taken: list[str] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line
        taken.append("")

    csv.field_size_limit(LONGEST_HEADER)
    record = next((row for row in csv.reader(feed()) if row), None)
    # The reader asks for one line more only within quotes, or when all lines are empty.
    ran_out = bool(taken) and taken[-1] == ""
    if not head.whole and (ran_out or len(taken) == len(lines)):
        return None
    if record is None or ran_out:
        raise QuarantinedFileError("unreadable", "a quoted field of the header is not closed")
    names = tuple(name.strip().lower() for name in record)
    text = "".join(taken).lstrip("\r\n").rstrip("\r\n")
    return Header(names, text, "\r" if taken[-1].endswith("\r") else "\n")


def before_header(content: bytes) -> int:
    """Returns how many bytes to cut before the header: Spark would take a "\\r" or a BOM on its own line for it."""
    skip = len(content) - len(content.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"))
    before = content[:skip]
    return skip if b"\r" in before or (b"\n" in before and before.startswith(codecs.BOM_UTF8)) else 0


def required_columns(header: Sequence[str], required: ColumnNames, head: Head) -> tuple[str, ...]:
    """Returns a header with the required columns' own names.

    Raises QuarantinedFileError unless each exists exactly once.
    """
    columns = renamed(header, required)
    twice = [name for name in required if columns.count(name) > 1]
    if twice:
        raise QuarantinedFileError("duplicate_columns", f"more than one column {', '.join(twice)}")
    missing = [name for name in required if name not in columns]
    if missing:
        if what := format_of(head.content):
            raise QuarantinedFileError("not_text", f"the file is {what}, not CSV")
        wanted = ", ".join(" or ".join(required[name]) for name in missing)
        found = ", ".join(header)
        raise QuarantinedFileError("missing_columns", f"no column {wanted}; the first line is: {found[:200]}")
    return columns

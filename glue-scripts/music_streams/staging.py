"""Copies a batch's files to names that Spark can't misread, and quarantines files that Spark can't read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from music_streams import layout, store
from music_streams.batch import BatchError, ManifestFile
from music_streams.column_names import ColumnNames
from music_streams.inputs import (
    ChangedFile,
    QuarantinedFile,
    QuarantinedFileError,
    Table,
    chunks,
    examine,
    inflate,
)
from music_streams.packs import Packs, can_be_packed
from music_streams.quick_get import QuickGet
from music_streams.rows import LONGEST_FIELD, MOST_COLUMNS, NUMBER_DIGITS, Staged

PROBLEMS = {"unreadable": "a quoted field is not closed", "not_text": "the file contains NUL bytes"}
REFUSED = "refused"
FOLDERS = {"\n": "newline", "\r": "return"}
# The error of Spark's reader for a field that is too long, or a row of too many fields.
TOO_LARGE = re.compile(
    r"^Caused by: com\.univocity\.parsers\.common\.TextParsingException: "
    r"(?:(Length of parsed input)|java\.lang\.ArrayIndexOutOfBoundsException)",
    re.MULTILINE,
)

Result = TypeVar("Result")


@dataclass
class Staging:
    """Copies of one set of files: `tables` can be read, `quarantined` and `changed` files can't."""

    s3: Any
    bucket: str
    folder: str
    tables: list[Staged]
    quarantined: list[QuarantinedFile]
    changed: list[ManifestFile]

    def quarantine(self, staged: Staged, reason: str, detail: str) -> None:
        """Moves a file from the tables to the quarantined files. Its copy stays until the job's end."""
        self.tables.remove(staged)
        self.quarantined.append(QuarantinedFile(staged.table.file, reason, detail))

    def quarantine_all(self, problems: dict[int, str]) -> None:
        """Quarantines files by number, each for a reason that its rows have shown."""
        for staged in [staged for staged in self.tables if staged.number in problems]:
            reason = problems[staged.number]
            self.quarantine(staged, reason, PROBLEMS[reason])


def stage(
    s3: Any,
    bucket: str,
    folder: str,
    files: Sequence[ManifestFile],
    required: ColumnNames,
    source: str | None = None,
    pack: bool = False,
) -> Staging:
    """Examines every file and copies the tables to `folder`, each only if it is still the claimed object.

    `source` is the files' bucket, if it is not the bucket of the copies. `required`: the columns that each file must
    have, with the header names that stand for them. `pack`: the lines of small tables lie together, and only the others
    are copied.

    The copies have numbers as names: Spark reads `[ ] { } * ?` as a pattern and skips names that begin with `_` or `.`,
    and Hadoop drops `//` and `..`. Spark knows a gzip by its suffix, so the suffix follows the content.
    """
    buckets = (source or bucket, bucket)
    packs = Packs(s3, bucket, folder) if pack else None
    quick = QuickGet(s3, buckets[0], store.THREADS) if pack else None
    found = store.in_parallel(
        lambda numbered: _stage_one(s3, buckets, folder, required, packs, quick, *numbered), enumerate(files)
    )
    if packs:
        packs.close()
    _require_access(found)
    return Staging(
        s3,
        bucket,
        folder,
        [one for one in found if isinstance(one, Staged)],
        [one for one in found if isinstance(one, QuarantinedFile)],
        [one.file for one in found if isinstance(one, ChangedFile)],
    )


def _require_access(found: Sequence[Staged | QuarantinedFile | ChangedFile]) -> None:
    """Raises BatchError when the role may read no file at all: then its permissions are at fault, and not the files."""
    refused = [one for one in found if isinstance(one, QuarantinedFile) and one.reason == REFUSED]
    denied = [one for one in refused if "AccessDenied:" in one.detail]
    if denied and len(denied) == len(found):
        raise BatchError(f"transform may read none of the batch's {len(found)} files: {denied[0].detail}")


def _stage_one(
    s3: Any,
    buckets: tuple[str, str],
    folder: str,
    required: ColumnNames,
    packs: Packs | None,
    quick: QuickGet | None,
    number: int,
    file: ManifestFile,
) -> Staged | QuarantinedFile | ChangedFile:
    try:
        found = examine(s3, buckets[0], file, required, quick)
    except ClientError as error:
        why = store.refusal(error)
        # A run for each half of the batch would find such files too, one by one. Other files must be readable: without
        # them, a replay would lose listens, and the reference data names.
        if why is None or not file.key.startswith(layout.key("incoming")):
            raise
        return QuarantinedFile(file, REFUSED, f"S3 does not let transform read the file: {why}")
    if not isinstance(found, Table):
        return found
    table = replace(found, text=None)
    if packs and found.text is not None and can_be_packed(table, found.text):
        packs.add(number, found.text)
        return Staged(table, number, packs.folder, "", packed=True)
    staged = Staged(
        table,
        number,
        f"{folder}{FOLDERS[table.line_end]}/",
        f"{number:0{NUMBER_DIGITS}}.csv{'.gz' if table.gzip else ''}",
    )
    try:
        if table.skip or table.padded:
            return replace(staged, name=_rewrite(s3, buckets, staged))
        store.copy(s3, buckets, file, staged.folder + staged.name)
    except store.ChangedError:
        return ChangedFile(file)
    except QuarantinedFileError as error:
        return QuarantinedFile(file, error.args[0], error.args[1])
    return staged


def _rewrite(s3: Any, buckets: tuple[str, str], staged: Staged) -> str:
    """Copies a table as plain text, from its header on. Returns the copy's name.

    Raises ChangedError and QuarantinedFileError.
    """
    name = staged.name.removesuffix(".gz")
    pieces = chunks(s3, buckets[0], staged.table.file)
    text = _Stream(inflate(pieces) if staged.table.gzip else pieces)
    text.read(staged.table.skip)
    # Only one part at a time is in memory, and nothing on disk.
    s3.upload_fileobj(text, buckets[1], staged.folder + name, Config=TransferConfig(use_threads=False))
    return name


class _Stream:
    """Makes a file, to be read once, of pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.rest = pieces, b""

    def read(self, size: int = sys.maxsize) -> bytes:
        """Returns the next `size` bytes, fewer at the end."""
        parts, length = [self.rest], len(self.rest)
        while length < size and (piece := next(self.pieces, None)) is not None:
            parts.append(piece)
            length += len(piece)
        content = b"".join(parts)
        self.rest = content[size:]
        return content[:size]


def read_or_quarantine(staging: Staging, read: Callable[[list[Staged]], Result], tables: list[Staged]) -> Result:
    """Calls `read` with the tables. Quarantines a table that Spark can't read, and reads the others again.

    Raises Spark's error when it names no such table: then the system is at fault, not the file.
    """
    while True:
        try:
            left = {staged.number for staged in staging.tables}
            return read([staged for staged in tables if staged.number in left])
        except (PySparkException, Py4JError) as error:
            if not TOO_LARGE.search(str(error)):
                raise
            # The text after the file's name may be its content.
            named = set(re.findall(rf"reading file \S*?{re.escape(staging.folder)}\w+/(\d+\.csv(?:\.gz)?)", str(error)))
            culprits = [staged for staged in staging.tables if staged.name in named]
            if not culprits:
                raise
            for staged in culprits:
                staging.quarantine(staged, "unreadable", _cause(str(error)))


def _cause(error: str) -> str:
    too_large = TOO_LARGE.search(error)
    what = (
        f"a field of more than {LONGEST_FIELD} characters"
        if too_large and too_large[1]
        else f"more than {MOST_COLUMNS} columns"
    )
    row = re.search(r"Internal state when error was thrown: [^\n]*?record=(\d+)", error)
    return f"{what}, the limit, in row {row[1] if row else '?'}; is a quote not closed, or a line end missing?"


def run_folder(batch_id: str, run_id: str) -> str:
    """Returns the folder for the copies of one run of a batch."""
    return f"{layout.key('staged', batchId=batch_id)}{re.sub(r'[^A-Za-z0-9_-]', '-', run_id)}/"

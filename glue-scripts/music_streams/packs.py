"""Puts the lines of small files together in a few objects: Spark needs two requests for each object that it reads."""

from __future__ import annotations

from threading import Lock
from typing import Any

from music_streams.inputs import Table
from music_streams.rows import NUMBER_DIGITS

PACK_BYTES = 4 * 1024**2
# A line of a pack begins with its file's number.
FILE = f"INT(substring(value, 1, {NUMBER_DIGITS})) AS file"
VALUE = f"substring(value, {NUMBER_DIGITS + 1}) AS value"


class Packs:
    """Packs below a folder. Threads may add to them at once; in memory is one pack at a time, and what they add."""

    def __init__(self, s3: Any, bucket: str, folder: str) -> None:
        """`s3` is a boto3 client. `folder` ends with a slash."""
        self.s3, self.bucket, self.folder = s3, bucket, f"{folder}packed/"
        self.lock, self.pieces, self.size, self.count = Lock(), list[bytes](), 0, 0

    def add(self, number: int, text: bytes) -> None:
        """Adds the lines of a file."""
        begin = f"{number:0{NUMBER_DIGITS}}".encode()
        piece = b"".join(begin + line + b"\n" for line in text.removesuffix(b"\n").split(b"\n"))
        with self.lock:
            self.pieces.append(piece)
            self.size += len(piece)
            full = self._taken() if self.size >= PACK_BYTES else None
        if full:
            self._put(*full)

    def close(self) -> None:
        """Writes the last pack."""
        if self.pieces:
            self._put(*self._taken())

    def _taken(self) -> tuple[int, bytes]:
        pack = self.count, b"".join(self.pieces)
        self.pieces, self.size, self.count = [], 0, self.count + 1
        return pack

    def _put(self, number: int, content: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.folder}{number:0{NUMBER_DIGITS}}.txt", Body=content)


def can_be_packed(table: Table, text: bytes) -> bool:
    """Whether the lines of a whole text are its records for certain, so that nobody must read it as a whole."""
    if table.line_end != "\n" or b'"' in text:
        return False
    try:
        # Spark cuts the number off by characters.
        text.decode()
    except UnicodeDecodeError:
        return False
    header = table.header.encode()
    return sum(line.removesuffix(b"\r") == header for line in text.split(b"\n")) == 1

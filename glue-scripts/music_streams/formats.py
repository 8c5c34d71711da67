"""Binary formats that people name .csv by mistake."""

from __future__ import annotations

import zlib

GZIP = b"\x1f\x8b"
# By their first bytes.
FORMATS = {
    b"PK\x03\x04": "a zip archive (or an Excel file)",
    b"PK\x05\x06": "an empty zip archive",
    b"PAR1": "Parquet",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\xff\x06\x00\x00sNaPpY": "Snappy",
    b"\x1f\x9d": "compress (.Z)",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!\x1a": "a RAR archive",
    b"%PDF": "PDF",
    b"SQLite format 3": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x00\x05\x16\x07": "macOS metadata (AppleDouble)",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    GZIP: "gzip within gzip",
}
TAR = slice(257, 262), b"ustar"

# A zlib stream is unpacked this far.
MOST_BYTES = 1024**2


def format_of(content: bytes) -> str | None:
    """Names the binary format of some content by its first bytes."""
    if content[TAR[0]] == TAR[1]:
        return "a tar archive"
    name = next((name for magic, name in FORMATS.items() if content.startswith(magic)), None)
    if name is None and content[:1] == b"x" and int.from_bytes(content[:2], "big") % 31 == 0:
        # Text may begin with these two bytes, too.
        try:
            return "zlib" if zlib.decompressobj().decompress(content, MOST_BYTES) else None
        except zlib.error:
            return None
    return name


def utf_16_of(content: bytes) -> str | None:
    """Recognises UTF-16 without a byte-order mark: every other byte of the header is zero."""
    start = content[:64]
    zeros = start[1::2].count(0), start[::2].count(0)
    return "UTF-16" if max(zeros) > len(start) // 3 and min(zeros) == 0 else None

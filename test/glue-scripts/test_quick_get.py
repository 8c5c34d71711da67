"""Small objects that are read without the SDK: the same bytes, or nothing, and then the SDK reads them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from music_streams.batch import ManifestFile
from music_streams.quick_get import QuickGet

BUCKET = "quick-get"
KEYS = [
    *["a b", "plus+", "100%", "%2B", "q'uote", "ä日本", "[x]", "a//b", "a/../b", "./a", "a?b", "a#b", "a=b&c"],
    "line\nbreak",
    "x" * 1000,
]


@pytest.fixture(scope="module")
def files(s3: Any) -> list[ManifestFile]:
    s3.create_bucket(Bucket=BUCKET)
    return [put(s3, key, f"the bytes of {n}".encode()) for n, key in enumerate(KEYS)]


def put(s3: Any, key: str, content: bytes) -> ManifestFile:
    etag = s3.put_object(Bucket=BUCKET, Key=key, Body=content)["ETag"]
    return ManifestFile(key, key, etag, len(content), datetime.now(timezone.utc))


def test_every_key_has_its_own_bytes(s3: Any, files: list[ManifestFile]) -> None:
    quick = QuickGet(s3, BUCKET, 4)
    assert [quick.get(file) for file in files] == [f"the bytes of {n}".encode() for n in range(len(KEYS))]


def test_an_object_that_is_not_the_claimed_one_is_left_to_the_sdk(s3: Any, files: list[ManifestFile]) -> None:
    quick = QuickGet(s3, BUCKET, 4)
    file = put(s3, "changed", b"before")
    put(s3, "changed", b"behind")
    for other in (file, replace(files[0], key="gone"), replace(files[0], size=files[0].size + 1)):
        assert quick.get(other) is None
    assert quick.get(files[0]) == b"the bytes of 0"


class Elsewhere:
    """An S3 client whose URLs lead to a port of this machine."""

    def __init__(self, s3: Any, port: int) -> None:
        self.meta, self.port, self.asked = s3.meta, port, 0

    def generate_presigned_url(self, *_: Any, **__: Any) -> str:
        self.asked += 1
        return f"http://127.0.0.1:{self.port}/key"


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """Answers each connection with these bytes, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_a_server_that_is_busy_is_asked_again(s3: Any, files: list[ManifestFile]) -> None:
    with server(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as port:
        elsewhere = Elsewhere(s3, port)
        quick = QuickGet(elsewhere, BUCKET, 4)
        assert [quick.get(file) for file in files[:3]] == [None] * 3
        assert elsewhere.asked == 3


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nthe by", b"nonsense"])
def test_a_connection_that_fails_is_the_last_one(s3: Any, files: list[ManifestFile], answer: bytes) -> None:
    with server(answer) as port:
        elsewhere = Elsewhere(s3, port)
        quick = QuickGet(elsewhere, BUCKET, 4)
        assert [quick.get(file) for file in files[:3]] == [None] * 3
        assert elsewhere.asked == 1


def test_nobody_listens(s3: Any, files: list[ManifestFile]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    quick = QuickGet(Elsewhere(s3, port), BUCKET, 4)
    assert quick.get(files[0]) is None
    assert not quick.connects

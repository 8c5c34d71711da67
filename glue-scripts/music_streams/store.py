"""Calls of S3 that work for thousands of objects: paged lists, batched deletes, conditional copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from music_streams.batch import ManifestFile

THREADS = 32
# CopyObject's limit (Amazon S3 API Reference); larger objects are copied in parts.
LARGEST_SINGLE_COPY = 5 * 1024**3
DELETE_AT_ONCE = 1000
GONE = {"NoSuchKey", "404", "PreconditionFailed", "412", "NotFound"}
# Errors with a status of 4xx that say nothing about the object (Amazon S3 API reference: Error responses).
PASSING = {
    *("RequestTimeout", "RequestTimeTooSkewed", "ExpiredToken", "InvalidToken", "OperationAborted"),
    *("TooManyRequests", "ThrottlingException", "KMS.ThrottlingException", "Throttling", "SlowDown"),
}
PASSING_STATUS = {408, 409, 429}

Item = TypeVar("Item")
Result = TypeVar("Result")


class Version(Protocol):
    """One version of an object."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def etag(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102


class ChangedError(Exception):
    """The object was overwritten (it has another ETag) or deleted."""


def client(service: str) -> Any:
    """Makes a client with many attempts. Endpoint, region and credentials come from the environment."""
    return boto3.client(
        service,
        config=Config(
            retries={"mode": "standard", "max_attempts": 10},
            max_pool_connections=2 * THREADS,
            # In some regions boto3 signs URLs by version 2, by which S3 gives no object that KMS has encrypted.
            signature_version="s3v4" if service == "s3" else None,
        ),
    )


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Returns the results of `work` on every item, in the items' order. Raises the first error."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def objects(s3: Any, bucket: str, prefix: str) -> Iterator[ManifestFile]:
    """Yields objects below a prefix, without folder markers, in S3's order (by the key's bytes). `name` is the key."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                yield ManifestFile(entry["Key"], entry["Key"], entry["ETag"], entry["Size"], entry["LastModified"])


def delete_below(s3: Any, bucket: str, prefix: str) -> int:
    """Deletes all objects below a prefix. Returns their number. Raises OSError when S3 keeps some."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return delete(s3, bucket, (entry["Key"] for page in pages for entry in page.get("Contents", [])))


def delete(s3: Any, bucket: str, keys: Iterable[str]) -> int:
    """Deletes objects, 1,000 by a request. Returns the number of keys. Raises OSError when S3 keeps some."""
    deleted, left = 0, iter(keys)
    while chunk := list(islice(left, DELETE_AT_ONCE)):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in chunk], "Quiet": True})
        # DeleteObjects answers 200 even when it deleted nothing. The failures are in the body.
        if errors := answer.get("Errors"):
            first = errors[0]
            raise OSError(f"{len(errors)} objects were not deleted, such as {first['Key']}: {first.get('Message')}")
        deleted += len(chunk)
    return deleted


def copy(s3: Any, buckets: tuple[str, str], file: ManifestFile, target: str) -> None:
    """Copies an object from the first bucket to the second. Raises ChangedError when it has changed."""
    source, bucket = {"Bucket": buckets[0], "Key": file.key}, buckets[1]
    try:
        if file.size > LARGEST_SINGLE_COPY:
            s3.copy(source, bucket, target, ExtraArgs={"CopySourceIfMatch": file.etag})
        else:
            s3.copy_object(Bucket=bucket, Key=target, CopySource=source, CopySourceIfMatch=file.etag)
    except ClientError as error:
        raise_changed(error)


def raise_changed(error: ClientError) -> None:
    """Raises ChangedError when the object was overwritten or deleted, else the error itself."""
    if error.response.get("Error", {}).get("Code") in GONE:
        raise ChangedError from error
    raise error


def refusal(error: ClientError) -> str | None:
    """Returns S3's words when it refuses the object itself: by its key, its class, its headers or its policy."""
    told, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = told.get("Code", "")
    if not 400 <= status < 500 or status in PASSING_STATUS or code in PASSING:
        return None
    return f"{code}: {told.get('Message', '')}"[:300]

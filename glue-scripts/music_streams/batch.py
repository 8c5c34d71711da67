"""A batch's documents: the manifest that sense wrote, and the reports that the jobs write.

Runs under Python 3.9 too, in the Python shell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError

from music_streams import layout


class BatchError(Exception):
    """A batch can't be processed. The message names the document or property, and what was expected."""


@dataclass(frozen=True)
class ManifestFile:
    """One claimed object. `key` is its present key, `name` its path among the incoming files, `etag` has its quotes."""

    key: str
    name: str
    etag: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class Manifest:
    """The files that a batch claimed, in the order of the claim."""

    batch_id: str
    claimed_at: datetime
    files: tuple[ManifestFile, ...]


def read_manifest(s3: Any, bucket: str, batch_id: str) -> Manifest:
    """Reads a batch's manifest. Raises BatchError when it is missing, malformed, or another batch's."""
    manifest_key = layout.key("manifest", batchId=batch_id)
    document = get_json(s3, bucket, manifest_key)
    if document is None:
        raise BatchError(f"s3://{bucket}/{manifest_key} does not exist: the batch was never claimed")
    try:
        manifest = Manifest(
            batch_id=str(document["batchId"]),
            claimed_at=instant(document["claimedAt"]),
            files=tuple(
                ManifestFile(
                    key=str(file["key"]),
                    name=str(file["name"]),
                    etag=str(file["etag"]),
                    size=int(file["size"]),
                    last_modified=instant(file["lastModified"]),
                )
                for file in document["files"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BatchError(f"s3://{bucket}/{manifest_key} is not a manifest: {error!r}") from error
    if manifest.batch_id != batch_id:
        raise BatchError(f"s3://{bucket}/{manifest_key} is the manifest of {manifest.batch_id}, not of {batch_id}")
    return manifest


def still_claimed(s3: Any, bucket: str, manifest: Manifest) -> tuple[Manifest, list[ManifestFile]]:
    """Splits the manifest: files to read, and files that a finished attempt of this batch found changed.

    The current versions of changed files are claimed later. If an original version came back, reading it could fail a
    batch that is never given up, because its other rows may be in the metrics already.
    """
    report = get_json(s3, bucket, layout.key("transformReport", batchId=manifest.batch_id)) or {}
    names = {str(file["name"]) for file in report.get("filesChanged", [])}
    changed = [file for file in manifest.files if file.name in names]
    return replace(manifest, files=tuple(file for file in manifest.files if file.name not in names)), changed


def put_json(s3: Any, bucket: str, key: str, document: Any) -> None:
    """Writes a document as UTF-8 JSON in one call, so that a reader sees all of it or nothing."""
    body = json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8")
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def get_json(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """Reads a JSON object. None when the key does not exist. Raises BatchError when the content is no JSON object."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            return None
        raise
    try:
        document = json.loads(body.decode("utf-8"))
    except ValueError as error:
        raise BatchError(f"s3://{bucket}/{key} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BatchError(f"s3://{bucket}/{key} is not a JSON object")
    return document


def instant(text: Any) -> datetime:
    """Parses an ISO 8601 time. Python 3.9 accepts no `Z`, and only 3 or 6 digits after the second."""
    if not isinstance(text, str):
        raise ValueError(f"not a timestamp: {text!r}")
    instant = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    return instant.replace(tzinfo=timezone.utc) if instant.tzinfo is None else instant.astimezone(timezone.utc)

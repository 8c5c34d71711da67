"""Publish's checkpoint: the days that an attempt has finished, so that the batch's next attempt leaves them out.

A wrong skip leaves wrong items in the metrics table for ever. So a day is skipped only if nothing that its items depend
on has changed, and nobody else can have written them. Runs under Python 3.9.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from music_streams import layout, log
from music_streams.batch import get_json, instant, put_json
from music_streams.fence import in_flight_since
from music_streams.metrics_items import METRICS, TABLES, VIEWS, sql
from music_streams.publish_input import ParquetFile

# A checkpoint that no attempt has written to for so long is ignored.
LONGEST_AGE = timedelta(days=1)
CLOCK_DIFFERENCE = timedelta(minutes=15)

MODULES = ("metrics_items", "publish_checkpoint", "publish_duckdb", "publish_input", "publish_writer")

FilesOfDays = Mapping[str, list[ParquetFile]]


@dataclass(frozen=True)
class Part:
    """Days that were computed together and are in the metrics table. `days` has the fingerprint of each."""

    days: dict[str, str]
    groups: int
    items: int


class Checkpoint:
    """The checkpoint of one batch. At most one publish of a batch runs at a time."""

    def __init__(self, s3: Any, bucket: str, batch_id: str, circumstances: Mapping[str, str] | None) -> None:
        """Without `circumstances`, nothing is skipped and nothing is written."""
        self._s3, self._bucket = s3, bucket
        self._key = layout.key("publishCheckpoint", batchId=batch_id)
        self._circumstances = circumstances
        # Whether the object may exist.
        self._exists = True
        self._parts = self._read()

    def resume(self, files_of_days: FilesOfDays) -> list[Part]:
        """Returns the parts whose days need no computing. Call it before the first item is written.

        Forgets the other parts before their items change. Otherwise an attempt that finds the old files again would
        take the items of this one for its own.
        """
        found = self._parts
        self._parts = [part for part in found if self._same(part, files_of_days)]
        if not self._parts:
            self.remove()
        elif self._parts != found:
            self._write()
        if found:
            kept, listed = (sum(len(part.days) for part in parts) for parts in (self._parts, found))
            log.info("resumed", days_skipped=kept, days_changed=listed - kept)
        return list(self._parts)

    def add(self, days: Iterable[str], files_of_days: FilesOfDays, groups: int, items: int) -> None:
        """Records that the items of these days are written. `files_of_days` are the files that they were computed from.

        A failure costs the next attempt time, and nothing else.
        """
        if self._circumstances is None:
            return
        self._parts.append(Part({day: fingerprint(files_of_days[day]) for day in days}, groups, items))
        try:
            self._write()
        except Exception as error:
            log.warn("checkpointNotWritten", error=str(error))

    def remove(self) -> None:
        """Deletes the checkpoint. Raises when S3 does not."""
        self._parts = []
        if self._exists:
            self._s3.delete_object(Bucket=self._bucket, Key=self._key)
        self._exists = False

    def _read(self) -> list[Part]:
        """Returns the parts of an earlier attempt. None of them when anything is in doubt."""
        try:
            document = get_json(self._s3, self._bucket, self._key)
            if document is None:
                self._exists = False
                return []
            age = datetime.now(timezone.utc) - instant(document["writtenAt"])
            is_recent = -CLOCK_DIFFERENCE <= age <= LONGEST_AGE
            parts = [
                Part({str(day): str(known) for day, known in days.items()}, int(groups), int(items))
                for days, groups, items in ((part["days"], part["groups"], part["items"]) for part in document["parts"])
            ]
            if self._circumstances and document["circumstances"] == dict(self._circumstances) and is_recent:
                return parts
            log.info("checkpointIgnored", reason="it is of another time, table or version")
        except Exception as error:
            log.warn("checkpointIgnored", reason=f"{type(error).__name__}: {error}")
        return []

    def _same(self, part: Part, files_of_days: FilesOfDays) -> bool:
        return all(
            day in files_of_days and fingerprint(files_of_days[day]) == known for day, known in part.days.items()
        )

    def _write(self) -> None:
        document = {
            "writtenAt": log.iso(datetime.now(timezone.utc)),
            "circumstances": dict(self._circumstances or {}),
            "parts": [{"days": part.days, "groups": part.groups, "items": part.items} for part in self._parts],
        }
        self._exists = True
        put_json(self._s3, self._bucket, self._key, document)


def circumstances(dynamodb: Any, ledger: str, table: str, batch_id: str) -> dict[str, str] | None:
    """Returns what must be equal for all days if a day is skipped. None when it can't be known.

    - `inFlightSince`: while the batch is in flight, no other batch writes curated rows or items.
    - `tableId`: a table that was deleted and restored has another one.
    - `library`: the code and SQL that make items of rows, and the version of DuckDB.
    """
    try:
        since = in_flight_since(dynamodb, ledger, batch_id)
        table_id = dynamodb.describe_table(TableName=table)["Table"]["TableId"]
        if since is None:
            raise LookupError(f"the ledger {ledger} does not name {batch_id} as the batch in flight")
        return {"inFlightSince": since, "tableId": str(table_id), "library": _library()}
    except Exception as error:
        log.warn("noCheckpoint", reason=f"{type(error).__name__}: {error}")
        return None


def fingerprint(files: Iterable[ParquetFile]) -> str:
    """Returns a hash of the content of a day's files, by their ETags. Names don't count: each attempt has its own.

    The `replaced` files don't count either. They name groups to look at, and the finished attempt looked at all whose
    items an earlier one can have written.
    """
    content = sorted((file.batch_id, file.size, file.etag) for file in files)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _library() -> str:
    import duckdb

    found = hashlib.sha256(duckdb.__version__.encode())
    for name in (*VIEWS, *TABLES, *(metric.name for metric in METRICS)):
        found.update(sql(name).encode())
    for name in MODULES:
        source = pkgutil.get_data("music_streams", f"{name}.py")
        if source is None:
            raise FileNotFoundError(f"music_streams/{name}.py is not in the job's library")
        found.update(source)
    return found.hexdigest()

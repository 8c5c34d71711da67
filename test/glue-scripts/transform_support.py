"""Support for the tests of transform: a bucket with reference data, batches claimed as sense does, runs of the job."""

from __future__ import annotations

import gzip
import itertools
import json
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import SparkSession

import transform
from music_streams import layout, store
from music_streams.batch import BatchError
from music_streams.reference import Place, reference_files
from music_streams.reference_copy import folder_of_copies, folder_of_copy

HEADER = "user_id,track_id,listen_time"
CLAIMED_AT = "2024-07-01T00:00:00.000Z"
SONGS = """id,track_id,artists,album_name,track_name,popularity,duration_ms,explicit,track_genre
0,t0,"A;B","Al, bum","Say ""hi"" é",10,180000,False,pop
1,t1,C,D,E,20,200000,False,rock
2,t1,C,D,E,20,200000,False,indie
"""
USERS = """user_id,user_name,user_age,user_country,created_at
u0,"Name, \"\"0\"\"",30,Chile,2024-01-01
u1,One,31,Peru,2024-12-31
"""
SONGS_KEY, USERS_KEY = (f"{layout.key('reference')}{layout.key(name)}{name}.csv" for name in ("songs", "users"))
# The copies of reference data that jobs made, by key. Parsing the same data for each lake would take seconds.
COPIES: dict[str, bytes] = {}
# Columns that Spark takes from a file's folders.
DAY_AND_BATCH = """regexp_extract(key, 'listen_date=([^/]*)/', 1)::DATE AS listen_date,
    regexp_extract(key, 'batch_id=([^/]*)/', 1) AS batch_id"""
BUCKETS = (f"transform-{uuid.uuid4().hex[:12]}" for _ in itertools.count())


@dataclass
class Lake:
    """A bucket of its own."""

    s3: Any
    spark: SparkSession
    bucket: str = ""
    runs: int = 0
    batches: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket = next(BUCKETS)
        self.s3.create_bucket(Bucket=self.bucket)
        self.put(SONGS_KEY, SONGS)
        self.put(USERS_KEY, USERS)

    def put(self, key: str, content: str | bytes) -> None:
        """Writes one object."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content.encode() if isinstance(content, str) else content)

    def claim(self, files: dict[str, str | bytes] | None = None, claimed_at: str = CLAIMED_AT) -> str:
        """Drops files by name, and claims all incoming files. Returns the batch's id."""
        for name, content in (files or {}).items():
            self.put(incoming(name), content)
        return self.write_manifest([self.claimed(entry) for entry in self.entries(incoming(""))], claimed_at)

    def write_manifest(self, files: list[dict[str, Any]], claimed_at: str = CLAIMED_AT) -> str:
        """Writes the manifest of a batch with these files. Returns the batch's id."""
        batch_id = f"20240625T{len(self.batches):06d}Z-abcdefgh"
        self.batches.append(batch_id)
        manifest = {"batchId": batch_id, "claimedAt": claimed_at, "files": files}
        self.put(layout.key("manifest", batchId=batch_id), json.dumps(manifest))
        return batch_id

    @staticmethod
    def claimed(entry: dict[str, Any]) -> dict[str, Any]:
        """Makes a manifest's entry of a listed object."""
        moment = entry["LastModified"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
        name = entry["Key"].removeprefix(incoming(""))
        return {"key": entry["Key"], "name": name, "etag": entry["ETag"], "size": entry["Size"], "lastModified": moment}

    def archive(self) -> None:
        """Removes all incoming files, as archive does after a batch."""
        store.delete_below(self.s3, self.bucket, incoming(""))

    def transform(self, batch_id: str, *more: str, s3: Any = None) -> dict[str, Any]:
        """Runs the job. Returns its report, which must add up."""
        self.runs += 1
        self.bring_copies()
        argv = ["--bucket", self.bucket, "--reference-location", self.reference()]
        argv += ["--ledger-table", "l", "--WORKFLOW_NAME", "w", "--WORKFLOW_RUN_ID", f"wr_{self.runs}", *more]
        transform.run(transform.arguments(argv), batch_id, s3 or self.s3, self.spark)
        report = self.json("transformReport", batch_id)
        assert report is not None
        reconcile(report)
        assert not self.copies()
        COPIES.update({key: self.content(key) for key in self.keys(folder_of_copies()) if key not in COPIES})
        return report

    def bring_copies(self) -> None:
        """Puts the copy here that a job made of the same reference data in another bucket."""
        place = Place(self.bucket, layout.key("reference"))
        try:
            files = {name: reference_files(self.s3, place, name) for name in ("songs", "users")}
        except BatchError:
            return
        for key, content in COPIES.items():
            if key.startswith(folder_of_copy(files, {})):
                self.put(key, content)

    def content(self, key: str) -> bytes:
        """Reads an object."""
        content: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def copies(self) -> list[str]:
        """Lists the copies that transform should have removed."""
        return [key for key in self.keys(layout.folder("staged")) if not key.startswith(folder_of_copies())]

    def reference(self) -> str:
        """The location of the reference data."""
        return f"s3://{self.bucket}/{layout.key('reference')}"

    def run(self, files: dict[str, str | bytes], *more: str) -> dict[str, Any]:
        """Drops, claims, transforms and archives files. Returns the report."""
        report = self.transform(self.claim(files), *more)
        self.archive()
        return report

    def json(self, name: str, batch_id: str) -> dict[str, Any] | None:
        """Reads a document of a batch. None when it does not exist."""
        key = layout.key(name, batchId=batch_id)
        if key not in self.keys(key):
            return None
        document: dict[str, Any] = json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        return document

    def keys(self, prefix: str) -> list[str]:
        """Lists the keys below a prefix."""
        return [entry["Key"] for entry in self.entries(prefix)]

    def entries(self, prefix: str) -> list[dict[str, Any]]:
        """Lists the objects below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry for page in pages for entry in page.get("Contents", [])]

    def curated(self, batch_id: str | None = None) -> list[dict[str, Any]]:
        """Reads curated rows with listen_date and batch_id, in order. listen_time is text in UTC."""
        keys = [key for key in self.keys(layout.key("listens")) if batch_id is None or f"batch_id={batch_id}/" in key]
        assert all(key.endswith(".parquet") for key in keys), keys
        if not keys:
            return []
        time = "strftime(listen_time, '%Y-%m-%d %H:%M:%S.%f') AS listen_time"
        rows = self.parquet(keys, f"* EXCLUDE (key, listen_time), {time}, {DAY_AND_BATCH}")
        return sorted(rows, key=lambda row: (row["user_id"], row["track_id"], row["listen_time"]))

    def parquet(self, keys: list[str], columns: str) -> list[dict[str, Any]]:
        """Reads columns of Parquet files in the files' order, not by the job's own reader. `key` is a row's file."""
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            paths = [f"{folder}/{number:04}" for number in range(len(keys))]
            for path, key in zip(paths, keys):
                Path(path).write_bytes(self.content(key))
            read = f"read_parquet({paths}, filename = 'path', hive_partitioning = false)"
            rows = f"SELECT * EXCLUDE (path), $keys[right(path, 4)::INT + 1] AS key FROM {read}"
            found = connection.execute(f"SELECT {columns} FROM ({rows})", {"keys": keys})
            names = [column[0] for column in found.description or []]
            return [dict(zip(names, row)) for row in found.fetchall()]

    def quarantined_rows(self, batch_id: str | None = None) -> list[tuple[str, str, str]]:
        """Reads (name, reason, raw) of every quarantined row, in order."""
        batches = self.batches if batch_id is None else [batch_id]
        keys = [key for batch in batches for key in self.keys(layout.key("quarantinedRows", batchId=batch))]
        found = []
        for key in keys:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
            # Only "\n" ends a line: a row's text may hold other line ends of Unicode.
            rows = [json.loads(line) for line in body.removesuffix("\n").split("\n")]
            assert all(list(row) == ["key", "reason", "raw"] for row in rows)
            found += [(row["key"].removeprefix(incoming("")), row["reason"], row["raw"]) for row in rows]
        return sorted(found)


def incoming(name: str) -> str:
    """The key of a dropped file."""
    return layout.key("incoming") + name


def reconcile(report: dict[str, Any]) -> None:
    """Checks that read = kept + duplicate + quarantined for batch and files, and that the files add up to the batch."""
    for counts in (report, *report["files"]):
        assert counts["rowsRead"] == counts["rowsKept"] + counts["rowsDuplicate"] + sum(
            counts["rowsQuarantined"].values()
        ), counts
    for name in ("rowsRead", "rowsKept", "rowsDuplicate"):
        assert report[name] == sum(file[name] for file in report["files"])


def listen_keys(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Returns (user_id, track_id, listen_time) of curated rows."""
    return [(row["user_id"], row["track_id"], row["listen_time"]) for row in rows]


def csv(*rows: str, header: str = HEADER) -> str:
    """A file with a header."""
    return "\n".join([header, *rows]) + "\n"


def zipped(text: str) -> bytes:
    """A gzip."""
    return gzip.compress(text.encode())

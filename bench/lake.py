"""The bucket of a benchmark: uploads, manifests as sense writes them, and what programs wrote."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from music_streams import layout, store

PARALLEL = 8
# After all listens, and before all days that the baselines refuse.
CLAIMED_AT = "2024-07-01T00:00:00.000Z"


@dataclass(frozen=True)
class Lake:
    """A bucket with reference data."""

    s3: Any
    bucket: str

    @classmethod
    def create(cls, s3: Any, bucket: str, reference: Path) -> Lake:
        """Creates the bucket, with the reference data of this folder."""
        s3.create_bucket(Bucket=bucket)
        for name in ("songs", "users"):
            key = f"{layout.key('reference')}{layout.key(name)}{name}.csv"
            s3.upload_file(str(reference / f"{name}.csv"), bucket, key)
        return cls(s3, bucket)

    def drop(self, nth: int, files: Sequence[Path], rows: int) -> Batch:
        """Uploads files with so many rows, and writes the manifest that claims them as the n-th batch."""
        batch = Batch(f"20240625T{nth:06d}Z-abcdefgh", f"{layout.key('incoming')}{nth}/", rows)

        def upload(file: Path) -> dict[str, Any]:
            key = batch.streams + file.name
            self.s3.upload_file(str(file), self.bucket, key)
            head = self.s3.head_object(Bucket=self.bucket, Key=key)
            name = key.removeprefix(layout.key("incoming"))
            moment = "2024-06-30T00:00:00.000Z"
            return {
                **{"key": key, "name": name, "etag": head["ETag"]},
                **{"size": head["ContentLength"], "lastModified": moment},
            }

        with ThreadPoolExecutor(PARALLEL) as pool:
            claimed = list(pool.map(upload, files))
        manifest = {"batchId": batch.batch_id, "claimedAt": CLAIMED_AT, "files": claimed}
        key = layout.key("manifest", batchId=batch.batch_id)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(manifest).encode())
        return batch

    def forget(self, batch: Batch) -> None:
        """Deletes what a run of transform wrote for the batch, so that the next one is a first attempt again."""
        keys = [entry["Key"] for entry in self.curated(batch)]
        documents = layout.key("manifest", batchId=batch.batch_id).rsplit("/", 1)[0] + "/"
        manifest = layout.key("manifest", batchId=batch.batch_id)
        keys += [key for key in self.keys(documents) if key != manifest]
        keys += self.keys(layout.key("quarantinedRows", batchId=batch.batch_id))
        for at in range(0, len(keys), 1000):
            objects = [{"Key": key} for key in keys[at : at + 1000]]
            self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})

    def curated(self, batch: Batch) -> list[dict[str, Any]]:
        """Lists the batch's curated objects, each with Key and Size."""
        entries = self.entries(layout.key("listens"))
        return [entry for entry in entries if f"/batch_id={batch.batch_id}/" in entry["Key"]]

    def scatter(self, batch: Batch, day: str, batches: int) -> None:
        """Spreads the batch's rows of a day over the files of so many batches, each in the order of its tracks."""
        own = layout.key("listensBatch", date=day, batchId=batch.batch_id)
        with tempfile.TemporaryDirectory() as folder:
            files = [str(file) for file in self.download(own, ".parquet", Path(folder))]
            # Each thread would write a file of its own.
            connection = duckdb.connect(config={"threads": 1})
            rows = connection.from_parquet(files, hive_partitioning=False)
            parts = rows.select(f"*, hash(user_id, track_id, listen_time) % {batches} AS part").order("part, track_id")
            parts.write_parquet(f"{folder}/parts", partition_by=["part"], compression="zstd")
            for part in range(batches):
                to = layout.key("listensBatch", date=day, batchId=f"20240624T{part:06d}Z-abcdefgh")
                (file,) = Path(folder, "parts", f"part={part}").iterdir()
                self.s3.upload_file(str(file), self.bucket, f"{to}part-0.parquet")
        self.remove(own)

    def keys(self, prefix: str) -> list[str]:
        """Lists the keys below a prefix."""
        return [entry["Key"] for entry in self.entries(prefix)]

    def entries(self, prefix: str) -> list[dict[str, Any]]:
        """Lists the objects below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry for page in pages for entry in page.get("Contents", [])]

    def remove(self, prefix: str) -> None:
        """Deletes everything below a prefix."""
        store.delete_below(self.s3, self.bucket, prefix)

    def download(self, prefix: str, suffix: str, folder: Path) -> list[Path]:
        """Downloads the objects below a prefix with this suffix, named by number."""
        found = []
        for nth, key in enumerate(key for key in self.keys(prefix) if key.endswith(suffix)):
            found.append(folder / f"{nth}{suffix}")
            self.s3.download_file(self.bucket, key, str(found[-1]))
        return found


@dataclass(frozen=True)
class Batch:
    """A claimed batch, the prefix of its files, and how many rows they hold."""

    batch_id: str
    streams: str
    rows: int

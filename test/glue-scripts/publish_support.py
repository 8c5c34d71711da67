"""Support for the tests of publish: a bucket with hand-made curated data, runs of the job, the resulting table."""

from __future__ import annotations

import functools
import json
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from botocore.config import Config
from tables import create_ledger, create_metrics_table

import oracle
import publish
from music_streams import layout
from music_streams.batch import put_json
from music_streams.fence import in_flight_since

DAY = "2024-06-25"
NEXT_DAY = "2024-06-26"


@dataclass(frozen=True)
class Row:
    """One curated row. The listen time only makes listens distinct."""

    user_id: str
    track_id: str
    listen_time: str = f"{DAY} 10:00:00"
    track_name: str | None = "A Name"
    artists: str | None = "Someone"
    duration_ms: int | None = 1000
    genres: tuple[str, ...] = ("pop",)
    user_country: str | None = "Chile"


@dataclass
class Lake:
    """A bucket and a metrics table of their own."""

    s3: Any
    dynamodb: Any
    monkeypatch: pytest.MonkeyPatch
    bucket: str = ""
    table: str = ""
    ledger: str = ""
    runs: int = 0

    def __post_init__(self) -> None:
        self.table = self.bucket = f"metrics-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        create_metrics_table(self.dynamodb, self.table)
        self.ledger = create_ledger(self.dynamodb)

    def curate(self, batch_id: str, rows: Iterable[Row]) -> list[str]:
        """Replaces a batch's curated rows as transform does. Returns its days."""
        self.uncurate(batch_id)
        by_day: dict[str, list[Row]] = {}
        for row in rows:
            by_day.setdefault(row.listen_time[:10], []).append(row)
        for day, of_day in by_day.items():
            prefix = layout.key("listensBatch", date=day, batchId=batch_id)
            self.put_parquet(f"{prefix}part-00000.zstd.parquet", CURATED, [curated(row) for row in of_day])
            self.s3.put_object(Bucket=self.bucket, Key=f"{prefix}_SUCCESS", Body=b"")
        return sorted(by_day)

    def uncurate(self, batch_id: str) -> None:
        """Removes a batch's curated rows."""
        for key in self.keys(layout.key("listens")):
            if f"/batch_id={batch_id}/" in key:
                self.s3.delete_object(Bucket=self.bucket, Key=key)

    def replaced(self, batch_id: str, rows: Iterable[Row]) -> None:
        """Records rows of an earlier attempt of the batch."""
        prefix = layout.key("replaced", batchId=batch_id)
        data = [(row.listen_time[:10], row.track_id, list(row.genres)) for row in rows]
        self.put_parquet(f"{prefix}part-{len(self.keys(prefix))}.parquet", REPLACED, data)

    def put_parquet(self, key: str, columns: str, data: list[tuple[Any, ...]]) -> None:
        """Writes a Parquet file with the given columns."""
        names = [column.split()[0] for column in columns.split(",")]
        lines = "".join(json.dumps(dict(zip(names, row))) + "\n" for row in data)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=parquet(columns, lines))

    def keys(self, prefix: str) -> list[str]:
        """Lists the keys below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def publish(self, batch_id: str, days: list[str], engine: str = "duckdb") -> dict[str, Any]:
        """Runs the job as the workflow does, after a transform that named these days. Returns its report."""
        self.runs += 1
        run_id = f"wr_{self.runs}"
        report = {"batchId": batch_id, "workflowRunId": run_id, "days": days}
        put_json(self.s3, self.bucket, layout.key("transformReport", batchId=batch_id), report)
        self.run_job(batch_id, run_id, engine)
        return self.report(batch_id)

    def run_job(self, batch_id: str, run_id: str, engine: str = "duckdb") -> None:
        """Runs the job's main as the run that the ledger waits for."""
        if in_flight_since(self.dynamodb, self.ledger, batch_id) is None:
            self.take_up(batch_id)
        self.monkeypatch.setattr(publish, "batch_in_turn", lambda *_: batch_id)
        self.monkeypatch.setattr(boto3, "client", client)
        arguments = ["--bucket", self.bucket, "--ledger-table", self.ledger, "--metrics-table", self.table]
        arguments += ["--engine", engine]
        publish.main([*arguments, "--WORKFLOW_NAME", "w", "--WORKFLOW_RUN_ID", run_id, "--enable-metrics", "true"])

    def take_up(self, batch_id: str) -> None:
        """Puts a batch in flight, as sense does. A batch that was in flight is settled by this."""
        item = {"pk": {"S": "PIPELINE"}, "sk": {"S": "IN_FLIGHT"}, "batchId": {"S": batch_id}}
        since = datetime.now(timezone.utc).isoformat()
        self.dynamodb.put_item(TableName=self.ledger, Item={**item, "since": {"S": since}})

    def report(self, batch_id: str) -> dict[str, Any]:
        """Reads publish's report of the batch."""
        key = layout.key("publishReport", batchId=batch_id)
        document: dict[str, Any] = json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        return document

    def items(self, stamps: bool = False) -> list[dict[str, Any]]:
        """Reads the metrics table, in the oracle's form."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        items = [plain({"M": item}) for page in pages for item in page["Items"]]
        if not stamps:
            others = ("batch_id", "published_at", "listed_in")
            items = [{k: v for k, v in item.items() if k not in others} for item in items]
        return sorted(items, key=lambda item: (item["pk"], item["sk"]))

    def listed(self, place: str) -> list[str]:
        """Reads the partition keys that the index has at a place."""
        answer = self.dynamodb.query(
            TableName=self.table,
            IndexName="listed",
            KeyConditionExpression="listed_in = :place",
            ExpressionAttributeValues={":place": {"S": place}},
        )
        return [item["pk"]["S"] for item in answer["Items"]]

    def item(self, pk: str, sk: str) -> dict[str, Any] | None:
        """Reads one item, without its keys and stamps."""
        found = [item for item in self.items() if (item["pk"], item["sk"]) == (pk, sk)]
        return {k: v for k, v in found[0].items() if k not in ("pk", "sk")} if found else None


def client(service: str, config: Config | None = None) -> Any:
    """Makes a client like `boto3.client`, but only one for each service and configuration: making one takes long."""
    key = (service, repr(vars(config)) if config else "")
    if key not in CLIENTS:
        CLIENTS[key] = MAKE_CLIENT(service, config=config)
    return CLIENTS[key]


MAKE_CLIENT: Any = boto3.client
CLIENTS: dict[tuple[str, str], Any] = {}
CURATED = """user_id VARCHAR, track_id VARCHAR, listen_time TIMESTAMPTZ, track_name VARCHAR, artists VARCHAR,
    album_name VARCHAR, popularity BIGINT, duration_ms BIGINT, genres VARCHAR[],
    user_country VARCHAR, user_age BIGINT"""
REPLACED = "listen_date DATE, track_id VARCHAR, genres VARCHAR[]"


@functools.lru_cache(maxsize=256)
def parquet(columns: str, lines: str) -> bytes:
    """Makes a Parquet file of lines of JSON. The same rows are made once: many tests have them."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        Path(f"{folder}/rows.json").write_text(lines, encoding="utf-8")
        types = ", ".join(f"{name}: '{kind}'" for name, kind in (column.split() for column in columns.split(",")))
        connection.execute("SET TimeZone = 'UTC'")
        source = f"read_json('{folder}/rows.json', format = 'newline_delimited', columns = {{{types}}})"
        connection.execute(
            f"COPY (SELECT * FROM {source}) TO '{folder}/file.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
        return Path(f"{folder}/file.parquet").read_bytes()


def curated(row: Row) -> tuple[Any, ...]:
    """Returns a row in the order of the curated columns."""
    time = f"{row.listen_time}+00"
    return (
        row.user_id,
        row.track_id,
        time,
        row.track_name,
        row.artists,
        "An Album",
        5,
        row.duration_ms,
        list(row.genres),
        row.user_country,
        40,
    )


def plain(value: dict[str, Any]) -> Any:
    """Converts an attribute value to plain Python, with whole numbers."""
    ((kind, inner),) = value.items()
    if kind == "N":
        assert Decimal(inner) == int(Decimal(inner))
        return int(Decimal(inner))
    if kind == "L":
        return [plain(element) for element in inner]
    if kind == "M":
        return {name: plain(element) for name, element in inner.items()}
    assert kind == "S"
    return inner


def expected(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The oracle's items for rows in which each track has one name, artist and duration, each user a country."""
    rows = list(rows)
    songs = {
        row.track_id: oracle.Song(row.track_name, row.artists, row.duration_ms or 0, sorted(row.genres)) for row in rows
    }
    listens = {
        (row.user_id, row.track_id, datetime.fromisoformat(row.listen_time).replace(tzinfo=timezone.utc))
        for row in rows
    }
    assert len(listens) == len(rows), Counter(rows).most_common(1)
    return oracle.metrics(listens, songs, {row.user_id: row.user_country for row in rows if row.user_country})

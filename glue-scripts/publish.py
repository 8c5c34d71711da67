"""Publish: aggregates the days that the batch touched, and updates the metrics table. A Glue job.

Runs in the Python shell (Python 3.9) with DuckDB, or as a Spark job when the stack sets `publishEngine: spark`.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from typing import Any

import boto3
from botocore.config import Config

from music_streams import layout, log
from music_streams.batch import put_json
from music_streams.fence import batch_in_turn
from music_streams.publish_checkpoint import Checkpoint, circumstances
from music_streams.publish_input import Work, days_to_publish
from music_streams.publish_writer import Counts, MetricsWriter

# 8 threads of BatchWriteItem write about 4,000 items a second, which a new on-demand table accepts.
WRITER_THREADS = 8
S3_CONNECTIONS = 10


def main(argv: list[str]) -> None:
    """Publishes the batch of the workflow run that the arguments name."""
    arguments = parse(argv)
    log.start("publish", workflow_run_id=arguments.WORKFLOW_RUN_ID, job_run_id=arguments.JOB_RUN_ID)
    started_at = _now()
    clients = boto3.client("glue"), boto3.client("dynamodb")
    batch_id = batch_in_turn(*clients, arguments.ledger_table, arguments.WORKFLOW_NAME, arguments.WORKFLOW_RUN_ID)
    s3 = boto3.client("s3", config=Config(max_pool_connections=S3_CONNECTIONS))
    days = days_to_publish(s3, arguments.bucket, batch_id, arguments.WORKFLOW_RUN_ID)
    log.info("started", days=len(days), engine=arguments.engine)
    work = Work(arguments.bucket, arguments.metrics_table, batch_id, arguments.WORKFLOW_RUN_ID, days, _now())
    checkpoint = Checkpoint(s3, arguments.bucket, batch_id, known_circumstances(arguments, clients[1], batch_id))
    groups, counts = compute_and_write(work, s3, arguments.engine, checkpoint) if days else (0, Counts())
    # Before the report: a published batch never has a checkpoint. A crash between costs time, and no item.
    checkpoint.remove()
    report = {
        "batchId": batch_id,
        "workflowRunId": arguments.WORKFLOW_RUN_ID,
        "startedAt": started_at,
        "finishedAt": _now(),
        "engine": arguments.engine,
        "days": list(days),
        "groupsComputed": groups,
        "itemsWritten": counts.written,
        "itemsUnchanged": counts.unchanged,
        "itemsRemoved": counts.removed,
    }
    put_json(s3, arguments.bucket, layout.key("publishReport", batchId=batch_id), report)
    log.info("done", groups=groups, **counts.facts())


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the job's own arguments. Ignores the others, which Glue adds."""
    parser = argparse.ArgumentParser(prog="publish.py", allow_abbrev=False)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--ledger-table", required=True)
    parser.add_argument("--metrics-table", required=True)
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb")
    parser.add_argument("--WORKFLOW_NAME", required=True)
    parser.add_argument("--WORKFLOW_RUN_ID", required=True)
    # Glue passes it to Spark jobs only.
    parser.add_argument("--JOB_RUN_ID")
    return parser.parse_known_args(argv)[0]


def known_circumstances(arguments: argparse.Namespace, dynamodb: Any, batch_id: str) -> dict[str, str] | None:
    """Returns the checkpoint's circumstances. None with Spark, which computes all days at once."""
    if arguments.engine == "spark":
        return None
    return circumstances(dynamodb, arguments.ledger_table, arguments.metrics_table, batch_id)


def compute_and_write(work: Work, s3: Any, engine: str, checkpoint: Checkpoint) -> tuple[int, Counts]:
    """Computes and writes the metrics. Imports only the chosen engine: the other may not be installed."""
    if engine == "spark":
        from music_streams.publish_spark import publish_with_spark

        # The checkpoint of an attempt with DuckDB would be wrong as soon as Spark has written an item.
        checkpoint.remove()
        return publish_with_spark(work, s3, s3.meta.region_name)
    from music_streams.publish_duckdb import Machine, publish_with_duckdb

    config = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=WRITER_THREADS + 2)
    client = boto3.client("dynamodb", config=config)
    writer = MetricsWriter(client, work.table, work.batch_id, work.published_at, WRITER_THREADS)
    return publish_with_duckdb(work, s3, writer, Machine.here(), checkpoint)


def _now() -> str:
    return log.iso(datetime.now(timezone.utc))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:
        log.end_failed(error, " ".join(str(error).split()) or type(error).__name__)

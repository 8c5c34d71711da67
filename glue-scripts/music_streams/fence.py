"""The fence: a job works only for the run that the ledger waits for. Runs under Python 3.9 too.

StartWorkflowRun has no idempotency token. A request can arrive long after its sender gave up, when the batch has
another run or is settled. Such a run would find the batch's files gone and delete its listens.
"""

from __future__ import annotations

from typing import Any

from music_streams import log
from music_streams.batch import BatchError

# In these states the ledger can name a start (`startBy`) without the run: the run may work before sense records it.
ANNOUNCED = ("CLAIMED", "RETRY", "REPLAY")


def batch_in_turn(glue: Any, dynamodb: Any, table: str, workflow_name: str, run_id: str) -> str:
    """Returns the batch id of a workflow run, if the ledger still waits for this run.

    `table` is the ledger, `dynamodb` and `glue` are boto3 clients. Raises BatchError when a person
    started the run, or when it came too late. Nothing was read or written then.
    """
    properties = glue.get_workflow_run_properties(Name=workflow_name, RunId=run_id)["RunProperties"]
    batch_id, attempt = properties.get("batch_id"), properties.get("attempt")
    if not batch_id or not attempt:
        raise BatchError(
            f"workflow run {run_id} of {workflow_name} has no run properties batch_id and attempt: "
            "only sense can start runs"
        )
    # Before the check, so that the log line of a refusal has the ids too.
    log.bind(batch_id=batch_id, attempt=attempt)
    key = {"pk": {"S": "BATCH"}, "sk": {"S": batch_id}}
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    if item is None:
        raise BatchError(f"the ledger {table} has no batch {batch_id}")
    state, present = item["state"]["S"], item["attempt"]["N"]
    known_run = item.get("workflowRunId", {}).get("S")
    recorded = state == "RUNNING" and known_run == run_id
    announced = state in ANNOUNCED and "startBy" in item
    if present != attempt or not (recorded or announced):
        raise BatchError(
            f"workflow run {run_id} came too late for attempt {attempt} of batch {batch_id}, "
            f"which is {state} in attempt {present}{f' with run {known_run}' if known_run else ''}: nothing was done"
        )
    return str(batch_id)


def in_flight_since(dynamodb: Any, table: str, batch_id: str) -> str | None:
    """Returns since when the batch is in flight, as the ledger has it. None when it is not."""
    key = {"pk": {"S": "PIPELINE"}, "sk": {"S": "IN_FLIGHT"}}
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item") or {}
    if item.get("batchId", {}).get("S") != batch_id:
        return None
    since: str | None = item.get("since", {}).get("S")
    return since

"""The fence: only the run that the ledger waits for may work."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tables import create_ledger, put_batch

from music_streams import log
from music_streams.batch import BatchError
from music_streams.fence import batch_in_turn

BATCH = "20240625T171313Z-K3Q7ZJ2A"


class Glue:
    """A Glue with the one call that the fence makes."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties = properties

    def get_workflow_run_properties(self, Name: str, RunId: str) -> dict[str, Any]:
        """Answers as Glue does."""
        return {"RunProperties": self.properties}


@pytest.fixture
def ask(dynamodb: Any) -> Callable[..., str]:
    """Asks the fence for run wr_2 of attempt 2. The ledger item has the given attributes."""
    table = create_ledger(dynamodb)

    def ask(properties: dict[str, str] | None = None, **item: str) -> str:
        if item:
            put_batch(dynamodb, table, BATCH, item.pop("attempt", "2"), **item)
        given = {"batch_id": BATCH, "attempt": "2"} if properties is None else properties
        return batch_in_turn(Glue(given), dynamodb, table, "w", "wr_2")

    return ask


def test_the_run_that_the_ledger_names_may_work(ask: Callable[..., str]) -> None:
    assert ask(state="RUNNING", workflowRunId="wr_2") == BATCH


@pytest.mark.parametrize("state", ["CLAIMED", "RETRY", "REPLAY"])
def test_a_run_whose_start_is_announced_but_not_recorded_may_work(ask: Callable[..., str], state: str) -> None:
    # The item still has the run of the attempt before.
    assert ask(state=state, startBy="2024-06-25T17:13:33.000Z", workflowRunId="wr_1") == BATCH


@pytest.mark.parametrize(
    "item",
    [
        {"state": "RUNNING", "workflowRunId": "wr_1"},
        {"state": "RUNNING", "workflowRunId": "wr_2", "attempt": "3"},
        {"state": "RETRY", "startBy": "2024-06-25T17:13:33.000Z", "attempt": "3"},
        {"state": "CLAIMED"},
        {"state": "PROCESSED", "workflowRunId": "wr_2"},
        {"state": "ARCHIVED", "workflowRunId": "wr_1"},
        {"state": "SPLIT", "startBy": "2024-06-25T17:13:33.000Z"},
        {"state": "FAILED", "workflowRunId": "wr_2"},
    ],
)
def test_a_run_that_came_too_late_is_refused(ask: Callable[..., str], item: dict[str, str]) -> None:
    with pytest.raises(
        BatchError, match=f"wr_2 came too late for attempt 2 of batch {BATCH}, which is {item['state']}"
    ):
        ask(**item)


@pytest.mark.parametrize("properties", [{}, {"batch_id": BATCH}, {"attempt": "2"}])
def test_a_run_that_a_person_started_is_refused(ask: Callable[..., str], properties: dict[str, str]) -> None:
    with pytest.raises(BatchError, match="only sense can start runs"):
        ask(properties, state="RUNNING", workflowRunId="wr_2")


def test_the_log_line_of_a_refusal_has_the_batch(ask: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    log.start("transform")
    with pytest.raises(BatchError):
        ask(state="ARCHIVED", workflowRunId="wr_1")
    log.info("refused")
    line = json.loads(capsys.readouterr().out)
    assert (line["batch_id"], line["attempt"]) == (BATCH, "2")


def test_a_batch_that_is_not_in_the_ledger_is_refused(ask: Callable[..., str]) -> None:
    with pytest.raises(BatchError, match=f"has no batch {BATCH}"):
        ask()

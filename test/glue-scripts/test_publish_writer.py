"""The writer of metrics items with a DynamoDB that is busy, slow or gone: no item gets lost without an error."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from music_streams.metrics_items import Item
from music_streams.publish_writer import (
    FRUITLESS_ROUNDS,
    LONGEST_PAUSE_SECONDS,
    Counts,
    MetricsWriter,
    NotAllWritten,
    same,
)

TABLE = "metrics"


class Busy:
    """A table in memory with DynamoDB's limits. `takes` has the number of requests that each call accepts."""

    def __init__(self, takes: list[Any] | None = None) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.takes = takes or []
        self.calls: list[tuple[str, int]] = []
        self.lock = threading.Lock()

    def _taken(self, kind: str, things: list[Any], limit: int) -> int:
        assert 0 < len(things) <= limit
        self.calls.append((kind, len(things)))
        answer = self.takes.pop(0) if self.takes else len(things)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Answers as DynamoDB does."""
        with self.lock:
            request = RequestItems[TABLE]
            assert request["ConsistentRead"] is True
            keys = request["Keys"]
            taken = self._taken("read", keys, 100)
            found = [self.items.get((key["pk"]["S"], key["sk"]["S"])) for key in keys[:taken]]
            left = {TABLE: {"Keys": keys[taken:], "ConsistentRead": True}} if keys[taken:] else {}
            return {"Responses": {TABLE: [item for item in found if item]}, "UnprocessedKeys": left}

    def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Answers as DynamoDB does."""
        with self.lock:
            requests = RequestItems[TABLE]
            taken = self._taken("write", requests, 25)
            for request in requests[:taken]:
                if "PutRequest" in request:
                    item = request["PutRequest"]["Item"]
                    self.items[item["pk"]["S"], item["sk"]["S"]] = item
                else:
                    key = request["DeleteRequest"]["Key"]
                    del self.items[key["pk"]["S"], key["sk"]["S"]]
            return {"UnprocessedItems": {TABLE: requests[taken:]} if requests[taken:] else {}}


def throttled(code: str = "ThrottlingException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "slow down"}}, "BatchWriteItem")


def items(count: int, listens: int = 1) -> list[Item]:
    return [Item(f"TRACK#t{number}", "DAY#2024-06-25", {"listens": {"N": str(listens)}}) for number in range(count)]


def writer(table: Any, pauses: list[float] | None = None, threads: int = 1, batch_id: str = "b1") -> MetricsWriter:
    pause = pauses.append if pauses is not None else lambda _: None
    return MetricsWriter(table, TABLE, batch_id, "2024-06-25T10:00:00.000Z", threads, pause)


def test_items_are_read_by_a_hundred_and_written_by_twenty_five() -> None:
    table = Busy()
    assert writer(table).upsert(items(130)) == Counts(written=130)
    assert sorted(table.calls) == [
        ("read", 30),
        ("read", 100),
        ("write", 5),
        ("write", 25),
        ("write", 25),
        ("write", 25),
        ("write", 25),
        ("write", 25),
    ]
    assert table.items["TRACK#t7", "DAY#2024-06-25"] == {
        "pk": {"S": "TRACK#t7"},
        "sk": {"S": "DAY#2024-06-25"},
        "listens": {"N": "1"},
        "batch_id": {"S": "b1"},
        "published_at": {"S": "2024-06-25T10:00:00.000Z"},
    }


def test_only_items_that_differ_are_written_and_items_without_a_group_are_removed() -> None:
    table = Busy()
    writer(table).upsert(items(4))
    changed = [items(4)[0], Item("TRACK#t1", "DAY#2024-06-25", {"listens": {"N": "2"}})]
    gone = [Item("TRACK#t2", "DAY#2024-06-25", None), Item("TRACK#t9", "DAY#2024-06-25", None)]
    assert writer(table, batch_id="b2").upsert([*changed, *gone]) == Counts(written=1, unchanged=1, removed=1, absent=1)
    assert {pk: item["batch_id"]["S"] for (pk, _), item in table.items.items()} == {
        "TRACK#t0": "b1",
        "TRACK#t1": "b2",
        "TRACK#t3": "b1",
    }


def test_the_writer_sends_unprocessed_requests_again_after_growing_pauses() -> None:
    # Two reads, then a write of 25: DynamoDB accepts 10, none, none and the rest.
    table, pauses = Busy([20, 5, 10, 0, 0, 15]), list[float]()
    assert writer(table, pauses).upsert(items(25)) == Counts(written=25)
    assert table.calls == [("read", 25), ("read", 5), ("write", 25), ("write", 15), ("write", 15), ("write", 15)]
    assert len(table.items) == 25
    assert len(pauses) == 4
    assert all(0 < pause <= 0.1 * 2**fruitless for pause, fruitless in zip(pauses, [0, 0, 1, 2]))


@pytest.mark.parametrize(
    "trouble",
    [
        throttled(),
        throttled("ProvisionedThroughputExceededException"),
        throttled("InternalServerError"),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_the_writer_waits_for_a_busy_table_in_reads_and_writes(trouble: Exception) -> None:
    table = Busy([trouble, 5, trouble, trouble, 5])
    assert writer(table).upsert(items(5)) == Counts(written=5)
    assert len(table.items) == 5


def test_a_table_that_stays_busy_is_an_error_with_the_number_of_missing_items() -> None:
    table, pauses = Busy([30, 25, *[throttled()] * 100]), list[float]()
    with pytest.raises(NotAllWritten, match=r"^5 of 30 items are not in table metrics.*slow down"):
        writer(table, pauses).upsert(items(30))
    assert len(table.items) == 25
    assert len(pauses) == FRUITLESS_ROUNDS - 1
    assert max(pauses) <= LONGEST_PAUSE_SECONDS


def test_items_that_can_not_be_read_count_as_failed_and_are_not_written() -> None:
    table = Busy([throttled()] * 100)
    with pytest.raises(NotAllWritten, match=r"^30 of 30 items"):
        writer(table).upsert(items(30))
    assert table.items == {}


def test_a_writer_that_gave_up_soon_stops() -> None:
    table = Busy([throttled()] * 10_000)
    with pytest.raises(NotAllWritten):
        writer(table, threads=4).upsert(iter(items(20_000)))
    assert len(table.calls) < 200


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_a_call_that_can_not_succeed_is_an_error_at_once(code: str) -> None:
    table, pauses = Busy([throttled(code)]), list[float]()
    with pytest.raises(ClientError, match=code):
        writer(table, pauses).upsert(items(5_000))
    assert pauses == []
    assert len(table.calls) < 5


def test_an_error_of_the_query_stops_the_writer() -> None:
    def broken() -> Any:
        yield from items(500)
        raise RuntimeError("query failed")

    with pytest.raises(RuntimeError, match="query failed"):
        writer(Busy(), threads=4).upsert(broken())


def test_the_writer_reads_items_as_it_writes_them_not_all_at_once() -> None:
    drawn = []

    def many() -> Any:
        for item in items(100_000):
            drawn.append(item)
            yield item

    with pytest.raises(ClientError):
        writer(Busy([throttled("AccessDeniedException")])).upsert(many())
    assert len(drawn) <= 10_000


def test_a_number_is_the_same_however_it_is_spelled() -> None:
    nested = {
        "tracks": {"L": [{"M": {"listens": {"N": "1E+2"}, "track_id": {"S": "t"}}}]},
        "batch_id": {"S": "b"},
        "pk": {"S": "p"},
    }
    assert same({"tracks": {"L": [{"M": {"listens": {"N": "100"}, "track_id": {"S": "t"}}}]}}, nested)
    assert not same({"tracks": {"L": [{"M": {"listens": {"N": "101"}, "track_id": {"S": "t"}}}]}}, nested)
    assert not same({"listens": {"N": "1"}}, {"listens": {"S": "1"}})
    assert not same({}, {"surplus": {"BOOL": True}})
    assert not same({"track_name": {"S": "x"}}, {})

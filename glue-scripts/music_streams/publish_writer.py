"""Updates items of the metrics table: reads the present ones, and writes only those that differ.

Runs under Python 3.9, in the Python shell and in Spark's executors.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from decimal import Decimal
from threading import Event
from typing import Any, Callable

from botocore.exceptions import ClientError, HTTPClientError

from music_streams.metrics_items import Attributes, Item

# Limits of BatchGetItem and BatchWriteItem (DynamoDB API reference).
KEYS_PER_READ = 100
REQUESTS_PER_WRITE = 25

# Items are shuffled in windows of this size, so that items of one partition key don't arrive together.
SHUFFLED_ITEMS = 5_000

# A call's leftovers are sent again. The writer gives up after this many rounds in a row that wrote none of them.
FRUITLESS_ROUNDS = 10
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 20.0

# Answers of a busy DynamoDB. The SDK has repeated such a call a few times already.
BUSY = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
}

# Attributes of every item besides its metrics: who wrote it, and when. They don't make an item differ.
STAMPS = ("batch_id", "published_at")


class NotAllWritten(Exception):
    """Some items could not be written. The message says how many."""


@dataclass(frozen=True)
class Counts:
    """How many items were written, unchanged, removed, absent, or failed."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    # Items of groups without listens that did not exist before either.
    absent: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Adds both."""
        return Counts(
            self.written + other.written,
            self.unchanged + other.unchanged,
            self.removed + other.removed,
            self.absent + other.absent,
            self.failed + other.failed,
        )

    def facts(self) -> dict[str, int]:
        """Facts for a log line."""
        return {"written": self.written, "unchanged": self.unchanged, "removed": self.removed}

    @property
    def items(self) -> int:
        """All items together."""
        return self.written + self.unchanged + self.removed + self.absent + self.failed


class MetricsWriter:
    """Upserts items into one table with parallel batch calls. `client` is a boto3 DynamoDB client."""

    def __init__(
        self,
        client: Any,
        table: str,
        batch_id: str,
        published_at: str,
        threads: int = 8,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`published_at` is ISO 8601; `pause` sleeps for a number of seconds."""
        self._client = client
        self._table = table
        self._stamps = {"batch_id": {"S": batch_id}, "published_at": {"S": published_at}}
        self._threads = threads
        self._pause = pause
        self._gave_up = Event()
        self._last_trouble = "unprocessed items"

    def upsert(self, items: Iterable[Item]) -> Counts:
        """Writes items that are new or differ, deletes those of empty groups. Keys must be distinct.

        Reads `items` as needed. Raises NotAllWritten when DynamoDB stays busy, and the client's error when a call can't
        succeed.
        """
        total = Counts()
        waiting: set[Future[Counts]] = set()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                for chunk in _chunks(_shuffled(items), KEYS_PER_READ):
                    if self._gave_up.is_set():
                        break
                    waiting.add(pool.submit(self._upsert_chunk, chunk))
                    if len(waiting) >= 2 * self._threads:
                        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        total = sum((future.result() for future in done), total)
                total = sum((future.result() for future in waiting), total)
            except BaseException:
                self._gave_up.set()
                for future in waiting:
                    future.cancel()
                raise
        if total.failed:
            raise NotAllWritten(
                f"{total.failed} of {total.items} items are not in table {self._table}, and the writer gave up: "
                f"DynamoDB accepted none {FRUITLESS_ROUNDS} times in a row (last answer: {self._last_trouble})"
            )
        return total

    def _upsert_chunk(self, items: list[Item]) -> Counts:
        keys = [{"pk": {"S": item.pk}, "sk": {"S": item.sk}} for item in items]
        existing: dict[tuple[str, str], Attributes] = {}
        unread = self._until_done(keys, lambda some: self._read(some, existing))
        if unread:
            return Counts(failed=len(items))
        requests, written, removed, absent = [], 0, 0, 0
        for item, key in zip(items, keys):
            there = existing.get((item.pk, item.sk))
            if item.attributes is None:
                if there is None:
                    absent += 1
                else:
                    removed += 1
                    requests.append({"DeleteRequest": {"Key": key}})
            elif there is None or not same(item.attributes, there):
                written += 1
                requests.append({"PutRequest": {"Item": {**key, **item.attributes, **self._stamps}}})
        unchanged = len(items) - written - removed - absent
        failed: list[Any] = []
        for some in _chunks(requests, REQUESTS_PER_WRITE):
            failed += self._until_done(some, self._write)
        failed_deletes = sum("DeleteRequest" in request for request in failed)
        failed_puts = len(failed) - failed_deletes
        return Counts(written - failed_puts, unchanged, removed - failed_deletes, absent, len(failed))

    def _until_done(self, todo: list[Any], call: Callable[[list[Any]], list[Any]]) -> list[Any]:
        """Calls until nothing is left, with random pauses. Returns the rest when it gives up."""
        fruitless = 0
        while todo:
            try:
                left = call(todo)
            except (ClientError, HTTPClientError) as error:
                if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") not in BUSY:
                    raise
                self._last_trouble = str(error)
                left = todo
            fruitless = fruitless + 1 if len(left) == len(todo) else 0
            todo = left
            if todo:
                if fruitless >= FRUITLESS_ROUNDS:
                    self._gave_up.set()
                if self._gave_up.is_set():
                    break
                longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**fruitless)
                self._pause(random.uniform(longest / 10, longest))  # noqa: S311 (no secret)
        return todo

    def _read(self, keys: list[Any], found: dict[tuple[str, str], Attributes]) -> list[Any]:
        answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
        for item in answer["Responses"].get(self._table, []):
            found[item["pk"]["S"], item["sk"]["S"]] = item
        unprocessed: list[Any] = (answer.get("UnprocessedKeys") or {}).get(self._table, {}).get("Keys", [])
        return unprocessed

    def _write(self, requests: list[Any]) -> list[Any]:
        answer = self._client.batch_write_item(RequestItems={self._table: requests})
        unprocessed: list[Any] = (answer.get("UnprocessedItems") or {}).get(self._table, [])
        return unprocessed


def same(wanted: Attributes, there: Attributes) -> bool:
    """Whether the item in the table has the wanted metrics. The stamps may differ."""
    metrics = {name: value for name, value in there.items() if name not in ("pk", "sk", *STAMPS)}
    return wanted == metrics or _plain(wanted) == _plain(metrics)


def _plain(attributes: Attributes) -> Any:
    """Converts numbers: DynamoDB keeps a number's value, not its spelling."""
    return {name: _plain_value(value) for name, value in attributes.items()}


def _plain_value(value: Attributes) -> Any:
    if "N" in value:
        return Decimal(value["N"])
    if "L" in value:
        return [_plain_value(element) for element in value["L"]]
    if "M" in value:
        return _plain(value["M"])
    return value


def _shuffled(items: Iterable[Item]) -> Iterator[Item]:
    for window in _chunks(items, SHUFFLED_ITEMS):
        random.shuffle(window)
        yield from window


def _chunks(things: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(things)
    while chunk := list(itertools.islice(source, size)):
        yield chunk

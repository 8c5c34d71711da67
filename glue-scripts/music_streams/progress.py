"""Progress of a long step, as lines in the job's log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from music_streams import log

SECONDS_BETWEEN = 30.0


@contextmanager
def logged(event: str, look: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Logs what `look` finds, every 30 s until the block ends. Nothing that goes wrong here reaches the block."""
    ended = threading.Event()
    began = time.monotonic()

    def report() -> None:
        while not ended.wait(SECONDS_BETWEEN):
            try:
                facts = look()
            except Exception as error:
                facts = {"unknown": f"{type(error).__name__}: {error}"[:300]}
            # A look can take long. The step may have ended meanwhile.
            if not ended.is_set():
                log.info(event, **facts, seconds=round(time.monotonic() - began, 1))

    try:
        # Nobody waits for the thread: its last look may hang.
        threading.Thread(target=report, name=f"progress of {event}", daemon=True).start()
    except RuntimeError as error:
        log.info(event, unknown=str(error))
    try:
        yield
    finally:
        ended.set()


def tasks_so_far(spark: SparkSession) -> dict[str, Any]:
    """Facts about a running write: how many of its tasks have ended."""
    tracker = spark.sparkContext.statusTracker()
    # The stages of a step run one after the other; the last one writes.
    stages = sorted(tracker.getActiveStageIds())
    stage = tracker.getStageInfo(stages[-1]) if stages else None
    return {} if stage is None else {"tasks": f"{stage.numCompletedTasks} of {stage.numTasks}"}

"""Logs of a job: one JSON object per line on standard output, as the Lambdas write them. Runs under Python 3.9.

One query by `batch_id` over all log groups finds everything about a batch (docs/operations.md, "Logs").
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from typing import Any, NoReturn

_LOGGER = logging.getLogger("music_streams")
# The Lambdas' name of this level.
_LEVELS = {logging.WARNING: "WARN"}
# CloudWatch accepts events of up to 256 KB.
LONGEST_STACK = 20_000


class _Lines(logging.Handler):
    """Writes lines to standard output. Holds the job's name and the ids for every line."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job
        self.ids: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "timestamp": iso(moment),
            "level": _LEVELS.get(record.levelno, record.levelname),
            "job": self.job,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
            # The ids come last: they are long, and people read from the left.
            **self.ids,
        }
        # print() uses the present sys.stdout, which may have been replaced since the handler was made.
        print(json.dumps(line, default=str), flush=True)


def start(job: str, **ids: str | None) -> None:
    """Starts logging. Every later line has the job's name and the ids that are not None."""
    _LOGGER.handlers = [_Lines(job)]
    _LOGGER.setLevel(logging.INFO)
    # If Glue set handlers on the root logger, they would write each line a second time.
    _LOGGER.propagate = False
    bind(**ids)


def bind(**ids: str | None) -> None:
    """Adds ids to every later line."""
    for handler in _LOGGER.handlers:
        if isinstance(handler, _Lines):
            handler.ids.update({name: value for name, value in ids.items() if value is not None})


def info(event: str, **facts: Any) -> None:
    """Logs an event with its facts. Facts that JSON can't hold become text."""
    _LOGGER.info(event, extra={"facts": facts})


def warn(event: str, **facts: Any) -> None:
    """Logs an event that needs somebody's attention."""
    _LOGGER.warning(event, extra={"facts": facts})


def end_failed(error: BaseException, message: str) -> NoReturn:
    """Logs the error and exits, so that Glue shows the message as the run's error."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    _LOGGER.error("jobFailed", extra={"facts": {"error": message, "stack": "".join(lines)[-LONGEST_STACK:]}})
    sys.stderr.writelines(lines)
    sys.stderr.flush()
    # exit() with a text writes it to standard error and exits with 1. Glue's runner reads the text from the exception.
    sys.exit(f"ERROR: {message}")


def iso(moment: datetime) -> str:
    """Formats a time for logs, reports and items: ISO 8601 in UTC, with milliseconds."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")

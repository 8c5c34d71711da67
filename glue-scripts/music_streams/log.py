"""What a job logs: one JSON object a line on standard output, in the form of the Lambdas' lines. Runs under Python 3.9.

So one batch's story is one query over all log groups, by `batch_id` (docs/operations.md, "Logs").
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from typing import Any, NoReturn

_LOGGER = logging.getLogger("music_streams")
# As the Lambdas' lines have it.
_LEVELS = {logging.WARNING: "WARN"}
# CloudWatch takes events of 256 KB.
LONGEST_STACK = 20_000


class _Lines(logging.Handler):
    """Writes to standard output. It holds what the whole job's lines have in common."""

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
            # Last, because they are long, and people read from the left.
            **self.ids,
        }
        # By print, since sys.stdout may be another by now than when the handler was made.
        print(json.dumps(line, default=str), flush=True)


def start(job: str, **ids: str | None) -> None:
    """From now on lines come out, each with the job's name and those of the ids that are known."""
    _LOGGER.handlers = [_Lines(job)]
    _LOGGER.setLevel(logging.INFO)
    # The root logger's handlers, where Glue has set some, would write each line a second time.
    _LOGGER.propagate = False
    know(**ids)


def know(**ids: str | None) -> None:
    """From now on each line carries these ids too."""
    for handler in _LOGGER.handlers:
        if isinstance(handler, _Lines):
            handler.ids.update({name: value for name, value in ids.items() if value is not None})


def say(event: str, **facts: Any) -> None:
    """Logs an event with its facts, as far as JSON knows them."""
    _LOGGER.info(event, extra={"facts": facts})


def warn(event: str, **facts: Any) -> None:
    """Logs an event that somebody should know of."""
    _LOGGER.warning(event, extra={"facts": facts})


def end_failed(error: BaseException, message: str) -> NoReturn:
    """Logs what ended the job, and ends it so that Glue gives the message as the run's error."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    _LOGGER.error("jobFailed", extra={"facts": {"error": message, "stack": "".join(lines)[-LONGEST_STACK:]}})
    sys.stderr.writelines(lines)
    sys.stderr.flush()
    # Not by a code: Python writes the message to standard error and exits with 1, and who looks at the exception, as
    # Glue's own runner does, finds it there.
    sys.exit(f"ERROR: {message}")


def iso(moment: datetime) -> str:
    """A moment as logs, reports and items write it: ISO 8601 in UTC, in milliseconds."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")

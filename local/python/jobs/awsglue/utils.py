"""`getResolvedOptions`, with which nearly every Glue script begins (AWS Glue Developer Guide)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

# Glue gives these to a script that does not ask for them.
ALWAYS = ("JOB_ID", "JOB_RUN_ID", "SECURITY_CONFIGURATION", "TempDir", "encryption_type", "job-bookmark-option")


class GlueArgumentError(Exception):
    """The job was not given an argument that its script needs, or no value for it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise GlueArgumentError(message)


def getResolvedOptions(args: Sequence[str], options: Sequence[str]) -> dict[str, str | None]:
    """Returns the job's arguments by name, without `--`, and with `_` for each `-`.

    `args` is sys.argv. `options` are needed: raises GlueArgumentError when one is missing or has no value. What Glue
    always gives is None where the job does not have it.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in dict.fromkeys([*options, *ALWAYS]):
        parser.add_argument(f"--{name}", required=name in options)
    return vars(parser.parse_known_args(list(args[1:]))[0])

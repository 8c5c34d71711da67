"""Header names that stand for columns, so that an export of another service needs no rewriting."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

# Column: the header names that stand for it, besides its own.
ColumnNames = Mapping[str, Sequence[str]]


def parse(text: str) -> dict[str, list[str]]:
    """Parses the job's argument `--column-names`: JSON such as `{"user_id": ["user", "user_name"]}`."""
    return {str(column): [str(name) for name in names] for column, names in json.loads(text).items()}


def with_earlier(names: ColumnNames, earlier: ColumnNames) -> dict[str, list[str]]:
    """Returns today's names, then those of the batch's last run: a replay takes no rows away when a setting goes."""
    return {
        column: list(dict.fromkeys([*names.get(column, ()), *earlier.get(column, ())]))
        for column in {**names, **earlier}
    }


def accepted(columns: Sequence[str], names: ColumnNames) -> dict[str, list[str]]:
    """Returns each column with every header name that stands for it. Its own name is the first."""
    return {column: [column, *names.get(column, ())] for column in columns}


def renamed(header: Sequence[str], columns: ColumnNames) -> tuple[str, ...]:
    """Returns a header in which each column of `accepted` has its own name, where one of its names is there.

    The first of a column's names that is there counts. All others stay what they are: columns that nobody reads.
    """
    own = {next((name for name in names if name in header), column): column for column, names in columns.items()}
    return tuple(own.get(name, name) for name in header)

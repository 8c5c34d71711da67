"""Queries curated files as Athena would: through the catalog's definition of the table, with queries of the manual.

Reads one JSON object from stdin: {table: as Glue's GetTable returns it, folder: a copy of the files below the table's
location, queries: [SQL]}. Writes {rows: [rows of each query]}. Exits with an error when catalog and files disagree.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import duckdb

# DuckDB's names of the Parquet types for each of the catalog's types.
TYPES = {
    "string": ["VARCHAR"],
    "bigint": ["BIGINT"],
    # Spark writes times in UTC.
    "timestamp": ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE"],
    "array<string>": ["VARCHAR[]"],
}


def main() -> None:
    """Reads the request and writes the answer."""
    asked = json.load(sys.stdin)
    table, folder = asked["table"], Path(asked["folder"])
    connection = duckdb.connect()
    check_columns(connection, table, sorted(folder.rglob("*")))
    create_view(connection, table, folder)
    rows = [connection.execute(query).fetchall() for query in asked["queries"]]
    json.dump({"rows": rows}, sys.stdout, default=str)


def check_columns(connection: duckdb.DuckDBPyConnection, table: dict[str, Any], paths: list[Path]) -> None:
    """Checks that every file has exactly the catalog's columns, with their types."""
    for path in paths:
        if path.is_dir():
            continue
        query = "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)"
        found = {name: kind for name, kind, *_ in connection.execute(query, [str(path)]).fetchall()}
        columns = {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
        if set(found) != set(columns):
            sys.exit(f"{path}: the file has the columns {sorted(found)}, the catalog {sorted(columns)}")
        for name, kind in found.items():
            if kind not in TYPES[columns[name]]:
                sys.exit(f"{path}: {name} is {kind} in the file, {columns[name]} in the catalog")


def create_view(connection: duckdb.DuckDBPyConnection, table: dict[str, Any], folder: Path) -> None:
    """Creates the table as partition projection does: the template says where the path has the day."""
    template = str(table["Parameters"]["storage.location.template"])
    within = template.removeprefix(str(table["StorageDescriptor"]["Location"]))
    (partition,) = table["PartitionKeys"]
    before, after = within.split("${" + partition["Name"] + "}")
    pattern = f"{re.escape(f'{folder}/{before}')}([^/]+){re.escape(after)}"
    names = ", ".join(column["Name"] for column in table["StorageDescriptor"]["Columns"])
    source = f"read_parquet('{folder}/{before}*{after}**/*.parquet', filename = true, hive_partitioning = false)"
    connection.execute(
        f"CREATE VIEW {table['Name']} AS SELECT {names}, "
        f"CAST(regexp_extract(filename, '{pattern}', 1) AS {partition['Type']}) AS {partition['Name']} FROM {source}"
    )


if __name__ == "__main__":
    main()

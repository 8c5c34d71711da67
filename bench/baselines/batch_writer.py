"""Baseline: boto3's own batch writer, with items that publish computed. batch_writer.py FROM_TABLE TO_TABLE.

It neither computes nor compares: it is the time that writing alone takes with the usual tool.
"""

from __future__ import annotations

import sys

import boto3
from tables import items_of

from marks import mark


def main(source: str, target: str) -> None:
    """Copies all items. Reading them is no part of the time."""
    items = items_of(boto3.resource("dynamodb").Table(source))
    table = boto3.resource("dynamodb").Table(target)
    mark("opened")
    with table.batch_writer() as writer:
        for item in items:
            writer.put_item(Item=item)
    mark("done", items=len(items))


if __name__ == "__main__":
    main(*sys.argv[1:])

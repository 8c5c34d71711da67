"""Tables in the emulator's DynamoDB, with the keys of ledger and metrics table."""

from __future__ import annotations

import uuid
from typing import Any


def create_metrics_table(dynamodb: Any, name: str) -> None:
    """Creates a metrics table, with its index (infra/metrics-table.ts)."""
    schema = [{"AttributeName": "listed_in", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}]
    index = {"IndexName": "listed", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
    create_table(dynamodb, name, index, {"AttributeName": "listed_in", "AttributeType": "S"})


def create_table(dynamodb: Any, name: str, index: Any = None, *attributes: Any) -> None:
    """Creates a table with pk and sk, and an index with more attributes."""
    dynamodb.create_table(
        **({"GlobalSecondaryIndexes": [index]} if index else {}),
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            *attributes,
        ],
    )


def create_ledger(dynamodb: Any) -> str:
    """Creates an empty ledger. Returns its name."""
    name = f"ledger-{uuid.uuid4().hex[:12]}"
    create_table(dynamodb, name)
    return name


def put_batch(dynamodb: Any, ledger: str, batch_id: str, attempt: str, **item: str) -> None:
    """Writes a batch's item with these attributes."""
    stored = {"pk": {"S": "BATCH"}, "sk": {"S": batch_id}, "attempt": {"N": attempt}}
    dynamodb.put_item(TableName=ledger, Item={**stored, **{name: {"S": value} for name, value in item.items()}})


def items_of(table: Any) -> list[dict[str, Any]]:
    """Reads all items of a boto3 Table."""
    items, page = [], table.scan()
    while True:
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        page = table.scan(ExclusiveStartKey=page["LastEvaluatedKey"])

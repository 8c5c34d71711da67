"""A publish that dies is finished by the next attempt, which computes only the days that it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from publish_support import Lake, Row, expected
from tables import create_table

from music_streams import layout, log, publish_duckdb
from music_streams.batch import put_json

BATCH = "20240625T110000Z-bbbbbbbb"
OTHER = "20240625T100000Z-aaaaaaaa"
DAYS = [f"2024-06-{day:02}" for day in range(1, 7)]
FIRST_FOUR, LAST_TWO = DAYS[:4], DAYS[4:]
ROWS = [Row(f"u{n}", f"t{n}", f"{day} 1{n}:00:00", genres=("pop", f"g{n}")) for day in DAYS for n in range(3)]
OTHERS = [Row("other", "t9", f"{day} 20:00:00") for day in DAYS[::2]]
KEY = layout.key("publishCheckpoint", batchId=BATCH)


class DiedError(Exception):
    """The job died."""


@pytest.fixture
def lake(s3: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with another batch of the same days; publish computes two days at a time."""
    lake = Lake(s3, dynamodb, monkeypatch)
    lake.publish(OTHER, lake.curate(OTHER, OTHERS))
    monkeypatch.setattr(publish_duckdb, "DAYS_TOGETHER", 2)
    return lake


def computed(lake: Lake, dies_in_part: int = 0) -> list[str]:
    """Runs an attempt, which may die when it has written a part's items. Returns the days that it computed."""
    days: list[str] = []
    parts: list[list[str]] = []
    publish_days = publish_duckdb._publish_days

    def record(*args: Any) -> Any:
        (of_part,) = (value for value in args if isinstance(value, list) and value and isinstance(value[0], str))
        days.extend(of_part)
        done = publish_days(*args)
        parts.append(of_part)
        if len(parts) == dies_in_part:
            raise DiedError
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_duckdb, "_publish_days", record)
        if dies_in_part:
            with pytest.raises(DiedError):
                lake.publish(BATCH, DAYS)
        else:
            lake.publish(BATCH, DAYS)
    return days


def transformed_again(lake: Lake, rows: list[Row] = ROWS, before: list[Row] = ROWS) -> None:
    """Does what transform does in the next attempt: it records the rows of before, and writes new files."""
    lake.replaced(BATCH, before)
    lake.curate(BATCH, rows)
    prefix = layout.key("listens")
    for key in lake.keys(prefix):
        # Spark gives its files other names in each attempt.
        if f"batch_id={BATCH}/part" in key:
            source = {"Bucket": lake.bucket, "Key": key}
            lake.s3.copy_object(Bucket=lake.bucket, Key=key.replace("part-", f"part-{lake.runs}-"), CopySource=source)
            lake.s3.delete_object(Bucket=lake.bucket, Key=key)


def test_the_next_attempt_computes_only_the_days_that_are_not_done(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.curate(BATCH, ROWS)
    # The third part's items are written, but the job died before it could say so.
    assert computed(lake, dies_in_part=3) == DAYS
    assert lake.keys(KEY) == [KEY]
    transformed_again(lake)
    assert computed(lake) == LAST_TWO
    assert lake.items() == expected([*ROWS, *OTHERS])
    assert lake.keys(KEY) == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    (resumed,) = [line for line in lines if line["event"] == "resumed"]
    assert (resumed["days_skipped"], resumed["days_changed"]) == (4, 0)
    # A skipped day counts as if it were computed again.
    report = lake.report(BATCH)
    again = lake.publish(BATCH, DAYS)
    counts = ("days", "groupsComputed", "itemsWritten", "itemsUnchanged", "itemsRemoved")
    assert [report[name] for name in counts] == [again[name] for name in counts]
    assert again["itemsUnchanged"] > again["itemsWritten"] == 0


def test_attempts_that_all_die_get_through_in_the_end(lake: Lake) -> None:
    lake.curate(BATCH, ROWS)
    assert computed(lake, dies_in_part=2) == FIRST_FOUR
    transformed_again(lake)
    assert computed(lake, dies_in_part=2) == DAYS[2:6]
    transformed_again(lake)
    assert computed(lake) == LAST_TWO
    assert lake.items() == expected([*ROWS, *OTHERS])


def changed_rows() -> list[Row]:
    """The rows with another genre on the first day, as after a change of the reference data."""
    return [Row(**{**vars(row), "genres": ("rock",)}) if DAYS[0] in row.listen_time else row for row in ROWS]


def test_a_changed_curated_file_is_computed_again_and_changed_back_too(lake: Lake) -> None:
    lake.curate(BATCH, ROWS)
    computed(lake, dies_in_part=3)
    transformed_again(lake, changed_rows())
    # It dies right behind the changed day.
    assert computed(lake, dies_in_part=1) == DAYS[:2]
    transformed_again(lake, ROWS, before=changed_rows())
    assert computed(lake) == [*DAYS[:2], *LAST_TWO]
    assert lake.items() == expected([*ROWS, *OTHERS])


def test_another_batch_s_changed_file_is_computed_again(lake: Lake) -> None:
    lake.curate(BATCH, ROWS)
    computed(lake, dies_in_part=3)
    transformed_again(lake)
    third, more = "20240625T103000Z-cccccccc", [Row("more", "t9", f"{DAYS[2]} 21:00:00")]
    lake.curate(third, more)
    assert computed(lake) == DAYS[2:]
    lake.publish(third, lake.curate(third, more))
    assert lake.items() == expected([*ROWS, *OTHERS, *more])


def taken_up_again(lake: Lake) -> None:
    """The batch is settled, and taken up again for a replay."""
    lake.take_up(OTHER)
    lake.take_up(BATCH)


IN_FLIGHT = {"pk": {"S": "PIPELINE"}, "sk": {"S": "IN_FLIGHT"}}


def table_made_again(lake: Lake) -> None:
    """The metrics table is deleted and made again, as a restore does."""
    since = lake.dynamodb.get_item(TableName=lake.ledger, Key=IN_FLIGHT)["Item"]
    lake.dynamodb.delete_table(TableName=lake.table)
    create_table(lake.dynamodb, lake.table)
    lake.publish(OTHER, DAYS[::2])
    lake.dynamodb.put_item(TableName=lake.ledger, Item=since)


def changed_document(**changes: Any) -> Callable[[Lake], None]:
    """Changes the checkpoint's attributes."""

    def change(lake: Lake) -> None:
        document = json.loads(lake.s3.get_object(Bucket=lake.bucket, Key=KEY)["Body"].read())
        put_json(lake.s3, lake.bucket, KEY, {**document, **changes})

    return change


def hours_ago(hours: int) -> str:
    """A time in the past, as in documents."""
    return log.iso(datetime.now(timezone.utc) - timedelta(hours=hours))


def unreadable(lake: Lake) -> None:
    """The checkpoint is no JSON."""
    lake.s3.put_object(Bucket=lake.bucket, Key=KEY, Body=b'{"parts": ')


def other_sql(lake: Lake) -> None:
    """A deploy brings another library."""
    lake.monkeypatch.setattr("music_streams.publish_checkpoint.sql", lambda name: f"-- new\n{name}")


def not_in_flight(lake: Lake) -> None:
    """The ledger does not say since when the batch is in flight."""
    lake.monkeypatch.setattr("music_streams.publish_checkpoint.in_flight_since", lambda *_: None)


@pytest.mark.parametrize(
    "happens",
    [
        taken_up_again,
        table_made_again,
        changed_document(writtenAt=hours_ago(25)),
        changed_document(writtenAt=hours_ago(-1)),
        changed_document(parts=[{"days": {}}]),
        unreadable,
        other_sql,
        not_in_flight,
    ],
    ids=[
        "taken up again",
        "table made again",
        "a day old",
        "of the future",
        "malformed",
        "no JSON",
        "another library",
        "no batch in flight",
    ],
)
def test_a_checkpoint_in_doubt_is_ignored_and_all_days_are_computed(
    lake: Lake, happens: Callable[[Lake], None]
) -> None:
    lake.monkeypatch.setattr(publish_duckdb, "DAYS_TOGETHER", 3)
    lake.curate(BATCH, ROWS)
    computed(lake, dies_in_part=2)
    happens(lake)
    assert computed(lake) == DAYS
    assert lake.items() == expected([*ROWS, *OTHERS])
    assert lake.keys(KEY) == []


def test_the_checkpoint_is_gone_before_the_report_is_there(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def put(s3: Any, bucket: str, key: str, document: Any) -> None:
        written.append(key)
        assert lake.keys(KEY) == []
        raise DiedError

    lake.curate(BATCH, ROWS)
    with monkeypatch.context() as patch:
        patch.setattr("publish.put_json", put)
        with pytest.raises(DiedError):
            lake.publish(BATCH, DAYS)
    assert written == [layout.key("publishReport", batchId=BATCH)]
    assert computed(lake) == DAYS


def test_spark_leaves_no_checkpoint_of_an_attempt_with_duckdb(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.curate(BATCH, ROWS)
    computed(lake, dies_in_part=3)

    def die(*_: object) -> None:
        raise DiedError

    monkeypatch.setattr("music_streams.publish_spark.publish_with_spark", die)
    with pytest.raises(DiedError):
        lake.publish(BATCH, DAYS, "spark")
    assert lake.keys(KEY) == []


def test_a_checkpoint_that_can_t_be_written_costs_time_only(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("AccessDenied")

    lake.curate(BATCH, ROWS)
    monkeypatch.setattr("music_streams.publish_checkpoint.put_json", refuse)
    computed(lake, dies_in_part=3)
    assert computed(lake) == DAYS
    assert lake.items() == expected([*ROWS, *OTHERS])


def test_a_publish_of_one_part_writes_no_checkpoint(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a checkpoint was written")

    monkeypatch.setattr("music_streams.publish_checkpoint.put_json", refuse)
    monkeypatch.setattr(publish_duckdb, "DAYS_TOGETHER", 6)
    lake.curate(BATCH, ROWS)
    assert computed(lake) == DAYS

"""Which task writes which rows."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from music_streams.placement import FEWEST_ROWS, FILE_ROWS, MOST_ROWS, Placement

DAY = date(2024, 6, 25)


def days(count: int, rows: int) -> dict[str, int]:
    return {(DAY + timedelta(days=n)).isoformat(): rows for n in range(count)}


@pytest.mark.parametrize(
    ("rows_by_day", "cores", "tasks"),
    [
        (days(1, 1), 2, 1),
        (days(3, 500), 2, 1),
        (days(1, 1_000_000), 2, 4),
        (days(1, 5_000_000), 2, 6),
        (days(1, 5_000_000), 16, 20),
        (days(1, 100_000_000), 2, 100),
        # A file costs as much as many rows, so many small days are work for several tasks.
        (days(4_500, 12), 2, 46),
        ({**days(1, 5_000_000), "2001-01-01": 1, "2026-01-01": 1}, 2, 8),
    ],
)
def test_there_are_as_many_tasks_as_there_is_work(rows_by_day: dict[str, int], cores: int, tasks: int) -> None:
    placement = Placement(rows_by_day, cores)
    assert placement.tasks == tasks
    work = sum(rows + FILE_ROWS for rows in rows_by_day.values())
    assert tasks == 1 or work / tasks <= MOST_ROWS * 1.01
    assert tasks <= 1 + len(rows_by_day) or work / tasks >= FEWEST_ROWS / 2


def test_a_large_day_is_divided_by_track_and_small_days_are_together(spark: SparkSession) -> None:
    rows_by_day = {"2024-06-25": 3, "2024-06-26": 4_000_000, "2024-06-29": 3}
    placement = Placement(rows_by_day, 2)
    listens = spark.range(4_000).select(
        F.concat(F.lit("t"), F.pmod("id", F.lit(1_000))).alias("track_id"),
        F.when(F.col("id") < 10, "2024-06-25")
        .when(F.col("id") > 3_990, "2024-06-29")
        .otherwise("2024-06-26")
        .cast("date")
        .alias("listen_date"),
    )
    placed = placement.place(listens).withColumn("task", F.spark_partition_id()).distinct().collect()
    assert all(row["part"] == row["task"] for row in placed)
    tasks: dict[tuple[date, str], set[int]] = {}
    for row in placed:
        tasks.setdefault((row["listen_date"], row["track_id"]), set()).add(row["task"])
    # All copies of a listen meet in one task.
    assert all(len(found) == 1 for found in tasks.values())
    of_day: dict[str, Counter[int]] = {}
    for (day, _), found in tasks.items():
        of_day.setdefault(day.isoformat(), Counter()).update(found)
    assert len(of_day["2024-06-25"]) == len(of_day["2024-06-29"]) == 1
    assert len(of_day["2024-06-26"]) == placement.tasks - len({*of_day["2024-06-25"], *of_day["2024-06-29"]}) >= 4
    # No task has much more than its share.
    shares = of_day["2024-06-26"].values()
    assert max(shares) < 1.5 * sum(shares) / len(shares)

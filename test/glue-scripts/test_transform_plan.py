"""What Spark does for each row of a large batch: the plan that it made, not its time."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from transform_support import Lake, csv

import transform
from music_streams import lines
from music_streams.listens import distinct_listens


def test_a_row_is_matched_once_and_sorted_once(s3: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []

    def recorded(rows: DataFrame) -> DataFrame:
        once = distinct_listens(rows)
        plans.append(once._jdf.queryExecution().executedPlan().toString())
        return once

    # As in a batch of more than 16 MB: the lines are read again in each pass.
    monkeypatch.setattr(lines, "KEPT_BYTES", 0)
    monkeypatch.setattr(transform, "distinct_listens", recorded)
    lake = Lake(s3, spark)
    rows = [f"u{n % 3},t{n % 2},2024-06-25 10:00:{n % 7:02}" for n in range(100)]
    report = lake.run({"a.csv": csv(*rows)})
    assert (report["rowsKept"], report["rowsDuplicate"]) == (42, 58)
    [plan] = plans
    assert plan.count("RLIKE(value") == 1, plan
    assert plan.count("try_cast(") == 1, plan
    # A filter that Spark moves down to the files is computed there a second time.
    assert re.findall(r"DataFilters: \[(.*?)\]", plan) == [""], plan
    assert "HashAggregate" not in plan, plan
    assert len(re.findall(r"\bSort \[", plan)) == len(re.findall(r"\bSortAggregate\(", plan)) == 1, plan

"""Which task writes which rows: as many tasks as there is work for, and few files for each day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from music_streams.rows import constants

# Opening a file costs as much as writing so many rows.
FILE_ROWS = 10_000
# A task below this is not worth its start. Two of the largest sort their rows in a heap of 2 GB without a spill.
FEWEST_ROWS, MOST_ROWS = 250_000, 1_000_000
# Tasks that a core gets one after the other, so that all cores are busy to the end.
TASKS_A_CORE = 3


class Placement:
    """Divides the rows of a batch by day, and large days by track. A listen's copies stay together."""

    def __init__(self, rows_by_day: Mapping[str, int], cores: int) -> None:
        """`rows_by_day`: rows by YYYY-MM-DD, duplicates included. There is at least one."""
        work = {date.fromisoformat(day): rows + FILE_ROWS for day, rows in sorted(rows_by_day.items())}
        size = min(MOST_ROWS, max(FEWEST_ROWS, sum(work.values()) // (TASKS_A_CORE * cores)))
        self.first = min(work)
        days = (max(work) - self.first).days + 1
        self.part, self.parts_of_day = [0] * days, [1] * days
        self.tasks, room = 0, 0
        for day, rows in work.items():
            parts = round(rows / size)
            if parts < 2:
                # Small days share a task.
                if rows > room:
                    self.tasks, room = self.tasks + 1, size
                room -= rows
                parts, begin = 1, self.tasks - 1
            else:
                begin, room = self.tasks, 0
                self.tasks += parts
            at = (day - self.first).days
            self.part[at], self.parts_of_day[at] = begin, parts
        days_of_part = Counter(self.part[(day - self.first).days] for day in work)
        self.alone = [int(days_of_part[part] == 1) for part in self.part]

    def place(self, rows: DataFrame) -> DataFrame:
        """Adds `part`, and moves each row to the task of this number. Adds `day_and_track`, which sorts a task's rows.

        In a task of one day, it is the track alone: Spark compares the first eight bytes of what it sorts by, and whole
        rows only where these are equal.
        """
        placed = rows.withColumn("part", self._part()).repartitionById(self.tasks, F.col("part"))
        alone = F.get(constants(self.alone), self._at()) == 1
        both = F.concat(F.col("listen_date").cast("string"), F.col("track_id"))
        return placed.withColumn("day_and_track", F.when(alone, F.col("track_id")).otherwise(both))

    def _part(self) -> Column:
        parts = F.get(constants(self.parts_of_day), self._at())
        return F.get(constants(self.part), self._at()) + F.pmod(F.xxhash64("track_id"), parts).cast("int")

    def _at(self) -> Column:
        return F.datediff("listen_date", F.lit(self.first))

"""Which task writes which rows: as many tasks as there is work for, and few files for each day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from music_streams.rows import constants

# Opening a file costs as much as writing so many rows.
FILE_ROWS = 10_000
# A task below this is not worth its start. Rows of the largest one take some 25 MB of Parquet.
FEWEST_ROWS, MOST_ROWS = 250_000, 2_000_000
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

    def place(self, rows: DataFrame) -> DataFrame:
        """Adds `part`, and moves each row to the task of this number."""
        return rows.withColumn("part", self._part()).repartitionById(self.tasks, F.col("part"))

    def _part(self) -> Column:
        if self.tasks == 1:
            return F.lit(0)
        at = F.datediff("listen_date", F.lit(self.first))
        parts = F.get(constants(self.parts_of_day), at)
        return F.get(constants(self.part), at) + F.pmod(F.xxhash64("track_id"), parts).cast("int")

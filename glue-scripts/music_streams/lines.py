"""Reads staged streams by lines. One pattern recognises a plain good row as a whole; only other lines are parsed.

A line is a record unless it ends within quotes. A file with such a line, or with another oddity that only a CSV reader
can judge, is read again as a whole. So common rows cost little, and every row gets the verdict of the long way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from music_streams import packs
from music_streams.listens import COLUMNS, PLAIN_COLUMNS, checked, in_range, is_forgotten
from music_streams.report import Reading, count_rows, time_span
from music_streams.rows import (
    LONGEST_FIELD,
    MOST_COLUMNS,
    NUMBER,
    ReadMode,
    Shapes,
    Staged,
    of_files,
    parsed,
    read_rows,
    split_records,
)
from music_streams.session import materialised
from music_streams.staging import Staging, read_or_quarantine

# Hadoop leaves out longer lines without an error. The bytes that are missing then tell which file has one.
LONGEST_LINE = LONGEST_FIELD
# So many headers, those of the most bytes, have a pattern of their own. Rows below other headers are all parsed.
MOST_PATTERNS = 4
# Java's patterns need stack for each column.
LONGEST_PATTERN = 100
# Lines of so little text stay in memory between the passes, so that each of many small files is opened once.
KEPT_BYTES = 16 * 1024**2
# Kinds of lines: a good row; the file's header, which stands there once; no text; and whatever must be parsed.
PLAIN, HEADER, EMPTY, OTHER = range(4)
OTHER_COLUMN = r'[^",\x00\r\n]*+'


@dataclass(frozen=True)
class Streams:
    """The rows of a batch's readable files, and their counts.

    `listens`: file, the three columns, listen_date. `quarantined`: file, reason, raw. None when there are none.
    """

    listens: DataFrame | None
    quarantined: DataFrame | None
    reading: Reading


@dataclass(frozen=True)
class Part:
    """Rows that one way of reading found, and their counts."""

    rows: DataFrame
    reading: Reading


def read_streams(
    spark: SparkSession, staging: Staging, claimed_at: datetime, multi_line: bool, forgotten: Collection[str] = ()
) -> Streams:
    """Reads and judges the rows of a batch's tables. Quarantines files that turn out to be no table.

    `claimed_at` limits the times of listens. `multi_line`: a quoted field may hold line ends. `forgotten`: listeners
    whose rows are left out.
    """
    if not staging.tables:
        return Streams(None, None, Reading())
    return Reader(spark, staging, claimed_at, multi_line, forgotten).read()


class Reader:
    """Reads the tables of a batch. All passes use one list of their files."""

    def __init__(
        self,
        spark: SparkSession,
        staging: Staging,
        claimed_at: datetime,
        multi_line: bool,
        forgotten: Collection[str],
    ) -> None:
        """`staging` has tables."""
        self.spark, self.staging, self.claimed_at, self.forgotten = spark, staging, claimed_at, forgotten
        self.root = f"s3://{staging.bucket}/"
        self.mode = ReadMode(multi_line)
        self.tables = list(staging.tables)
        self.shapes = Shapes(self.tables)
        self.lines = self._lines()

    def read(self) -> Streams:
        """Reads all rows: plain ones, then other lines, then files that can't be read by lines."""
        plain, others, odd = self._scan()
        parts = []
        if others:
            parts.append(self._parse(others))
            odd |= set(parts[0].reading.problems)
        line_by_line = [Part(self.lines.where("plain"), plain), *parts]
        parts = [Part(part.rows.where(_not_in(odd)), part.reading.without(odd)) for part in line_by_line]
        if odd:
            whole = [staged for staged in self.tables if staged.number in odd]
            parts += read_or_quarantine(self.staging, self._read_whole, whole)
        reading = Reading()
        for part in parts:
            reading.add(part.reading)
        self.staging.quarantine_all(reading.problems)
        judged = [part.rows.where(_not_in(reading.problems)) for part in parts[1:]]
        listens = [parts[0].rows, *(rows.where("reason IS NULL") for rows in judged)]
        columns = [*map(F.col, ("file", *COLUMNS)), F.to_date("listen_time").alias("listen_date")]
        quarantined = [rows.where("reason IS NOT NULL").select("file", "reason", "raw") for rows in judged]
        return Streams(
            reduce(DataFrame.unionAll, [rows.select(*columns) for rows in listens]) if reading.by_day else None,
            reduce(DataFrame.unionAll, quarantined) if reading.quarantined_total else None,
            reading,
        )

    def _lines(self) -> DataFrame:
        """Returns all lines: file, value, the columns of a plain good row, and whether it is one (`plain`)."""
        folders = sorted({(staged.folder, staged.table.line_end, staged.packed) for staged in self.tables})
        reader = self.spark.read.option("mapreduce.input.linerecordreader.line.maxlength", LONGEST_LINE)
        lines = reduce(
            DataFrame.unionAll,
            [
                reader.option("lineSep", end)
                .text(f"{self.root}{folder}/")
                .selectExpr(*((packs.FILE, packs.VALUE) if packed else (f"{NUMBER} AS file", "value")))
                for folder, end, packed in folders
            ],
        )
        fields = lines.select("*", F.when(self._fits(), F.split("value", ",", -1)).alias("fields"))
        user, track, time = (self._field(column) for column in COLUMNS)
        found = fields.select(
            "file",
            "value",
            user.alias("user_id"),
            track.alias("track_id"),
            # The cast ignores a "\r" behind the time.
            _once(time.try_cast("timestamp")).alias("listen_time"),
        )
        good = in_range("listen_time", self.claimed_at)
        if self.forgotten:
            # The long way gives such a row its reason.
            good = good & ~is_forgotten(self.forgotten)
        judged = found.select("*", F.coalesce(good, F.lit(False)).alias("plain"))
        return judged.persist() if sum(staged.table.text_bytes for staged in self.tables) <= KEPT_BYTES else judged

    def _field(self, column: str) -> Column:
        places = self.shapes.places(column)
        field = F.get("fields", self.shapes.pick(places))
        last = any(place == len(columns) - 1 for place, columns in zip(places, self.shapes.columns))
        # The last field of a line has the "\r" of "\r\n".
        return F.rtrim(field, F.lit("\r")) if last and column != "listen_time" else field

    def _fits(self) -> Column:
        """Whether a line's text shows that it is a good row, but for its date."""
        tests = [
            (self.shapes.number == place) & F.rlike("value", F.lit(_plain_row(columns)))
            for place, columns in enumerate(self.shapes.columns[:MOST_PATTERNS])
            if len(columns) <= LONGEST_PATTERN
        ]
        return reduce(Column.__or__, tests, F.lit(False))

    def _scan(self) -> tuple[Reading, set[int], set[int]]:
        """Counts plain rows. Returns the counts, the files with other rows, and the files to read as a whole."""
        kind = F.when(F.col("plain"), PLAIN).when(self._is_header(), HEADER).when(_bare() == "", EMPTY).otherwise(OTHER)
        day = F.when(F.col("plain"), F.to_date("listen_time"))
        groups = self.lines.groupBy("file", kind.alias("kind"), day.alias("day")).agg(
            F.count("*").alias("rows"), F.sum(F.octet_length("value") + 1).alias("bytes"), *time_span()
        )
        plain, size = Reading(), Counter[int]()
        headers, others = Counter[int](), set[int]()
        for row in groups.collect():
            size[row["file"]] += row["bytes"]
            if row["kind"] == PLAIN:
                plain.add_listens(row)
            elif row["kind"] == HEADER:
                headers[row["file"]] += row["rows"]
            elif row["kind"] == OTHER:
                others.add(row["file"])

        def is_odd(staged: Staged) -> bool:
            # The last line may lack its end.
            missing = staged.table.text_bytes - size[staged.number]
            wide = len(staged.table.columns) > MOST_COLUMNS
            return wide or headers[staged.number] != 1 or missing not in (0, -1)

        odd = {staged.number for staged in self.tables if is_odd(staged)}
        return plain, others - odd, odd

    def _parse(self, numbers: set[int]) -> Part:
        """Parses the other rows of some files. A problem of a file means that it must be read as a whole."""
        other = ~F.col("plain") & ~self._is_header() & of_files(numbers)
        # Spark's CSV reader replaces what is not UTF-8, too.
        records = split_records(
            self.lines.where(other).selectExpr("file", "make_valid_utf8(value) AS text", "false AS inexact")
        )
        if not self.mode.multi_line:
            # Spark's CSV reader leaves out lines of blanks when a line is a record.
            records = records.where(~F.rlike("raw", F.lit(r"\A[\x00-\x20]*\z")))
        rows = parsed(records, self.shapes, COLUMNS, self.mode)
        wide = F.when(F.col("width") > MOST_COLUMNS, "unreadable")
        return self._judged(rows.withColumn("problem", F.coalesce("problem", wide)))

    def _read_whole(self, tables: list[Staged]) -> list[Part]:
        if not tables:
            return []
        part = self._judged(read_rows(self.spark, self.root, tables, COLUMNS, self.mode))
        if part.reading.inexact:
            part.rows.unpersist()
            part = self._judged(read_rows(self.spark, self.root, tables, COLUMNS, replace(self.mode, exact=True)))
        return [part]

    def _judged(self, rows: DataFrame) -> Part:
        rows = checked(rows, self.claimed_at, self.forgotten).persist()
        return Part(rows, materialised(rows, count_rows))

    def _is_header(self) -> Column:
        return _bare() == self.shapes.pick(self.shapes.headers)


def _plain_row(columns: Sequence[str]) -> str:
    return rf"\A{','.join(PLAIN_COLUMNS.get(column, OTHER_COLUMN) for column in columns)}\r?\z"


def _once(value: Column) -> Column:
    """The value, computed once for each row. Otherwise Spark computes it again in each filter that uses it."""
    # Spark moves no filter below a column that need not have the same value twice.
    return F.when(F.spark_partition_id() >= 0, value)


def _bare() -> Column:
    """The line without the "\\r" of "\\r\\n"."""
    return F.regexp_replace("value", r"\r\z", "")


def _not_in(numbers: Collection[int]) -> Column:
    return ~of_files(numbers) if numbers else F.lit(True)

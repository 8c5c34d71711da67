"""Parses records of staged CSV files: patterns find the fields, whatever found the records.

Fields are split by RFC 4180; a field with misplaced quotes keeps them. The patterns are possessive: they never
backtrack, so any input takes linear time.

Spark's CSV reader finds the records of files in which one may span lines. It keeps the text of a record only when the
record does not fit the schema. So the schema has one column: the reader gives the exact text of two or more fields.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from music_streams.inputs import Table

QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'
FIELD = rf'(?:{QUOTED}[^,\r\n]*+|(?!")[^,\r\n]*+)'
RECORD = rf"{FIELD}(?:,{FIELD})*+"
# A file beyond these limits is unreadable, so that no file uses up the job's memory: a quote that is not closed makes
# one field of the rest, a missing line end one row. The reader allocates room for both limits for each file.
MOST_COLUMNS = 100_000
# In UTF-16 units, without quotes.
LONGEST_FIELD = 1024**2
NO_VALUE = "\u0001\u0001"
# A copy's name begins with its file's number.
NUMBER_DIGITS = 6
NUMBER = f"INT(substring(_metadata.file_name, 1, {NUMBER_DIGITS}))"


@dataclass(frozen=True)
class Staged:
    """A table and where its copy is. `number` is its place in the batch. `packed`: its lines are among others'."""

    table: Table
    number: int
    folder: str
    name: str
    packed: bool = False


@dataclass(frozen=True)
class ReadMode:
    """How records are read.

    `multi_line`: a field may hold line ends. `exact`: a record of one field keeps its quotes, which takes ten times as
    long; without it, rows that may have lost their quotes have `inexact` set. `mend`: a record of several lines that
    does not fit its header, or does not end, is read again line by line. `longest_field`: -1 is no limit.
    """

    multi_line: bool = True
    exact: bool = False
    mend: bool = False
    longest_field: int = LONGEST_FIELD


class Shapes:
    """The different headers of some files, as what a row's file number stands for."""

    def __init__(self, files: Sequence[Staged]) -> None:
        """`files` are not empty."""
        bytes_of: dict[tuple[str, tuple[str, ...]], int] = {}
        for staged in files:
            shape = (staged.table.header, staged.table.columns)
            bytes_of[shape] = bytes_of.get(shape, 0) + staged.table.text_bytes
        # The shape with the most bytes first.
        found = sorted(bytes_of, key=lambda shape: (-bytes_of[shape], shape))
        self.headers = [header for header, _ in found]
        self.columns = [columns for _, columns in found]
        self.number = F.lit(0)
        if len(found) > 1:
            # An array literal, so that the plan doesn't grow with the files.
            place = {shape: number for number, shape in enumerate(found)}
            by_file = [0] * (1 + max(staged.number for staged in files))
            for staged in files:
                by_file[staged.number] = place[staged.table.header, staged.table.columns]
            self.number = F.get(constants(by_file), F.col("file"))

    def pick(self, values: Sequence[int] | Sequence[str]) -> Column:
        """Returns the value of the row's shape, from one for each shape."""
        return F.lit(values[0]) if len(set(values)) == 1 else F.get(F.lit(list(values)), self.number)

    def places(self, column: str) -> list[int]:
        """Returns the column's place in each shape, -1 where the shape lacks it."""
        return [columns.index(column) if column in columns else -1 for columns in self.columns]


def read_rows(
    spark: SparkSession, root: str, files: Sequence[Staged], columns: Sequence[str], mode: ReadMode
) -> DataFrame:
    """Reads whole files by Spark's CSV reader. Returns what `parsed` returns."""
    folders = sorted({(staged.folder, staged.table.line_end) for staged in files})
    records = reduce(DataFrame.unionAll, [_records(spark, f"{root}{folder}/", end, mode) for folder, end in folders])
    records = split_records(records.where(of_files([staged.number for staged in files])))
    shapes = Shapes(files)
    if mode.mend:
        records = _lines_of_broken(parsed(records, shapes, (), mode))
    return parsed(records, shapes, columns, mode)


def parsed(records: DataFrame, shapes: Shapes, columns: Sequence[str], mode: ReadMode) -> DataFrame:
    """Returns one row per record: file, row, raw, inexact, width, width_ok, problem, broken, `columns`.

    Needs file, row, raw, inexact, unclosed. `columns` are text; one is null when the file lacks it. `width`: number of
    fields. `problem` makes the whole file unusable: `unreadable` (it ends within quotes) or `not_text` (a NUL byte).
    `broken` records most likely swallowed others.
    """
    fields = F.when(
        F.contains("raw", F.lit('"')), F.regexp_extract_all(F.concat(F.lit(","), "raw"), F.lit(f",({FIELD})"), 1)
    )
    split = records.select("*", fields.otherwise(F.split("raw", ",", -1)).alias("fields"))
    width_ok = (F.size("fields") == shapes.pick([len(shape) for shape in shapes.columns])) & ~F.col("unclosed")
    problem = F.when(F.contains("raw", F.lit("\0")), "not_text")
    if mode.multi_line and not mode.mend:
        problem = problem.when(F.col("unclosed"), "unreadable")
    found = [F.get("fields", shapes.pick(shapes.places(column))).alias(column) for column in columns]
    flags = [width_ok.alias("width_ok"), problem.alias("problem"), _is_broken(width_ok).alias("broken")]
    rows = split.select("file", "row", "raw", "inexact", F.size("fields").alias("width"), *flags, *found)
    return rows.withColumns({column: _unquoted(column) for column in columns})


def split_records(records: DataFrame) -> DataFrame:
    """Splits records at the line ends that their reader left, but for those within quotes. Leaves out empty ones.

    Spark knows one line end per file: there may be a "\\r" between "\\n", and a "\\n" between "\\r". Needs file and
    text, inexact. Returns file, row (rises within a file), raw, inexact, unclosed.
    """
    text = F.regexp_replace("text", r"\r\z", "")
    records = records.select("file", "inexact", text.alias("text"), _ends_within_quotes(text).alias("unclosed"))
    split = F.rlike("text", F.lit(r"[\r\n]")) & ~F.col("unclosed")
    parts = F.when(
        split, F.regexp_extract_all(F.concat(F.lit("\n"), "text"), F.lit(rf"[\r\n]({RECORD})"), 1)
    ).otherwise(F.array("text"))
    lines = records.select("file", "inexact", "unclosed", F.explode(parts).alias("raw")).where("raw != ''")
    return lines.select("file", F.monotonically_increasing_id().alias("row"), "raw", "inexact", "unclosed")


def _lines_of_broken(rows: DataFrame) -> DataFrame:
    """Splits each broken record into its lines, as records of their own."""
    lines = F.when(F.col("broken"), F.split("raw", "[\r\n]+", -1)).otherwise(F.array("raw"))
    exploded = rows.select("file", "inexact", F.explode(lines).alias("raw")).where("raw != ''")
    row, unclosed = F.monotonically_increasing_id(), _ends_within_quotes(F.col("raw"))
    return exploded.select("file", row.alias("row"), "raw", "inexact", unclosed.alias("unclosed"))


def _is_broken(width_ok: Column) -> Column:
    """Whether a quote is most likely not closed.

    Then the record does not end. Or it has several lines, and does not fit its header, or has text behind quotes.
    """
    misplaced = F.exists(
        "fields", lambda field: F.startswith(field, F.lit('"')) & ~F.rlike(field, F.lit(rf"\A{QUOTED}\z"))
    )
    return F.col("unclosed") | (F.rlike("raw", F.lit(r"[\r\n]")) & (~width_ok | misplaced))


def _records(spark: SparkSession, folder: str, line_end: str, mode: ReadMode) -> DataFrame:
    options: dict[str, str | int | bool] = {
        "header": True,
        "multiLine": mode.multi_line,
        "quote": '"',
        "escape": '"',
        "encoding": "UTF-8",
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "record",
        "maxColumns": MOST_COLUMNS,
        "maxCharsPerColumn": mode.longest_field,
        "lineSep": line_end,
        "nullValue": NO_VALUE,
        "emptyValue": "",
        # No text matches this date format, so a record of a single field does not fit either.
        "dateFormat": f"'{NO_VALUE}'",
        "enableDateTimeParsingFallback": False,
    }
    schema = f"field {'DATE' if mode.exact else 'STRING'}, record STRING"
    read = spark.read.options(**options).schema(schema).csv(folder)
    # Spark refuses to read only its own column.
    field, inexact = F.col("field").cast("string"), F.lit(False)
    if not mode.exact:
        quoted = F.concat(F.lit('"'), F.replace("field", F.lit('"'), F.lit('""')), F.lit('"'))
        field = F.when(F.rlike("field", F.lit('\\A\\z|[",\\n]')), quoted).otherwise(F.col("field"))
        inexact = F.col("record").isNull() & F.rlike("field", F.lit("[^\\r\\n]"))
    text = F.coalesce("record", field, F.lit(""))
    return read.select(F.expr(NUMBER).alias("file"), text.alias("text"), inexact.alias("inexact"))


def _ends_within_quotes(text: Column) -> Column:
    closed = F.regexp_replace(text, rf"(\A|[,\r\n]){QUOTED}[^,\r\n]*+", "$1")
    return F.contains(text, F.lit('"')) & F.rlike(closed, F.lit(r'(?:\A|[,\r\n])"'))


def of_files(numbers: Collection[int]) -> Column:
    """Whether a row is of one of these files, at least one. Spark opens no other file then."""
    return F.expr(f"file IN ({', '.join(map(str, sorted(numbers)))})")


def constants(numbers: Sequence[int]) -> Column:
    """Returns an array of numbers, by one call of Spark for any length."""
    return F.split(F.lit(",".join(map(str, numbers))), ",").cast("array<int>")


def _unquoted(column: str) -> Column:
    inner = F.replace(F.substring(column, F.lit(2), F.length(column) - 2), F.lit('""'), F.lit('"'))
    return F.when(F.rlike(column, F.lit(rf"\A{QUOTED}\z")), inner).otherwise(F.col(column))

"""Reads rows of staged CSV files: Spark finds where records begin and end, patterns find the fields of each.

Spark's reader keeps the text of a record only when its number of fields differs from the schema's. So the schema has
one column, and Spark gives the exact text of every record with two or more fields as "corrupt". Quarantine needs that
text, and files of any shape share one read. Fields are split by RFC 4180; a field with misplaced quotes keeps them.
The patterns are possessive: they never backtrack, so any input takes linear time.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Staged:
    """A table and where its copy is. `number` is its place in the batch."""

    table: Table
    number: int
    folder: str
    name: str


@dataclass(frozen=True)
class ReadMode:
    """How rows are read.

    `multi_line`: a field may hold line ends. `exact`: a record of one field keeps its quotes, which takes three times
    as long; without it, rows that may have lost their quotes have `inexact` set. `mend`: a record of several lines that
    does not fit its header, or does not end, is read again line by line. `longest_field`: -1 is no limit.
    """

    multi_line: bool = True
    exact: bool = False
    mend: bool = False
    longest_field: int = LONGEST_FIELD


def read_rows(
    spark: SparkSession, root: str, files: Sequence[Staged], columns: Sequence[str], mode: ReadMode
) -> DataFrame:
    """Returns one row per record: file (its number), row (rises within a file), raw, problem, width_ok, `columns`.

    `columns` are text; one is null when the file lacks it. `problem` makes the whole file unusable: `unreadable` (it
    ends within quotes) or `not_text` (a NUL byte). `broken` records most likely swallowed others (see `_is_broken`).
    """
    if not files:
        texts = ", ".join(f"{column} STRING" for column in columns)
        return spark.createDataFrame(
            [],
            "file INT, row LONG, raw STRING, problem STRING, inexact BOOLEAN, width_ok BOOLEAN, broken BOOLEAN, "
            + texts,
        )
    folders = sorted({(staged.folder, staged.table.line_end) for staged in files})
    records = reduce(DataFrame.unionAll, [_records(spark, f"{root}{folder}/", end, mode) for folder, end in folders])
    shapes = sorted({staged.table.columns for staged in files})
    width_ok = (F.size("fields") == _of_shape([len(shape) for shape in shapes])) & ~F.col("unclosed")
    split = _split(records, files, shapes)
    if mode.mend:
        split = _split(_lines_of_broken(split, width_ok), files, shapes)
    problem = F.when(F.contains("raw", F.lit("\0")), "not_text")
    if mode.multi_line and not mode.mend:
        problem = problem.when(F.col("unclosed"), "unreadable")
    places = {column: [shape.index(column) if column in shape else -1 for shape in shapes] for column in columns}
    found = [F.get("fields", _of_shape(places[column])).alias(column) for column in columns]
    flags = [problem.alias("problem"), width_ok.alias("width_ok"), _is_broken(width_ok).alias("broken")]
    rows = split.select("file", "row", "raw", "inexact", *flags, *found)
    return rows.withColumns({column: _unquoted(column) for column in columns})


def _split(records: DataFrame, files: Sequence[Staged], shapes: Sequence[tuple[str, ...]]) -> DataFrame:
    fields = F.when(
        F.contains("raw", F.lit('"')), F.regexp_extract_all(F.concat(F.lit(","), "raw"), F.lit(f",({FIELD})"), 1)
    )
    split = fields.otherwise(F.split("raw", ",", -1))
    return records.select("*", split.alias("fields"), _shape(files, shapes).alias("shape"))


def _lines_of_broken(records: DataFrame, width_ok: Column) -> DataFrame:
    """Splits each broken record into its lines, as records of their own."""
    lines = F.when(_is_broken(width_ok), F.split("raw", "[\r\n]+", -1)).otherwise(F.array("raw"))
    exploded = records.select("file", "inexact", F.explode(lines).alias("raw")).where("raw != ''")
    row = F.monotonically_increasing_id()
    return exploded.select("file", row.alias("row"), "raw", _ends_within_quotes("raw").alias("unclosed"), "inexact")


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
        # No text matches this date format, so a record of a single field is corrupt too.
        "dateFormat": f"'{NO_VALUE}'",
        "enableDateTimeParsingFallback": False,
    }
    schema = f"field {'DATE' if mode.exact else 'STRING'}, record STRING"
    read = spark.read.options(**options).schema(schema).csv(folder)
    # Spark refuses to read only its own column.
    text = F.coalesce("record", F.col("field").cast("string"))
    inexact = F.lit(False)
    if not mode.exact:
        quoted = F.concat(F.lit('"'), F.replace("field", F.lit('"'), F.lit('""')), F.lit('"'))
        text = F.coalesce("record", F.when(F.rlike("field", F.lit('\\A\\z|[",\\n]')), quoted).otherwise(F.col("field")))
        inexact = F.col("record").isNull() & F.rlike("field", F.lit("[^\\r\\n]"))
    text = F.coalesce(text, F.lit(""))
    bare = F.when(text.endswith("\r"), F.substring(text, F.lit(1), F.length(text) - 1)).otherwise(text)
    number = F.substring("_metadata.file_name", 1, NUMBER_DIGITS).cast("int")
    records = read.select(number.alias("file"), bare.alias("text"), inexact.alias("inexact"))
    records = records.select("file", "text", "inexact", _ends_within_quotes("text").alias("unclosed"))
    # Spark knows one line end per file. The other one is split here: a "\r" between "\n", a "\n" between "\r".
    split = F.rlike("text", F.lit(r"[\r\n]")) & ~F.col("unclosed")
    parts = F.when(
        split, F.regexp_extract_all(F.concat(F.lit("\n"), "text"), F.lit(rf"[\r\n]({RECORD})"), 1)
    ).otherwise(F.array("text"))
    lines = records.select("file", "inexact", "unclosed", F.explode(parts).alias("raw")).where("raw != ''")
    return lines.select("file", F.monotonically_increasing_id().alias("row"), "raw", "unclosed", "inexact")


def _ends_within_quotes(text: str) -> Column:
    closed = F.regexp_replace(text, rf"(\A|[,\r\n]){QUOTED}[^,\r\n]*+", "$1")
    return F.contains(text, F.lit('"')) & F.rlike(closed, F.lit(r'(?:\A|[,\r\n])"'))


def _shape(files: Sequence[Staged], shapes: Sequence[tuple[str, ...]]) -> Column:
    """Number of the row's header. An array literal, so that the plan doesn't grow with the files."""
    if len(shapes) == 1:
        return F.lit(0)
    by_number = [0] * (1 + max(staged.number for staged in files))
    for staged in files:
        by_number[staged.number] = shapes.index(staged.table.columns)
    return F.get(F.lit(by_number), F.col("file"))


def _of_shape(values: list[int]) -> Column:
    return F.lit(values[0]) if len(set(values)) == 1 else F.get(F.lit(values), F.col("shape"))


def _unquoted(column: str) -> Column:
    inner = F.replace(F.substring(column, F.lit(2), F.length(column) - 2), F.lit('""'), F.lit('"'))
    return F.when(F.rlike(column, F.lit(rf"\A{QUOTED}\z")), inner).otherwise(F.col(column))

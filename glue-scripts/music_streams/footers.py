"""Row counts of Parquet files, from their footers."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession


def footer_reader(spark: SparkSession) -> Callable[[str, int], int]:
    """Makes a function that returns the number of rows of a Parquet file, given its URL and its size in bytes.

    It makes two requests. A query of Spark looks for each file and lists it first: it makes five.
    """
    java = spark.sparkContext._jvm
    assert java is not None
    # Each name asks Java, so they are looked up once.
    Path, Status = java.org.apache.hadoop.fs.Path, java.org.apache.hadoop.fs.FileStatus
    parquet = java.org.apache.parquet.hadoop
    Input, Reader = parquet.util.HadoopInputFile, parquet.ParquetFileReader
    settings = spark._jsparkSession.sessionState().newHadoopConf()
    # Without options, the reader reads Hadoop's settings from their files, for each Parquet file again.
    options = java.org.apache.parquet.HadoopReadOptions.builder(settings).build()

    def rows_of(url: str, size: int) -> int:
        reader = Reader.open(Input.fromStatus(Status(size, False, 1, 0, 0, Path(url)), settings), options)
        try:
            return int(reader.getRecordCount())
        finally:
            reader.close()

    return rows_of

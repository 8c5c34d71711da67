"""Baseline: Spark as many tutorials write it. naive_spark.py BUCKET STREAMS OUT.

Three reads that infer the schema, two joins, ranks, CSV out. It has no rules, no dedupe and no Parquet.
"""

from __future__ import annotations

import sys

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from marks import mark
from music_streams import layout


def main(bucket: str, streams: str, out: str) -> None:
    """Ranks the tracks and genres of each day."""
    spark = SparkSession.builder.config("spark.sql.ansi.enabled", "false").getOrCreate()
    mark("opened")

    def read(path: str) -> DataFrame:
        return spark.read.csv(f"s3://{bucket}/{path}", header=True, inferSchema=True, escape='"')

    songs, users = (read(layout.key("reference") + layout.key(name)) for name in ("songs", "users"))
    rows = read(streams).join(songs, "track_id").join(users, "user_id").withColumn("day", F.to_date("listen_time"))
    measures = (
        F.count("*").alias("listens"),
        F.countDistinct("user_id").alias("listeners"),
        F.sum("duration_ms").alias("listening_ms"),
    )
    tracks = rows.groupBy("day", "track_genre", "track_id", "track_name").agg(*measures)
    top(tracks, 3, "day", "track_genre").write.csv(f"s3://{bucket}/{out}/top_tracks", header=True)
    genres = rows.groupBy("day", "track_genre").agg(*measures)
    top(genres, 5, "day").write.csv(f"s3://{bucket}/{out}/top_genres", header=True)
    mark("done")


def top(rows: DataFrame, count: int, *group: str) -> DataFrame:
    """Returns the rows with most listens of each group."""
    rank = F.row_number().over(Window.partitionBy(*group).orderBy(F.desc("listens")))
    return rows.withColumn("rank", rank).where(F.col("rank") <= count)


if __name__ == "__main__":
    main(*sys.argv[1:])

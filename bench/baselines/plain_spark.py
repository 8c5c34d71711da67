"""Baseline: PySpark as a good engineer writes it. plain_spark.py BUCKET STREAMS OUT.

Schemas, rules as a filter, each listen once, dimensions by broadcast, Parquet by day.
It has no quarantine, no reconciliation, and no atomic replacement.
"""

from __future__ import annotations

import sys

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from marks import mark
from music_streams import layout

LISTEN_KEY = ["user_id", "track_id", "listen_time"]
STREAMS = "user_id STRING, track_id STRING, listen_time STRING"
USERS = "user_id STRING, user_name STRING, user_age BIGINT, user_country STRING, created_at STRING"
UNUSED = (
    "explicit danceability energy key loudness mode speechiness acousticness instrumentalness liveness valence tempo "
    "time_signature"
)
SONGS = (
    "id STRING, track_id STRING, artists STRING, album_name STRING, track_name STRING, popularity BIGINT, "
    f"duration_ms BIGINT, {', '.join(f'{name} STRING' for name in UNUSED.split())}, track_genre STRING"
)
FIRST, END = "2000-01-01", "2025-01-01"


def main(bucket: str, streams: str, out: str) -> None:
    """Writes the listens of the batch, each once, with what is known of tracks and users."""
    spark = SparkSession.builder.config("spark.sql.ansi.enabled", "true").getOrCreate()
    mark("opened")

    def read(schema: str, path: str, multi_line: bool) -> DataFrame:
        reader = spark.read.schema(schema)
        return reader.csv(f"s3://{bucket}/{path}", header=True, escape='"', multiLine=multi_line)

    listens = read(STREAMS, streams, multi_line=False).withColumn(
        "listen_time", F.expr("try_to_timestamp(listen_time, 'yyyy-MM-dd HH:mm:ss')")
    )
    listens = listens.where(
        f"user_id IS NOT NULL AND track_id IS NOT NULL AND listen_time >= timestamp'{FIRST}' "
        f"AND listen_time < timestamp'{END}'"
    )
    once = listens.withColumn("listen_date", F.to_date("listen_time")).dropDuplicates(LISTEN_KEY)
    songs = read(SONGS, layout.key("reference") + layout.key("songs"), multi_line=True)
    names = ("artists", "album_name", "track_name", "popularity", "duration_ms")
    genres = F.array_sort(F.collect_set("track_genre")).alias("genres")
    tracks = songs.groupBy("track_id").agg(*(F.min(name).alias(name) for name in names), genres)
    users = read(USERS, layout.key("reference") + layout.key("users"), multi_line=False).select(
        "user_id", "user_age", "user_country"
    )
    rows = once.join(F.broadcast(tracks), "track_id", "left").join(F.broadcast(users), "user_id", "left")
    (
        rows.repartition("listen_date")
        .sortWithinPartitions("track_id")
        .write.partitionBy("listen_date")
        .option("compression", "zstd")
        .parquet(f"s3://{bucket}/{out}")
    )
    mark("done")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Readies Spark for one job run that comes later. spark-submit starts it, in the run's folder.

It uses Spark once, so that Java has loaded and compiled what jobs need. Then a fresh Python takes the place of this
one and runs the script. All that is left of the time before is Java.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

LOOK_EVERY_SECONDS = 0.02


def main(folder: Path) -> None:
    """Warms Spark up, waits for `order.json` in the folder, and becomes the script that the order names."""
    # As it is now: a Spark session adds variables.
    environment = dict(os.environ)
    order = folder / "order.json"
    SparkContext._ensure_initialized()
    java = SparkContext._jvm.java.lang
    for _ in warm_up(folder / "warm-up"):
        # Whatever is left to warm up, the run does by itself.
        if order.exists():
            break
    stop_spark()
    if "--warm-up-only" in sys.argv:
        # Java writes its class archive at its end.
        return
    java.System.gc()
    print("READY", flush=True)
    while not order.exists():
        time.sleep(LOOK_EVERY_SECONDS)
    run = json.loads(order.read_text())
    order.unlink()
    for name, value in run["properties"].items():
        java.System.setProperty(name, value)
    # Here it has the folders of Spark alone.
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], *run["pythonPath"]])
    print("STARTED", flush=True)
    os.execve(sys.executable, [sys.executable, *run["command"]], {**environment, **run["environment"]})  # noqa: S606


def warm_up(folder: Path) -> Iterator[None]:
    """Uses Spark as jobs do, in steps. Its files are below the folder."""
    spark = SparkSession.builder.getOrCreate()
    yield
    # The emulator refuses it. By then, the S3 client is ready.
    with suppress(Py4JJavaError):
        spark.read.text("s3://standby/standby").count()
    yield
    names = spark.createDataFrame([(n, f"name {n}") for n in range(10)], "n INT, name STRING")
    yield
    lines = spark.range(500).selectExpr("concat_ws(',', id % 10, id, '2024-06-25 10:00:00') AS value")
    lines.write.text(f"{folder}/in")
    # Spark interprets plans, or compiles them to Java.
    for compiled in (False, True, False, True):
        spark.conf.set("spark.sql.codegen.wholeStage", compiled)
        spark.conf.set("spark.sql.codegen.factoryMode", "FALLBACK" if compiled else "NO_CODEGEN")
        yield
        fields = spark.read.text(f"{folder}/in").select(F.split("value", ",").alias("f"))
        rows = fields.selectExpr("int(f[0]) AS n", "f[1] AS text", "try_cast(f[2] AS timestamp) AS at")
        rows = rows.where(F.rlike("text", F.lit(r"\A\d+\z"))).withColumn("day", F.to_date("at"))
        kept = rows.dropDuplicates(["n", "text"]).sortWithinPartitions("day", "text").persist()
        joined = kept.join(F.broadcast(names), on="n", how="left")
        joined.write.mode("overwrite").partitionBy("day").option("compression", "zstd").parquet(f"{folder}/out")
        yield
        spark.read.parquet(f"{folder}/out").groupBy("day", "name").agg(F.count("*"), F.max("at")).collect()
        yield
        joined.write.mode("overwrite").json(f"{folder}/json")
        spark.catalog.clearCache()


def stop_spark() -> None:
    """Ends the session, and closes file systems: a run that got them from Hadoop's cache would have their settings."""
    jvm = SparkContext._jvm
    SparkSession.builder.getOrCreate().stop()
    jvm.org.apache.hadoop.fs.FileSystem.closeAll()


if __name__ == "__main__":
    main(Path(__file__).parent)

"""Spark as the local cloud runs it: jars, settings and environment of a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `npm run test:all` sets it: every repeat and every order runs.
FULL = os.environ.get("FULL") == "1"
# The jobs are short: the better compiler takes longer than it saves.
JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
# Planning and compiling take most of a small batch's time. These settings halve it and change no result. Transform sets
# them itself for each batch. At full count the corpus of bad files has Spark's own, as all runs on the local cloud.
QUICK = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
# For a session that many tests share; they change no result. Java gets room for code, classes and rows from the start:
# otherwise it collects and compiles again and again.
JAVA_ROOM = "-XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=256m -Xms1g -Xmn512m -XX:-UsePerfData"
SHARED = {
    # A list of the driver goes through a Python worker for each part.
    "spark.default.parallelism": "1",
    "spark.sql.leafNodeDefaultParallelism": "2",
    # Fewer looks at S3 before each write.
    "spark.hadoop.fs.s3a.performance.flags": "*",
    "spark.hadoop.fs.s3a.audit.enabled": "false",
    "spark.hadoop.fs.s3a.cross.region.access.enabled": "false",
    # Nobody looks at the history of queries.
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.ui.retainedExecutions": "5",
    "spark.ui.retainedJobs": "10",
    "spark.ui.retainedStages": "10",
}
# S3A's committer, as local/glue/run/spark.ts sets it.
COMMITTER = {
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
    "spark.hadoop.fs.s3a.committer.name": "magic",
    "spark.hadoop.fs.s3a.committer.magic.track.commits.in.memory.enabled": "true",
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}


def spark_jars() -> list[str]:
    """Lists the jars with which Spark reads S3."""
    folder = Path(os.environ.get("MUSIC_STREAMS_JARS") or ROOT / ".local" / "jars")
    jars = sorted(str(jar) for jar in folder.glob("*.jar"))
    assert jars, f"no jars in {folder}: npm start or npm test installs them; MUSIC_STREAMS_JARS names another folder"
    return jars


def spark_settings(endpoint: str, folder: Path) -> dict[str, str]:
    """Returns the local cloud's settings: s3:// is the emulator, everything else is in `folder`."""
    s3a = "org.apache.hadoop.fs.s3a.S3AFileSystem"
    return {
        "spark.driver.extraJavaOptions": JAVA,
        "spark.hadoop.fs.s3.impl": s3a,
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.access.key": "test",
        "spark.hadoop.fs.s3a.secret.key": "test",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        **COMMITTER,
        "spark.hadoop.hadoop.tmp.dir": str(folder),
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }


def spark_environment() -> dict[str, str]:
    """Returns the environment that a process needs to run Spark."""
    return {
        "SPARK_DIST_CLASSPATH": ":".join(spark_jars()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }

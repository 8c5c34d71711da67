"""One emulator and one Spark session for all tests of the jobs; both end with the tests."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[2]
GUARD = ROOT / "local" / "python" / "guard.py"
START_SECONDS = 60


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack on a free port of loopback, found by all clients through the environment."""
    folder = tmp_path_factory.mktemp("emulator")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    cloud = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    own = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": port,
        "EDGE_PORT": port,
        "STATE_DIR": str(folder),
        "TMPDIR": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            # Tests that are killed leave no emulator behind.
            [sys.executable, str(GUARD), "5", sys.executable, "-m", "ministack"],
            env={**os.environ, **cloud, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    before = {name: os.environ.get(name) for name in cloud}
    os.environ.update(cloud)
    try:
        _wait_for(f"{url}/_ministack/health", process, folder / "log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"the emulator did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def s3(endpoint: str) -> Any:
    """A client of the emulator's S3, with the job's own settings."""
    from music_streams import store

    return store.client("s3")


@pytest.fixture(scope="session")
def dynamodb(endpoint: str) -> Any:
    """A client of the emulator's DynamoDB."""
    return boto3.client("dynamodb")


def spark_jars() -> list[str]:
    """The jars by which Spark reads S3."""
    folder = Path(os.environ.get("MUSIC_STREAMS_JARS") or ROOT / ".local" / "jars")
    jars = sorted(str(jar) for jar in folder.glob("*.jar"))
    assert jars, f"no jars in {folder}: npm start or npm test installs them, or name their folder by MUSIC_STREAMS_JARS"
    return jars


def spark_settings(endpoint: str, folder: Path) -> dict[str, str]:
    """Spark's settings on this machine, as the local cloud has them: the emulator is s3://, all else is in `folder`."""
    s3a = "org.apache.hadoop.fs.s3a.S3AFileSystem"
    return {
        # Short jobs: what the better compiler costs doesn't come back.
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.hadoop.fs.s3.impl": s3a,
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.access.key": "test",
        "spark.hadoop.fs.s3a.secret.key": "test",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        "spark.hadoop.hadoop.tmp.dir": str(folder),
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }


def spark_environment() -> dict[str, str]:
    """What a process needs to be Spark."""
    return {
        "SPARK_DIST_CLASSPATH": ":".join(spark_jars()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }


@pytest.fixture(scope="session")
def spark(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The transform's own session, with the emulator as s3://."""
    import transform

    settings = spark_settings(endpoint, tmp_path_factory.mktemp("spark"))
    os.environ.update(spark_environment())
    confs = shlex.join(part for name, value in settings.items() for part in ("--conf", f"{name}={value}"))
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--master local[2] --driver-memory 2g {confs} pyspark-shell"
    session = transform.open_spark()
    session.sparkContext.setLogLevel("FATAL")
    yield session
    gateway: Any = session.sparkContext._gateway
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(20)

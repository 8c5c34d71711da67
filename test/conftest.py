"""One emulator, one Spark session and one folder of real data for all tests; the processes end with the tests."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from py4j import java_gateway  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from emulator_process import emulator
from spark_support import JAVA, JAVA_ROOM, QUICK, SHARED, spark_environment, spark_settings

# Names the folder that holds `data/` and `cases/`. They are not part of the repository.
DATA_VARIABLE = "MUSIC_STREAMS_DATA"


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulator that all tests share."""
    with emulator(tmp_path_factory.mktemp("emulator")) as url:
        yield url


@pytest.fixture(scope="session")
def s3(endpoint: str) -> Any:
    """A client of the emulator's S3, with the job's own settings."""
    from music_streams import store

    return store.client("s3")


@pytest.fixture(scope="session")
def dynamodb(endpoint: str) -> Any:
    """A client of the emulator's DynamoDB."""
    return boto3.client("dynamodb")


@pytest.fixture(scope="session")
def spark(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session that transform opens, one for all tests. s3:// is the emulator."""
    from music_streams.session import open_spark

    settings = {**spark_settings(endpoint, tmp_path_factory.mktemp("spark")), **SHARED}
    settings["spark.driver.extraJavaOptions"] = f"{JAVA} {JAVA_ROOM}"
    # Without it, Java searches all jars for each class name, again for each call.
    for named in (java_gateway.JVMView, java_gateway.JavaPackage):
        named.__getattr__ = functools.cache(named.__getattr__)
    os.environ.update(spark_environment())
    confs = shlex.join(part for name, value in settings.items() for part in ("--conf", f"{name}={value}"))
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--master local[2] --driver-memory 2g {confs} pyspark-shell"
    session = open_spark()
    for name, value in QUICK.items():
        session.conf.set(name, value)
    session.sparkContext.setLogLevel("FATAL")
    yield session
    gateway: Any = session.sparkContext._gateway
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(600)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with `streams/` and `reference/` of real data. Skips the test when the environment names none."""
    return _named_folder("data")


@pytest.fixture(scope="session")
def cases_folder() -> Path:
    """The folder with files after public bug reports. Skips the test when the environment names none."""
    return _named_folder("cases")


def _named_folder(name: str) -> Path:
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        pytest.skip(f"needs real data: set {DATA_VARIABLE} to the folder that holds data/ and cases/")
    folder = Path(named) / name
    assert folder.is_dir(), f"{DATA_VARIABLE} is {named}, but {folder} does not exist"
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which real data the tests used."""
    named = os.environ.get(DATA_VARIABLE)
    terminalreporter.write_line(f"real data: {named or f'none, because {DATA_VARIABLE} is not set'}")

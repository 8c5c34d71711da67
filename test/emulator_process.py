"""MiniStack as a process, for tests and benchmarks of the jobs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_support import ROOT

GUARD = ROOT / "local" / "python" / "guard.py"
START_SECONDS = 600


@contextmanager
def emulator(folder: Path, *script: str) -> Iterator[str]:
    """Starts MiniStack on a free port of loopback. Yields its URL. Clients find it through the environment.

    `script` starts it in another way.
    """
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
            # The guard ends the emulator when the tests are killed.
            [sys.executable, str(GUARD), str(os.getpid()), "5", sys.executable, *(script or ("-m", "ministack"))],
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
        # It has nothing to save, and an orderly end takes seconds.
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

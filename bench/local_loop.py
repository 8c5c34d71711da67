"""Times what a person waits for on a laptop: `npm start` until it shows metrics, and `drop --wait` of a small file.

The first `npm start` is one in a fresh clone, with empty caches: it downloads and installs everything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from programs import LONGEST_SECONDS, ROOT, ProgramError, Run

# What `start` prints after the metrics of the sample data.
READY = "The local cloud is ready."
# Settings of the benchmark and of the folder in which it runs.
OURS = ("AWS_", "PYTHONPATH", "MUSIC_STREAMS_", "TS_NODE_")


def command(root: Path, *arguments: str) -> list[str]:
    """The command line of the project, with the Node that started the benchmark."""
    return [os.environ["BENCH_NODE"], str(root / "cli" / "music-streams.mjs"), *arguments]


def environment() -> dict[str, str]:
    """The environment without what belongs to the benchmark: its emulator, its credentials, its modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


@contextmanager
def started(log: Path, root: Path = ROOT, caches: Mapping[str, str] | None = None) -> Iterator[Run]:
    """Starts the local cloud of a folder, with sample data. Yields how long its metrics took, then stops it."""
    begun = time.monotonic()
    with log.open("wb") as notes:
        process = subprocess.Popen(
            command(root, "start", "--port", "0"),
            cwd=root,
            env={**environment(), **(caches or {})},
            stdout=subprocess.PIPE,
            stderr=notes,
            text=True,
        )
        limit = threading.Timer(LONGEST_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            if not any(line.startswith(READY) for line in process.stdout):
                raise ProgramError(f"npm start ended before it was ready:\n{log.read_text()[-3000:]}")
            yield waited(begun)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
            limit.cancel()


def first_started(log: Path) -> Run:
    """Starts the local cloud of a fresh clone, with empty caches of npm and pip."""
    # Not below the project, whose packages Node would find.
    with tempfile.TemporaryDirectory(prefix="music-streams-clone-") as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        caches = {"npm_config_cache": f"{folder}/npm", "PIP_CACHE_DIR": f"{folder}/pip", "XDG_CACHE_HOME": folder}
        with started(log, clone, caches) as run:
            return run


def dropped(file: Path) -> Run:
    """Drops a file into the running cloud, and waits until it is archived."""
    begun = time.monotonic()
    arguments = command(ROOT, "drop", "--wait", str(file))
    done = subprocess.run(arguments, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramError(f"drop ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return waited(begun)


def waited(begun: float) -> Run:
    """A run whose whole time alone is known."""
    return Run(round(time.monotonic() - begun, 2), 0.0, 0, 0, (), {})

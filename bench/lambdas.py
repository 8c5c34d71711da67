"""Times how long a Lambda's code takes until its handler is there, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from programs import ROOT, ProgramError, Run, run_apart

# Node has started when this runs: Lambda keeps a started Node ready, too.
LOAD = """
const before = performance.now();
const { handler } = require("./__index.js");
if (typeof handler !== "function") throw new Error("no handler");
process.stdout.write(String(performance.now() - before));
"""


@dataclass(frozen=True)
class Function:
    """A Lambda, unpacked."""

    name: str
    bytes: int
    environment: dict[str, str]
    folder: Path


def packed(folder: Path) -> list[Function]:
    """Packs the Lambdas of the program as a deployment does, and unpacks them to the folder."""
    compiler = ROOT / "local" / "toolchain" / "compile.cjs"
    command = [os.environ["BENCH_NODE"], "--require", str(compiler), str(ROOT / "bench" / "lambdas.ts"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramError(f"lambdas.ts ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return [Function(**found, folder=folder / found["name"]) for found in json.loads(done.stdout)]


def initialised(function: Function) -> Run:
    """Loads the code once, with the function's environment."""
    environment = {**function.environment, "AWS_REGION": "us-east-1"}
    with tempfile.TemporaryFile() as out:
        command = [os.environ["BENCH_NODE"], "-e", LOAD]
        code, peak_mb = run_apart(command, environment, function.folder, out)
        out.seek(0)
        printed = out.read().decode()
    if code != 0:
        raise ProgramError(f"{function.name} can't be loaded: node ended with {code}:\n{printed[-3000:]}")
    facts = {"output_mb": round(function.bytes / 1e6, 3)}
    return Run(round(float(printed.split()[-1]) / 1000, 3), 0.0, peak_mb, 0, (), facts)

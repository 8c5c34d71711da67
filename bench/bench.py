"""Runs benchmark cases against an emulator of their own, and writes the figures to bench/results/."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import boto3

from cases import CASES, Bench
from emulator_process import emulator
from music_streams import store
from programs import ROOT, Programs
from results import Figure, Result, commit, machine, now


def main(arguments: list[str]) -> None:
    """Measures the named cases. Each is saved when it ends, so a broken one costs no other."""
    parser = argparse.ArgumentParser(prog="bench.py")
    parser.add_argument("--folder", type=Path, required=True, help="generated data is kept there")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("cases", nargs="+", choices=list(CASES))
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.cases:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            emulated, programs = Path(scratch, "emulator"), Path(scratch, "programs")
            emulated.mkdir()
            programs.mkdir()
            about = machine()
            with emulator(emulated, str(ROOT / "bench" / "counting_emulator.py")) as endpoint:
                clients = store.client("s3"), boto3.resource("dynamodb")
                settings = options.folder, options.rounds, options.quick
                bench = Bench(Programs(endpoint, programs), *clients, *settings, say)
                figures: list[Figure] = list(CASES[name](bench))
        say(f"written: {Result(commit(), now(), options.quick, about, figures).save()}")


def say(line: str) -> None:
    """Prints progress."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

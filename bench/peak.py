"""Runs a program, and writes its exit code and peak memory to a file: peak.py FILE COMMAND...

Linux counts the memory of whoever starts a program as that program's (getrusage(2), ru_maxrss). So whoever starts it
must be small: this process, and not the benchmark, which makes and compares millions of rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

file, *command = sys.argv[1:]
process = subprocess.Popen(command)
_, status, usage = os.wait4(process.pid, 0)
# Kilobytes on Linux, bytes on macOS.
peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
ended = {"code": os.waitstatus_to_exitcode(status), "peak_mb": round(peak)}
Path(file).write_text(json.dumps(ended), encoding="utf-8")

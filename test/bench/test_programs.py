"""How benchmarks run programs."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs import ProgramError, Programs

# It works for a moment, with memory that it needs only before.
PROGRAM = """
import sys, time
from marks import mark
text = "x" * 50_000_000
time.sleep(0.2)
mark("opened")
print("{ a log line }")
time.sleep(float(sys.argv[1]))
mark("done", rows=7)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    """Programs whose endpoint counts only the questions for its count."""
    asked = 0

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 4
            self.send_response(200)
            self.end_headers()
            self.wfile.write(str(asked).encode())

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2] / "bench"))
    yield Programs(f"http://127.0.0.1:{server.server_port}", tmp_path)
    server.shutdown()
    server.server_close()


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "program.py"
    file.write_text(text)
    return str(file)


def test_a_run_has_its_work_apart_from_its_start(programs: Programs, tmp_path: Path) -> None:
    run = programs.python(write(tmp_path, PROGRAM), "0.5")
    assert run.seconds >= 0.5
    assert run.start_seconds >= 0.2
    assert run.peak_mb > 50
    assert run.requests == 4
    assert run.facts == {"rows": 7}
    assert [file.name for file in tmp_path.iterdir()] == ["program.py"]


def test_the_memory_of_whoever_starts_a_program_is_not_the_program_s(programs: Programs, tmp_path: Path) -> None:
    held = bytearray(b"x") * 300_000_000
    run = programs.python(write(tmp_path, PROGRAM), "0")
    assert len(held) / 1e6 > 2 * run.peak_mb


@pytest.mark.parametrize(
    "text", ["raise SystemExit('no luck')", "print('no luck')", PROGRAM.replace('"done"', '"no luck"')]
)
def test_a_program_that_fails_or_marks_nothing_is_an_error(programs: Programs, tmp_path: Path, text: str) -> None:
    with pytest.raises(ProgramError, match="no luck"):
        programs.python(write(tmp_path, text), "0")

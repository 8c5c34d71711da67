"""The generator of listens for benchmarks."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from listens import Listens, make


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    (tmp_path / "songs.csv").write_text(
        "id,track_id,track_genre\n" + "".join(f"{n},t{n},pop\n{n},t{n},rock\n" for n in range(50))
    )
    (tmp_path / "users.csv").write_text("user_id,user_country\n" + "".join(f"{n},Chile\n" for n in range(30)))
    return tmp_path


def rows_of(files: list[Path]) -> list[tuple[str, ...]]:
    rows = []
    for file in files:
        with file.open(newline="") as text:
            head, *of_file = csv.reader(text)
        assert head == ["user_id", "track_id", "listen_time"]
        rows += [tuple(row) for row in of_file]
    return rows


def test_the_same_arguments_give_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    first, again = (make(Listens(1000, files=3), reference, tmp_path / name) for name in ("a", "b"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]
    other = make(Listens(1000, files=3, seed=2), reference, tmp_path / "a")
    assert rows_of(other) != rows_of(first)


def test_any_number_of_files_holds_the_same_rows(reference: Path, tmp_path: Path) -> None:
    one, many = (make(Listens(1001, files=files), reference, tmp_path) for files in (1, 7))
    assert [len(one), len(many)] == [1, 7]
    assert rows_of(one) == rows_of(many)


def test_one_row_in_a_hundred_repeats_and_one_is_of_an_unknown_track(reference: Path, tmp_path: Path) -> None:
    rows = rows_of(make(Listens(20_000), reference, tmp_path))
    assert len(rows) == 20_000
    assert rows[-200:] == rows[:200]
    unknown = sum(track.startswith("unknown") for _, track, _ in rows)
    assert 100 < unknown < 300
    counts = Counter(track for _, track, _ in rows)
    assert counts["t0"] > 5 * min(counts[f"t{n}"] for n in range(50))


def test_days_end_with_the_last_one(reference: Path, tmp_path: Path) -> None:
    days = {time[:10] for *_, time in rows_of(make(Listens(500, days=3), reference, tmp_path))}
    assert days == {"2024-06-23", "2024-06-24", "2024-06-25"}


def test_an_unfinished_folder_is_made_again(reference: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "100-1-1-1.unfinished"
    unfinished.mkdir()
    (unfinished / "old.csv").write_text("old")
    assert [file.name for file in make(Listens(100), reference, tmp_path)] == ["streams-00000.csv"]

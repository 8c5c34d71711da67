"""What benchmarks read of outputs, against counts in plain Python."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from baselines import duckdb_alone
from lake import Lake
from listens import Listens, make
from outputs import curated, expected_top_listens

GENRES = ("folk", "hip-hop", "jazz", "pop", "rock", "samba")


class Files(Lake):
    """A lake whose objects are files of a folder."""

    def download(self, prefix: str, suffix: str, folder: Path) -> list[Path]:
        return sorted(Path(self.bucket, prefix).rglob(f"*{suffix}"))


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    songs = [(f"t{n}", GENRES[(n + more) % 6]) for n in range(40) for more in range(1 + n % 2)]
    rows = "".join(f'{track},"A, B",C,"A ""b"", {track}",50,{1000 + len(track)},{genre}\n' for track, genre in songs)
    names = "track_id,artists,album_name,track_name,popularity,duration_ms,track_genre"
    (tmp_path / "songs.csv").write_text(f"{names}\n{rows}")
    (tmp_path / "users.csv").write_text("user_id,user_age,user_country\n" + "".join(f"{n},,Chile\n" for n in range(9)))
    for name in ("songs", "users"):
        (tmp_path / name).mkdir()
        shutil.copy(tmp_path / f"{name}.csv", tmp_path / name)
    return tmp_path


def rows_of(files: list[Path]) -> list[tuple[str, ...]]:
    return [tuple(row) for file in files for row in list(csv.reader(file.read_text().splitlines()))[1:]]


def genres_of(reference: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for track, *_, genre in list(csv.reader((reference / "songs.csv").read_text().splitlines()))[1:]:
        found.setdefault(track, set()).add(genre)
    return found


def test_duckdb_alone_keeps_each_listen_once_with_its_genres(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_SLOTS", "2")
    files = make(Listens(3000, files=2), reference, tmp_path / "data")
    duckdb_alone.write_curated(files[0].parent, reference, tmp_path / "out")
    (digest,), metrics = curated(Files(None, str(tmp_path)), "out")
    once, genres = set(rows_of(files)), genres_of(reference)
    assert digest[0] == len(once) < 3000
    listens = Counter(genre for _, track, _ in once for genre in genres.get(track, ()))
    assert [(day, genre, count) for day, genre, count, *_ in metrics] == [
        (date(2024, 6, 25), genre, listens[genre]) for genre in GENRES
    ]


def test_the_naive_baseline_is_expected_to_count_repeats(reference: Path, tmp_path: Path) -> None:
    files = make(Listens(3000), reference, tmp_path / "data")
    genres = genres_of(reference)
    listens = Counter(genre for _, track, _ in rows_of(files) for genre in genres.get(track, ()))
    assert expected_top_listens(files, reference) == [count for _, count in listens.most_common(5)]

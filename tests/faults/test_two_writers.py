"""Two runs on one folder and one cache, started at once with nothing there."""

from __future__ import annotations

from pathlib import Path

from toy import PIXEL, Toy, spawn


def test_two_runs_on_one_folder_and_one_cache_end_in_one_table(toy: Toy, tmp_path: Path) -> None:
    """Both make the same caches and index."""
    words = ["run", "--no-timing", "--methods", f"{PIXEL}[steps=3,step_seconds=0.02]", "--seeds",
             "0-2", "--preset", "smoke", "--json", "--cache", str(tmp_path / "cache"),
             *toy.arguments()]  # fmt: skip
    runs = [spawn(*words, cwd=tmp_path) for _ in range(2)]
    ends = [process.communicate(timeout=200) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], ends
    assert ends[0][0] == ends[1][0] and "damaged" not in ends[0][1] + ends[1][1]
    cells = list((tmp_path / "results" / "cells").iterdir())
    assert len(cells) == 6
    assert all(len(list(cell.glob("record-*.json"))) == 1 for cell in cells)
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith((".tmp", ".new"))]

"""Two that write one file at once: a reader sees one's or the other's, never half of each."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from toy import PIXEL, Toy, spawn

from adbench.contracts import Prediction
from adbench.store import files
from adbench.store.predictions import PredictionChunks

ROUNDS = 60


def write_records(path: Path, letter: str) -> None:
    for number in range(ROUNDS):
        files.write_json(path, {"who": letter, "number": number, "text": letter * 20_000})


def write_maps(folder: Path, letter: str) -> None:
    chunks = PredictionChunks(folder, [(0, 8)])
    value = np.float32(ord(letter))
    for _ in range(ROUNDS):
        maps, scores = np.full((8, 40, 40), value), np.full(8, value)
        chunks.write((0, 8), Prediction(maps, scores))


def test_a_json_file_is_always_one_writers(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    files.write_json(path, {"who": "0", "number": 0, "text": "0" * 20_000})
    writers = [threading.Thread(target=write_records, args=(path, letter)) for letter in "abcd"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        value = files.read_json(path)
        assert value["text"] == value["who"] * 20_000
        seen.add(value["who"])
    assert len(seen) > 1 and [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_chunk_of_maps_is_always_one_writers(tmp_path: Path) -> None:
    write_maps(tmp_path, "z")
    writers = [threading.Thread(target=write_maps, args=(tmp_path, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    chunks = PredictionChunks(tmp_path, [(0, 8)])
    while any(writer.is_alive() for writer in writers):
        found = chunks.read((0, 8))
        assert (found.maps == found.scores[0]).all()
    assert len(list(tmp_path.iterdir())) == 1


def test_two_runs_on_one_folder_and_one_cache_end_in_one_table(toy: Toy, tmp_path: Path) -> None:
    """They start together with nothing there, so that both make the same caches and index."""
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

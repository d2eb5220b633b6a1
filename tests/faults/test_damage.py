"""A flipped byte or a cut in any stored file is found, named, and never trusted."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import PIXEL, Invoke, Toy

from adbench.contracts import Prediction
from adbench.data.cache import DiskCache
from adbench.data.digests import content_digests
from adbench.errors import AdbenchError, StoreError
from adbench.store import files, regular_files
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.folders import Store, read_timing
from adbench.store.model_files import read_model_report
from adbench.store.plan_files import read_plans
from adbench.store.predictions import PredictionChunks

BOUND = (0, 8)


@dataclass(frozen=True)
class Kind:
    """One kind of file: where one lies in `folder`, and how the product reads it."""

    find: Callable[[Path], Path]
    read: Callable[[Path], Any]
    """Of the folder; what was stored, or None for what is damaged."""


def only(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def first_cell(folder: Path) -> Path:
    return only(folder, "results/cells/*")


def records(folder: Path) -> Any:
    found = [r.model_dump() for r in Store(folder / "results").records()]
    return found or None


def marker(folder: Path) -> Any:
    Store(folder / "results").check_format()
    path = folder / "results" / "adbench.json"
    return files.read_json(path) if path.exists() else None


def chunks(folder: Path) -> Any:
    stored = PredictionChunks(only(first_cell(folder), "*/chunk-*").parent, [BOUND])
    return None if stored.missing() else stored.read(BOUND).scores.tolist()


def checkpoint(folder: Path) -> Any:
    state = FileCheckpoint(folder / "checkpoint.pt", 0).load()
    return state and state["tensor"].tolist()


def array(folder: Path) -> Any:
    cache = DiskCache(folder / "arrays", None)
    values = np.asarray(cache.array("key", (50,), "int64", lambda a: a.fill(8)))
    return values.tolist() if cache.hits else None


def timing(path: Path) -> Any:
    return files.checked(path, read_timing)


def index(folder: Path) -> Any:
    """The index is a shortcut: its digests are right, damaged or not."""
    paths = sorted(p.name for p in (folder / "files").iterdir())
    return content_digests(folder / "files", paths, folder / "index")


KINDS = {
    "record": Kind(lambda f: only(first_cell(f), "record-*.json"), records),
    "marker": Kind(lambda f: f / "results/adbench.json", marker),
    "timing": Kind(lambda f: first_cell(f) / "timing.json",
                   lambda f: timing(first_cell(f) / "timing.json")),
    "plan": Kind(lambda f: only(f, "results/plans/plan-*.json"),
                 lambda f: read_plans(f / "results") or None),
    "maps": Kind(lambda f: only(first_cell(f), "*/chunk-*"), chunks),
    "model": Kind(lambda f: first_cell(f) / "model/mean.npy",
                  lambda f: read_model_report(first_cell(f) / "model")),
    "report of the fit": Kind(lambda f: first_cell(f) / "model/fit.json",
                              lambda f: read_model_report(first_cell(f) / "model")),
    "checkpoint": Kind(lambda f: f / "checkpoint.pt", checkpoint),
    "cached array": Kind(lambda f: only(f, "arrays/*.array"), array),
    "index": Kind(lambda f: only(f, "index/*.index"), index),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(finished: tuple[Path, Toy]) -> Path:
    """A folder with a file of each kind, as a run leaves it."""
    folder = finished[0] / "kinds"
    shutil.copytree(finished[0] / "whole" / "results", folder / "results")
    FileCheckpoint(folder / "checkpoint.pt", 0).save({"tensor": torch.arange(9.0)})
    DiskCache(folder / "arrays", None).array("key", (50,), "int64", lambda a: a.fill(8))
    (folder / "files").mkdir()
    for number in range(3):
        path = folder / "files" / f"{number}.bin"
        path.write_bytes(bytes(number))
        os.utime(path, (1, 1))
    time.sleep(0.2)  # only what did not change just now is remembered
    content_digests(folder / "files", ["0.bin", "1.bin", "2.bin"], folder / "index")
    return folder


def flips(content: bytes) -> list[bytes]:
    """The content with one bit flipped, at up to 30 places, the first and the last among them."""
    draw = random.Random(0)
    places = {0, len(content) - 1, *draw.sample(range(len(content)), min(28, len(content)))}
    flipped = []
    for place in sorted(places):
        other = bytearray(content)
        other[place] ^= 1 << draw.randrange(8)
        flipped.append(bytes(other))
    return flipped


def cuts(content: bytes) -> list[bytes]:
    """The content up to 20 places; cut to nothing, and by one byte, among them."""
    step = max(1, len(content) // 18)
    return [content[:n] for n in sorted({*range(0, len(content), step), len(content) - 1})]


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_found_named_and_set_aside(
    whole: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    folder = whole  # an index counts for one folder only
    if name != "index":
        folder = tmp_path / "copy"
        shutil.copytree(whole, folder, symlinks=True)
    path, expected = kind.find(folder), kind.read(folder)
    assert expected is not None
    content = path.read_bytes()
    capsys.readouterr()
    for damaged in (*flips(content), *cuts(content)):
        if path.parent.name == "model":
            shutil.rmtree(path.parent, ignore_errors=True)
            shutil.copytree(kind.find(whole).parent, path.parent)
        path.write_bytes(damaged)
        found = kind.read(folder)
        said = capsys.readouterr().err
        if damaged.strip() == content.strip() or (found == expected and name != "index"):
            continue  # a cut final newline, 1e-5 for 1E-5: the same value, and nothing is lost
        assert "damaged" in said or "checksum" in said or "JSON" in said, (name, damaged)
        assert path.name in said or path.parent.name in said or name in said, said
        assert found is None or found == expected
        for aside in folder.rglob("*.damaged*"):
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("what", ["sector", "folder"])
@pytest.mark.parametrize("name", ["record", "marker", "timing", "plan", "maps", "checkpoint"])
def test_what_cannot_be_read_at_all_is_damaged_too(
    whole: Path, tmp_path: Path, name: str, what: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A sector that the disk has lost, or a folder under the file's name."""
    kind, folder = KINDS[name], tmp_path / "copy"
    shutil.copytree(whole, folder, symlinks=True)
    path = kind.find(folder)
    if what == "folder":
        path.unlink()
        path.mkdir()
    else:
        refuse_to_read(path, errno.EIO, monkeypatch)
    assert kind.read(folder) is None
    said = capsys.readouterr().err
    assert "set aside as" in said and (path.name in said or name in said)
    assert not path.exists() and len(list(path.parent.glob(f"{path.name}.damaged-*"))) == 1


def test_what_may_be_read_another_time_is_not_set_aside(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has too many files open, or the server is away: the record is as good as ever."""
    shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    path = KINDS["record"].find(tmp_path / "copy")
    for number in (errno.EMFILE, errno.ESTALE, errno.EACCES):
        with monkeypatch.context() as refusing:
            refuse_to_read(path, number, refusing)
            with pytest.raises(StoreError, match=f"cannot read .*{path.name}"):
                records(tmp_path / "copy")
    assert records(tmp_path / "copy") is not None


def refuse_to_read(refused: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = regular_files._without_waiting

    def checked(name: str, flags: int) -> int:
        if Path(name) == refused:
            raise OSError(number, os.strerror(number), name)
        return start(name, flags)

    monkeypatch.setattr(regular_files, "_without_waiting", checked)


def test_maps_that_vanish_while_they_are_scored_fail_their_cell_only(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", *toy.arguments()]
    read = PredictionChunks.read

    def lose(self: PredictionChunks, bound: tuple[int, int]) -> Prediction:
        if "lost" not in seen:
            seen.add("lost")
            self._path(bound).unlink()
        return read(self, bound)

    seen: set[str] = set()
    with monkeypatch.context() as losing:
        losing.setattr(PredictionChunks, "read", lose)
        outcome = invoke(*command)
    assert outcome.code == 3 and "run the same command again" in outcome.err
    assert outcome.err.count("FAILED") == 1
    assert invoke(*command).code == 0


def test_what_no_checksum_can_guard_is_checked_for_its_shape(tmp_path: Path) -> None:
    """A right checksum over another content: a file of another program, or of another version."""
    (tmp_path / "model").mkdir()
    blocks: dict[str, Any] = {"protocol": {}, "diagnostics": {}, "skill": {}, "timing": {}}
    escaping: dict[str, Any] = blocks | {"files": {"../../etc/passwd": "0"}}
    for content in (blocks, blocks | {"files": []}, escaping):
        files.write_json(tmp_path / "model" / "fit.json", content)
        assert read_model_report(tmp_path / "model") is None
        (tmp_path / "model").mkdir()
    files.write_json(tmp_path / "timing.json", {"valid": True})
    assert timing(tmp_path / "timing.json") is None
    for state in ("nonsense", {"elapsed": "x"}, {"elapsed": 1.0, "resumes": 0, "state": 5}):
        body = io.BytesIO()
        torch.save(state, body)
        for cut in (body.getvalue(), body.getvalue()[:-9], b""):
            sealed = hashlib.sha256(cut).digest() + cut
            (tmp_path / "checkpoint.pt").write_bytes(sealed)
            assert FileCheckpoint(tmp_path / "checkpoint.pt", 0).load() is None
            assert not (tmp_path / "checkpoint.pt").exists()
    chunk = PredictionChunks(tmp_path, [(0, 2)])
    chunk.write((0, 2), Prediction(np.zeros((3, 4, 4), np.float32), np.zeros(3, np.float32)))
    assert chunk.missing() == [(0, 2)]
    with pytest.raises(AdbenchError, match="removed or damaged"):
        chunk.read((0, 2))

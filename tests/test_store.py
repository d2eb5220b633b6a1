"""Files that are whole or not there, whatever cuts in; folders of other versions, or no folders."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, Toy

from adbench.contracts import Prediction
from adbench.errors import StoreError
from adbench.store import files
from adbench.store.folders import CellFolder
from adbench.store.model_files import publish_model, read_model_report
from adbench.store.predictions import PredictionChunks
from adbench.testing import PixelGaussian

REPORT: dict[str, Any] = {"protocol": {}, "diagnostics": {}, "skill": {}, "timing": {}}
ROUNDS = 40


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def command(toy: Toy) -> list[str]:
    return ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", *toy.arguments("a")]


# ------------------------------------------------------------------------- what is on the disk


class Saves:
    """A method with two files, one of them in a folder of a folder."""

    def save(self, folder: Path) -> None:
        (folder / "deep" / "deeper").mkdir(parents=True)
        (folder / "deep" / "deeper" / "weights").write_bytes(bytes(1000))
        (folder / "state").write_bytes(b"x")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """("sync" or "named", inode) in the order of time."""
    found: list[tuple[str, int]] = []

    def noted(what: str, inode: Callable[..., int], call: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **options: Any) -> Any:
            seen = inode(arguments[0])
            call(*arguments, **options)
            found.append((what, seen))

        return noting

    def of_path(path: Path) -> int:
        return os.lstat(path).st_ino if os.path.lexists(path) else 0

    monkeypatch.setattr(os, "fsync", noted("sync", lambda d: os.fstat(d).st_ino, os.fsync))
    monkeypatch.setattr(os, "replace", noted("named", of_path, os.replace))
    return found


def test_a_file_and_a_model_are_on_the_disk_before_they_have_their_names(
    tmp_path: Path, events: list[tuple[str, int]]
) -> None:
    """A power cut may take neither what was named nor, after that, the name."""
    files.write_text(tmp_path / "file", "x")
    file, folder = (tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino
    assert events[:3] == [("sync", file), ("named", file), ("sync", folder)]
    model = tmp_path / "cell" / "model"
    publish_model(Saves(), REPORT, model)  # type: ignore[arg-type]
    assert read_model_report(model) is not None
    named = events.index(("named", model.stat().st_ino))
    for path in [model, *model.rglob("*")]:
        assert ("sync", path.stat().st_ino) in events[:named], path
    assert ("sync", model.parent.stat().st_ino) in events[named:]


def test_a_folder_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    files.write_text(tmp_path / "file", "x")
    publish_model(Saves(), REPORT, tmp_path / "model")  # type: ignore[arg-type]
    assert read_model_report(tmp_path / "model") is not None


class Cut(BaseException):
    """The power goes."""


def test_nothing_of_training_stays_after_a_cut_beside_the_record(
    invoke: Invoke, command: list[str], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished cell is not run again: what is left in it then stays for good."""
    write, save = CellFolder.write_record, PixelGaussian.save
    saved: list[Path] = []

    def cut_off(self: CellFolder, record: Any) -> None:
        write(self, record)
        raise Cut

    def look_and_save(self: PixelGaussian, folder: Path) -> None:
        saved.extend(results.glob("cells/*/checkpoint.pt"))
        save(self, folder)

    monkeypatch.setattr(CellFolder, "write_record", cut_off)
    monkeypatch.setattr(PixelGaussian, "save", look_and_save)
    with pytest.raises(Cut):
        invoke(*command, "--checkpoint-every", "0")
    assert list(results.glob("cells/*/record-*.json"))
    assert len(saved) == 1 and not saved[0].exists()


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match="the disk is full"):
        files.write_text(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("writer", ["fsync", "replace"])
def test_a_full_disk_stops_with_one_line_and_the_rest_is_kept(
    invoke: Invoke, command: list[str], results: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    calls, cache = 0, os.environ["ADBENCH_CACHE"]
    original = getattr(os, writer)

    def refuse(*arguments: Any) -> Any:
        nonlocal calls
        # The index of digests, in the cache, has a message of its own.
        calls += not str(arguments[-1]).startswith(str(cache))
        if calls > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as full:
        full.setattr(os, writer, refuse)
        message = the_error(invoke(*command), 2)
    assert "the disk is full: free space or give another folder with --results DIR" in message
    assert not list(results.glob("cells/*/claim.*"))
    assert not [p for p in results.rglob("*") if p.name.endswith(".tmp")]
    assert invoke(*command).code == 0


# ----------------------------------------------------------------------------- several writers


def write_records(folder: Path, letter: str) -> None:
    for number in range(ROUNDS):
        value = {"who": letter, "number": number, "text": letter * 20_000}
        files.write_json(folder / "record.json", value)


def record_is_whole(folder: Path) -> str:
    value = files.read_json(folder / "record.json")
    assert value["text"] == value["who"] * 20_000
    return str(value["who"])


def write_maps(folder: Path, letter: str) -> None:
    chunks, value = PredictionChunks(folder, [(0, 8)]), np.float32(ord(letter))
    for _ in range(ROUNDS):
        prediction = Prediction(np.full((8, 40, 40), value), np.full(8, value))
        chunks.write((0, 8), prediction)


def chunk_is_whole(folder: Path) -> str:
    found = PredictionChunks(folder, [(0, 8)]).read((0, 8))
    assert (found.maps == found.scores[0]).all()
    return chr(int(found.scores[0]))


@pytest.mark.parametrize(
    ("write", "read"), [(write_records, record_is_whole), (write_maps, chunk_is_whole)]
)
def test_a_file_is_always_one_writers(
    tmp_path: Path, write: Callable[[Path, str], None], read: Callable[[Path], str]
) -> None:
    """A reader sees one's or the other's, never half of each."""
    write(tmp_path, "z")
    writers = [threading.Thread(target=write, args=(tmp_path, letter)) for letter in "abc"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(read(tmp_path))
    assert seen and len(list(tmp_path.iterdir())) == 1


# ------------------------------------------------------------------------------ other versions


def test_a_folder_of_a_newer_version_is_left_alone(
    invoke: Invoke, command: list[str], results: Path
) -> None:
    results.mkdir()
    files.write_json(results / "adbench.json", {"format": 99})
    before = (results / "adbench.json").read_bytes()
    for words in (command, ["plan", *command[2:]], ["report"], ["runs"], ["runs", "--json"]):
        message = the_error(invoke(*words), 2)
        assert "newer adbench (format 99" in message and "upgrade adbench" in message
    assert [p.name for p in results.iterdir()] == ["adbench.json"]
    assert (results / "adbench.json").read_bytes() == before


def test_versions_before_seals_find_the_checksum_right(tmp_path: Path) -> None:
    path = tmp_path / "adbench.json"
    for value in ({"format": 2}, {"a": {"b": [1.5, "ä", None]}}):
        files.write_json(path, value)
        # As version 0.1 read it, which renamed what did not match.
        found = json.loads(path.read_text())
        assert found.pop("checksum") == files.digest(found)
        assert files.read_json(path) == value
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert files.read_json(path) == value
        path.write_bytes(path.read_bytes().replace(b'"seal": "', b'"seal": "0', 1))
        with pytest.raises(ValueError, match="does not match its checksum"):
            files.read_json(path)
        path.write_text(json.dumps({**value, "checksum": files.digest(value)}))
        assert files.read_json(path) == value


@pytest.mark.parametrize("change", [{"format": 99}, {"invention": 1}])
def test_a_record_of_a_newer_version_is_never_read_nor_removed(
    invoke: Invoke, command: list[str], results: Path, change: dict[str, int]
) -> None:
    invoke(*command)
    (record,) = results.glob("cells/*/record-*.json")
    files.write_json(record, files.read_json(record) | change)
    before = record.read_bytes()
    for words in (command, ["report"], ["runs"]):
        message = the_error(invoke(*words), 2)
        assert record.name in message and "upgrade adbench" in message
    assert record.read_bytes() == before


def test_results_that_are_a_file_are_a_usage_error(
    invoke: Invoke, command: list[str], results: Path
) -> None:
    results.write_text("mine")
    for words in (command, ["plan", *command[2:]], ["report"], ["runs"]):
        assert "is a file: give a folder with --results DIR" in the_error(invoke(*words), 2)
    assert results.read_text() == "mine"


def test_overwriting_under_one_mask_rule_keeps_the_records_of_another(
    invoke: Invoke, command: list[str], results: Path
) -> None:
    assert invoke(*command).code == 0
    assert invoke(*command, "--mask-rule", "area_max").code == 0
    before = {path: path.read_bytes() for path in results.glob("cells/*/record-*.json")}
    assert invoke(*command, "--overwrite", "all").code == 0
    after = {path: path.read_bytes() for path in results.glob("cells/*/record-*.json")}
    assert before.keys() == after.keys()
    assert sum(before[path] == after[path] for path in before) == len(before) // 2 == 1

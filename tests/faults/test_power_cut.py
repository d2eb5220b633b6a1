"""What a power cut may not take: a file is on the disk before it has its name, and its name before
anything that it replaces goes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Invoke, Toy

from adbench.store import files
from adbench.store.model_files import publish_model, read_model_report
from adbench.testing import PixelGaussian

REPORT: dict[str, Any] = {"protocol": {}, "diagnostics": {}, "timing": {}}


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


def test_a_model_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, events: list[tuple[str, int]]
) -> None:
    model = tmp_path / "cell" / "model"
    publish_model(Saves(), REPORT, model)  # type: ignore[arg-type]
    assert read_model_report(model) is not None
    parts = {path.stat().st_ino: path for path in [model, *model.rglob("*")]}
    named = events.index(("named", model.stat().st_ino))
    for inode, path in parts.items():
        assert ("sync", inode) in events[:named], path
    assert ("sync", model.parent.stat().st_ino) in events[named:]


def test_a_files_name_is_on_the_disk_too(tmp_path: Path, events: list[tuple[str, int]]) -> None:
    path = tmp_path / "file"
    files.write_text(path, "x")
    file, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert events[:3] == [("sync", file), ("named", file), ("sync", folder)]


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
    invoke: Invoke, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished cell is not run again: what is left in it then stays for good."""
    from adbench.store.folders import CellFolder

    write = CellFolder.write_record

    def cut_off(self: CellFolder, record: Any) -> None:
        write(self, record)
        raise Cut

    saved: list[Path] = []
    save = PixelGaussian.save

    def look_and_save(self: PixelGaussian, folder: Path) -> None:
        saved.extend(tmp_path.glob("results/cells/*/checkpoint.pt"))
        save(self, folder)

    monkeypatch.setattr(CellFolder, "write_record", cut_off)
    monkeypatch.setattr(PixelGaussian, "save", look_and_save)
    words = ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", *toy.arguments("a")]
    with pytest.raises(Cut):
        invoke(*words, "--checkpoint-every", "0")
    (record,) = tmp_path.glob("results/cells/*/record-*.json")
    assert len(saved) == 1 and not saved[0].exists()

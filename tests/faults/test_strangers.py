"""Whatever stands for a file, every command answers and names it; a run ends in the same table."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

import pytest
from finished import RUN, numbers, words
from sandbox import Hang, Outcome, call
from toy import Toy

from adbench.datasets.synthetic import generate
from adbench.errors import StoreError
from adbench.figures import gallery
from adbench.store import claims, files, regular_files
from adbench.store.model_files import read_model_report
from adbench.work import work

T = TypeVar("T")
LONGEST_SECONDS = 10
SPARSE = 40_000_000_000
"""Bytes that a file claims to have, and that nobody can read in time."""
DEAD = '{"host": "gone", "pid": 1, "start": "1", "token": "t"}'
READERS = (
    "report", "report --format markdown", "report --format csv", "report --format latex",
    "report --format html", "report --json", "report --layout paper", "runs", "runs --all --json",
    "history", "baseline save new.json", "compare results other", "gate --baseline sound.json",
    "status",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file: where one lies, what has to go so that it is asked for, and who reads it."""

    pattern: str
    readers: tuple[str, ...]
    gone: tuple[str, ...] = ()


RECORD = ("results/cells/*/record-*.json",)
KINDS = {
    "record": Kind(RECORD[0], (*READERS, RUN)),
    "failure": Kind(
        "results/cells/*/failed-*.json", (*READERS, f"{RUN} --overwrite never"), RECORD
    ),
    "marker": Kind("results/adbench.json", ("report", "runs", "status", RUN)),
    "pixels": Kind("results/cells/*/pixels-*.json", ("compare results other", "baseline save b")),
    "timing": Kind("results/cells/*/timing.json", (RUN.replace("--no-timing ", ""),), RECORD),
    "plan": Kind("results/plans/plan-*.json", ("status", "status --json")),
    "maps": Kind("results/cells/*/*/chunk-*", (RUN,), RECORD),
    "folder of maps": Kind("results/cells/*/" + "[0-9a-f]" * 24, (RUN,), RECORD),
    "checkpoint": Kind("results/cells/*/checkpoint.pt", (RUN,), (*RECORD, "results/cells/*/model")),
    "model": Kind("results/cells/*/model", (RUN,), RECORD),
    "weights": Kind("results/cells/*/model/mean.npy", (RUN,), RECORD),
    "unlisted weights": Kind("results/cells/*/model/more.npy", (RUN,), RECORD),
    "report of the fit": Kind("results/cells/*/model/fit.json", (RUN,), RECORD),
    "cell": Kind("results/cells/" + "[0-9a-f]" * 24, ("report", "runs", RUN)),
    "cells": Kind("results/cells", ("report", "runs", RUN)),
    "pictures": Kind("results/figures/gallery/toy-a.json", ("report --format html",)),
    "array": Kind("cache/*.array", (RUN,), (*RECORD, "results/cells/*/model")),
    "index": Kind("cache/*.index", (RUN,)),
    "baseline": Kind("sound.json", ("gate --baseline sound.json", "compare sound.json results")),
    "selection": Kind("chosen.json", (f"{RUN} --selected chosen.json", "selected chosen.json")),
}  # fmt: skip


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = os.open(path.parent, os.O_RDONLY)  # a socket's name may have 107 bytes
        try:
            one.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(SPARSE)


def broken(path: Path) -> None:
    path.symlink_to("nothing-there")


def garbage(path: Path) -> None:
    path.write_bytes(b"PK damaged" * 20)


STRANGE: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "endless": endless,
    "socket": listening,
    "sparse": sparse,
    "folder": Path.mkdir,
    "broken link": broken,
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_no_file_is_refused_unread(tmp_path: Path, strange: str) -> None:
    path = tmp_path / "record.json"
    STRANGE[strange](path)
    with pytest.raises(StoreError if strange == "sparse" else regular_files.NotAFile):
        in_time(lambda: regular_files.read_bounded(path))


@pytest.fixture(scope="module")
def toy_a(finished: tuple[Path, Toy]) -> Toy:
    return finished[1]


@pytest.fixture(scope="module")
def whole(finished: tuple[Path, Toy]) -> Path:
    folder = finished[0] / "whole"
    gallery.write(folder / "results/figures", {"format": 0, "dataset": "toy", "category": "a"})
    return folder


def ask(*arguments: str) -> Outcome:
    """What a command answers, which must not take for ever."""
    return in_time(lambda: call(*arguments))


def in_time(work: Callable[[], T]) -> T:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_SECONDS)
    try:
        return work()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def plant(folder: Path, kind: Kind, strange: Callable[[Path], None]) -> Path:
    """Put something else in the place of a file of this kind."""
    paths = sorted(folder.glob(kind.pattern))
    if paths:
        path = paths[0]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:  # of a kind that a finished run does not leave, under the name that it would have
        (cell,) = folder.glob("results/cells/*") if "cells" in kind.pattern else (folder,)
        record = next(cell.glob("record-*.json"), None)
        parent = cell / "model" if "model/" in kind.pattern else cell
        key = record.name.removeprefix("record-") if record is not None else ""
        path = parent / kind.pattern.rpartition("/")[2].replace("*.json", key)
    for pattern in kind.gone:
        for gone in folder.glob(pattern):
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    strange(path)
    return path


@pytest.mark.parametrize("strange", [pipe, sparse, broken, garbage])
@pytest.mark.parametrize("name", KINDS)
def test_every_command_answers_and_names_what_is_no_file_of_ours(
    whole: Path, toy_a: Toy, tmp_path: Path, name: str, strange: Callable[[Path], None]
) -> None:
    kind = KINDS[name]
    for number, command in enumerate(kind.readers if strange is pipe else kind.readers[-1:]):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("data"))
        path = plant(folder, kind, strange)
        with contextlib.chdir(folder):
            outcome = ask(*words(command, toy_a))
        said = outcome.out + outcome.err
        assert outcome.code in (0, 2, 5) and "Traceback" not in said, (command, outcome)
        if strange is garbage and command == RUN:
            assert outcome.code == 0 or name in ("cell", "cells"), outcome
        if outcome.code == 0 and command == RUN:
            assert numbers(outcome) == (whole / "table.json").read_text()
        if name == "failure" and "status" not in command and outcome.code == 2:
            continue  # there is no record at all
        if name == "unlisted weights" and strange in (sparse, garbage):
            continue  # it is a file
        assert path.name in said or path.parent.name in said, (command, said)
        shutil.rmtree(folder, ignore_errors=True)


# --------------------------------------------------------------------------------------- claims


@pytest.fixture
def cell(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cell that is to be run again; a claim of no owner counts as dead at once."""
    shutil.copytree(whole, tmp_path / "x", ignore=shutil.ignore_patterns("data"))
    monkeypatch.chdir(tmp_path / "x")
    monkeypatch.setattr(claims, "UNREADABLE_SECONDS", 0.0)
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.0)
    monkeypatch.setattr(work, "POLL_SECONDS", 0.05)
    (folder,) = (tmp_path / "x").glob("results/cells/*")
    next(folder.glob("record-*.json")).unlink()
    return folder


@pytest.mark.parametrize("strange", ["pipe", "sparse", "folder"])
def test_what_is_no_claim_is_told_and_passed_over(cell: Path, toy_a: Toy, strange: str) -> None:
    STRANGE[strange](cell / "claim.7")
    for command in ("status", RUN):
        outcome = ask(*words(command, toy_a))
        assert outcome.code == 0, outcome
        assert "claim.7 is no claim" in outcome.err
        claims._tell.cache_clear()
    left = [p.name for p in cell.glob("claim.*")]
    assert left == (["claim.7"] if strange == "folder" else [])


@pytest.mark.parametrize("name", ["claim.999999999999", "claim.007", f"claim.{'9' * 200}"])
def test_a_generation_that_nobody_can_have_is_told_and_left_alone(
    cell: Path, toy_a: Toy, name: str
) -> None:
    (cell / name).write_text(DEAD)
    for command in ("status", RUN):
        outcome = ask(*words(command, toy_a))
        assert outcome.code == 0 and name in outcome.err
        claims._tell.cache_clear()
    assert [p.name for p in cell.glob("claim.*")] == [name]


def test_the_last_generation_is_refused_by_name(cell: Path, toy_a: Toy) -> None:
    (cell / f"claim.{claims.LAST_GENERATION}").write_text(DEAD)
    outcome = ask(*words(RUN, toy_a))
    assert outcome.code == 2 and f"rm {cell}/claim.999999" in outcome.err


def test_a_release_touches_the_names_that_are_there(cell: Path, toy_a: Toy) -> None:
    """And not the half a million below that of a dead owner."""
    (cell / "claim.500000").write_text(DEAD)
    assert ask(*words(RUN, toy_a)).code == 0
    assert not list(cell.glob("claim.*"))


# ------------------------------------------------------------------------------- bounds of sizes


def test_json_that_would_fill_the_memory_is_refused_before_it_is_parsed(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole / "results", "results")
    (record,) = tmp_path.glob(KINDS["record"].pattern)
    record.write_bytes(b"[" + b"[[[]]]," * 8_000_000 + b"0]")
    for path, command in ((record, "report"), (tmp_path / "sound.json", "compare sound.json .")):
        if path != record:
            record.rename(path)
        outcome = ask(*command.split())
        assert outcome.code == 2 and path.name in outcome.err and "lists and names" in outcome.err
        assert f"mv {path} {path}.too-large" in outcome.err


@pytest.mark.parametrize("content", [b"[" * 50_000_000, b"1" * 50_000_000, b'{"a":0,"a":1}'])
def test_other_json_of_a_stranger_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises((ValueError, StoreError), match=r"x\.json"):
        files.read_json(tmp_path / "x.json")


def test_a_model_of_before_is_read_though_it_tells_no_sizes(whole: Path, tmp_path: Path) -> None:
    (source,) = whole.glob("results/cells/*/model")
    shutil.copytree(source, tmp_path / "model")
    report = files.read_json(tmp_path / "model/fit.json")
    del report["sizes"]
    files.write_json(tmp_path / "model/fit.json", report)
    assert read_model_report(tmp_path / "model") is not None


@pytest.mark.parametrize("strange", ["pipe", "folder"])
def test_a_lock_that_is_none_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    """Of the synthetic data set, which is drawn into the cache."""
    monkeypatch.setattr(generate, "_generate", lambda folder: None)
    STRANGE[strange](tmp_path / "set.lock")
    with contextlib.suppress(StoreError):
        in_time(lambda: generate.ensure_generated(tmp_path / "set"))


def test_a_file_that_we_may_not_read_is_named_and_stays(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    start = regular_files._without_waiting

    def refuse(name: str, flags: int) -> int:
        if name.endswith(path.name):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return start(name, flags)

    monkeypatch.setattr(regular_files, "_without_waiting", refuse)
    for name in ("record", "marker", "pixels", "plan"):
        (path,) = tmp_path.glob(KINDS[name].pattern)
        outcome = ask(*KINDS[name].readers[0].replace("other", "results").split())
        assert outcome.code == 2 and path.name in outcome.err and "Permission" in outcome.err
        assert path.exists()

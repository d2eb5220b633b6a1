"""A disk that fills at any moment stops the run with one line; with room, it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Outcome, Toy, write_toy
from warm import Warm

WORDS = ["run", "--no-timing", "--methods", f"{PIXEL}[image_size=64]", "--preset", "smoke",
         "--keep-maps", "--checkpoint-every", "0", "--json"]  # fmt: skip


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of its own at `folder`; skips the test where none may be mounted."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no command `mount` here")
    if done.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


def run(toy: Toy, folder: Path, *words: str, cache: Path, limit: int | None = None) -> Outcome:
    """The command line in a process of its own, whose files may have `limit` bytes at most."""
    environment = {**os.environ, "ADBENCH_CACHE": str(cache)}
    process = Warm([*WORDS, *toy.arguments(), *words], folder, environment, file_limit=limit)
    out, err = process.communicate()
    return Outcome(process.wait(), out, err)


def table(done: Outcome) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    return [{k: v for k, v in row.items() if k != "created"} for row in json.loads(done.out)]


def check_refusal(done: Outcome) -> None:
    """One line, the last, that says what to do; or a cell that failed for it, said likewise."""
    assert "Traceback" not in done.err, done.err
    assert done.code in (2, 3), done.err
    last = done.err.rstrip("\n").split("\n")[-1]
    assert last.startswith("error: ") or done.code == 3, done.err


@dataclass(frozen=True)
class Undisturbed:
    """A data set, the cache that a run on it filled, and its table."""

    toy: Toy
    cache: Path
    table: list[dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    toy, cache = write_toy(folder / "data"), folder / "cache"
    return Undisturbed(toy, cache, table(run(toy, folder, cache=cache)))


@pytest.mark.parametrize(
    ("name", "kilobytes", "way_out"),
    [("results", 4, "free space"), ("results", 120, "free space"), ("cache", 120, "ADBENCH_CACHE")],
)
def test_a_disk_that_fills(
    undisturbed: Undisturbed, tmp_path: Path, name: str, kilobytes: int, way_out: str
) -> None:
    """Before the first file fits, and while maps or images are written."""
    disk = tmp_path / "disk"
    words = ("--results", str((disk if name == "results" else tmp_path) / "results"))
    cache = disk / "cache" if name == "cache" else undisturbed.cache
    with small_disk(disk, kilobytes):
        done = run(undisturbed.toy, tmp_path, *words, cache=cache)
        check_refusal(done)
        assert way_out in done.err, done.err
        assert not list(disk.rglob("*.tmp")), list(disk.rglob("*"))
        enlarge(disk)
        assert table(run(undisturbed.toy, tmp_path, *words, cache=cache)) == undisturbed.table


@pytest.mark.parametrize("limit", [0, 5_000])
def test_files_that_may_not_grow(undisturbed: Undisturbed, tmp_path: Path, limit: int) -> None:
    """A quota of any kind ends like a full disk; this one needs no rights."""
    done = run(undisturbed.toy, tmp_path, cache=tmp_path / "cache", limit=limit)
    check_refusal(done)
    assert table(run(undisturbed.toy, tmp_path, cache=tmp_path / "cache")) == undisturbed.table

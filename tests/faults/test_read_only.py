"""A results folder that becomes read-only under a run: one line, nothing lost, and on we go."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from nobody import start_as_nobody, start_powerless
from outcomes import the_error
from toy import PIXEL, Outcome, Toy
from warm import Process, Warm

SLOW = f"{PIXEL}[steps=40,step_seconds=0.05]"


@pytest.fixture
def words(toy: Toy, tmp_path: Path) -> list[str]:
    """A run of several seconds that another user may do."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o555)
    (tmp_path / "cache").mkdir()
    (tmp_path / "results").mkdir()
    for name in ("cache", "results"):
        (tmp_path / name).chmod(0o777)
    return ["run", "--no-timing", "--methods", SLOW, "--preset", "smoke", "--json",
            "--checkpoint-every", "0", *toy.arguments("a")]  # fmt: skip


def start(words: list[str], folder: Path) -> Warm:
    return start_as_nobody(words, folder, ADBENCH_CACHE=str(folder / "cache"))


def ended(process: Process) -> Outcome:
    out, err = process.communicate(timeout=120)
    return Outcome(process.wait(), out, err)


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return [{k: v for k, v in row.items() if k != "created"} for row in json.loads(outcome.out)]


def lock(folder: Path, mode: int) -> None:
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        path.chmod(mode)


def train_until_locked(process: Process, results: Path) -> None:
    while not list(results.glob("cells/*/checkpoint.pt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    lock(results, 0o555)


def test_a_folder_that_becomes_read_only_while_training(words: list[str], tmp_path: Path) -> None:
    results = tmp_path / "results"
    process = start(words, tmp_path)
    train_until_locked(process, results)
    assert "results" in the_error(ended(process), 2)
    lock(results, 0o777)
    again = rows(ended(start(words, tmp_path)))
    other = rows(ended(start([*words, "--results", str(tmp_path / "cache" / "r")], tmp_path)))
    assert again == other


def test_the_same_in_a_process_of_its_own(words: list[str], tmp_path: Path) -> None:
    local = [*words, "--executor", "local", "--slots", "1"]
    process = start_powerless(local, tmp_path, ADBENCH_CACHE=str(tmp_path / "cache"))
    train_until_locked(process, tmp_path / "results")
    assert "results" in the_error(ended(process), 2)


def test_what_a_read_only_folder_holds_can_be_read(words: list[str], tmp_path: Path) -> None:
    """Also where a damaged record cannot be set aside."""
    assert ended(start(words, tmp_path)).code == 0
    results = tmp_path / "results"
    (record,) = results.glob("cells/*/record-*.json")
    (copy,) = [record.with_name(f"record-{'0' * 24}.json")]
    copy.write_bytes(record.read_bytes()[:-20])
    lock(results, 0o555)
    for command in (["report", "--json"], ["runs", "--json"]):
        outcome = ended(start(command, tmp_path))
        assert outcome.code == 0 and len(json.loads(outcome.out)) >= 1, outcome.err
        assert copy.name in outcome.err and "could not be renamed" in outcome.err
    assert copy.exists()
    planned = ended(start(["plan", *words[2:-5], *words[-4:]], tmp_path))
    assert planned.code in (0, 2), planned.err


def test_an_unreadable_image_is_named(toy: Toy, words: list[str], tmp_path: Path) -> None:
    (toy.root / "a/test/good/002.png").chmod(0)
    message = the_error(ended(start(words, tmp_path)), 4)
    assert "a/test/good/002.png: Permission denied" in message
    (toy.root / "a/test/good").chmod(0)
    message = the_error(ended(start(words, tmp_path)), 4)
    assert "a/test/good cannot be read (Permission denied)" in message
    verify = ["data", "verify", toy.reference, "--data-root", str(toy.folder)]
    outcome = ended(start(verify, tmp_path))
    assert outcome.code == 4 and "Traceback" not in outcome.err and "Permission" in outcome.out


@pytest.mark.parametrize("name", ["cache", "results"])
def test_a_folder_on_a_read_only_file_system(words: list[str], tmp_path: Path, name: str) -> None:
    """Root is refused there too, so that this needs no other user."""
    folder = tmp_path / name
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)],
                          capture_output=True)  # fmt: skip
    if done.returncode != 0:
        pytest.skip("this user may not mount a file system")
    try:
        environment = {**os.environ, "ADBENCH_CACHE": str(tmp_path / "cache")}
        ran = ended(Warm(words, tmp_path, environment))
        if name == "cache":
            assert rows(ran) and ran.err.count("ADBENCH_CACHE") == 1
        else:
            assert "--results DIR" in the_error(ran, 2)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

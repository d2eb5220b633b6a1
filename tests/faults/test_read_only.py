"""Folders that may not be written, or not any more: one line, nothing lost, and on we go."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ends import until
from nobody import start_as_nobody, start_powerless
from outcomes import the_error
from toy import PIXEL, Invoke, Outcome, Toy
from warm import Process, Warm

SLOW = f"{PIXEL}[steps=40,step_seconds=0.05]"


@pytest.fixture
def words(toy: Toy, tmp_path: Path) -> list[str]:
    """A run that another user may do."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o555)
    for name in ("cache", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    return ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", "--json",
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
    def trains() -> bool:
        assert process.poll() is None, process.communicate()
        return bool(list(results.glob("cells/*/checkpoint.pt")))

    until(trains)
    lock(results, 0o555)


def test_a_folder_that_becomes_read_only_while_training(
    words: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    results, slow = tmp_path / "results", [*words, "--methods", SLOW]
    process = start(slow, tmp_path)
    train_until_locked(process, results)
    assert "results" in the_error(ended(process), 2)
    lock(results, 0o777)
    assert rows(ended(start(slow, tmp_path))) == rows(invoke(*slow, "--results", "other"))


def test_the_same_in_a_process_of_its_own(words: list[str], tmp_path: Path) -> None:
    local = [*words, "--methods", SLOW, "--executor", "local", "--slots", "1"]
    process = start_powerless(local, tmp_path, ADBENCH_CACHE=str(tmp_path / "cache"))
    train_until_locked(process, tmp_path / "results")
    assert "results" in the_error(ended(process), 2)


def test_what_a_read_only_folder_holds_can_be_read(
    words: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    """The table of a finished run; also where a damaged record cannot be set aside."""
    first = rows(invoke(*words))
    results = tmp_path / "results"
    (record,) = results.glob("cells/*/record-*.json")
    copy = record.with_name(f"record-{'0' * 24}.json")
    copy.write_bytes(record.read_bytes()[:-20])
    lock(results, 0o555)
    outcome = ended(start(words, tmp_path))
    assert rows(outcome) == first
    (note,) = [line for line in outcome.err.splitlines() if "nothing was written" in line]
    assert note.startswith("note: all was there already") and str(results.name) in note
    outcome = ended(start(["report", "--json"], tmp_path))
    assert outcome.code == 0 and len(json.loads(outcome.out)) >= 1, outcome.err
    assert copy.name in outcome.err and "could not be renamed" in outcome.err
    assert copy.exists()


def test_a_results_folder_that_may_not_be_written_or_looked_at_is_one_line(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "results").chmod(0o755)
    message = the_error(ended(start(words, tmp_path)), 2)
    assert "results" in message and "not writable: give another with --results DIR" in message
    (tmp_path / "results").chmod(0o700)
    for command in (words, ["report"]):
        assert "results" in the_error(ended(start(command, tmp_path)), 2)


def test_another_users_cache_is_read_and_what_it_lacks_is_computed(
    invoke: Invoke, words: list[str], toy: Toy, tmp_path: Path
) -> None:
    """With one line that says so; nothing in it is touched."""
    cache = tmp_path / "cache"
    cache.chmod(0o755)
    time.sleep(0.2)  # the index remembers what did not change just now
    assert invoke(*words, "--cache", str(cache), "--results", "mine").code == 0
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    both = [*words[: -len(toy.arguments("a"))], *toy.arguments()]
    outcome = ended(start(both, tmp_path))
    assert rows(outcome) == rows(invoke(*both, "--results", "all"))
    assert outcome.err.count("you may not write into the cache folder") == 1
    assert before and {path.name: path.read_bytes() for path in cache.iterdir()} == before


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

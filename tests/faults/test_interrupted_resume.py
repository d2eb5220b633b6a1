"""A resume that is cut off itself, by a kill, by Ctrl-C, by a scheduler: the numbers stay."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Toy, spawn

STEPS = 20


def rows(text: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "created"} for row in json.loads(text)]


@pytest.fixture
def words(toy: Toy) -> list[str]:
    method = f"{PIXEL}[steps={STEPS},step_seconds=0.05,noise=0.5]"
    return ["run", "--no-timing", "--methods", method, "--preset", "smoke", "--json",
            "--checkpoint-every", "0", *toy.arguments("a")]  # fmt: skip


def cut_off(words: list[str], folder: Path, how: signal.Signals) -> tuple[int, str]:
    """Start the run and send it a signal as soon as it has saved once more than it found."""
    results = folder / "results"
    before = {p: p.stat().st_mtime_ns for p in results.glob("cells/*/checkpoint.pt")}
    process = spawn(*words, cwd=folder)
    while True:
        now = {p: p.stat().st_mtime_ns for p in results.glob("cells/*/checkpoint.pt")}
        if now and now != before:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    return process.wait(), err


def steps_done(folder: Path) -> int:
    from adbench.store.checkpoint import FileCheckpoint

    (path,) = folder.glob("results/cells/*/checkpoint.pt")
    state = FileCheckpoint(path, 0).load()
    assert state is not None
    return int(state["step"])


def test_a_resume_that_is_cut_off_again_and_again(words: list[str], tmp_path: Path) -> None:
    whole = spawn(*words, "--results", "whole", cwd=tmp_path)
    expected, err = whole.communicate(timeout=120)
    assert whole.returncode == 0, err
    done = [0]
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        code, err = cut_off(words, tmp_path, how)
        assert code == (-how if how == signal.SIGKILL else 130), err
        assert "Traceback" not in err
        done.append(steps_done(tmp_path))
        assert done[-1] > done[-2], "a resume began anew"
    last = spawn(*words, cwd=tmp_path)
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert rows(out) == rows(expected)
    (record,) = tmp_path.glob("results/cells/*/record-*.json")
    assert json.loads(record.read_text())["timing"]["fit"]["resumes"] == 3
    assert not list(tmp_path.glob("results/cells/*/*.tmp"))
    assert not list(tmp_path.glob("results/cells/*/claim.*"))


@pytest.mark.parametrize("point", ["model", "record", "maps"])
def test_a_kill_between_any_two_writes(words: list[str], tmp_path: Path, point: str) -> None:
    """What is there at each instant is what the next run would find after a kill at it."""
    words = [w for w in words if w != "--json"]
    process = spawn(*words, "--keep-maps", cwd=tmp_path)
    pattern = {"model": "model/fit.json", "record": "record-*.json", "maps": "*/chunk-*"}[point]
    while not list(tmp_path.glob(f"results/cells/*/{pattern}")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.kill()
    process.communicate()
    again = spawn(*words, "--json", cwd=tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0 and "damaged" not in err, err
    assert rows(out)[0]["status"] == "done"

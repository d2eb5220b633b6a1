"""A grid killed with SIGKILL and run again ends in the same table, and several runs share a folder
(a few rounds of the scripts in tests/stress)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from toy import PIXEL, Toy

STRESS = Path(__file__).parent / "stress"


@pytest.mark.parametrize(("executor", "count"), [("serial", "2"), ("local", "1")])
def test_killed_grids_end_in_the_same_table(toy: Toy, executor: str, count: str) -> None:
    done = subprocess.run(
        [
            sys.executable, str(STRESS / "kill_loop.py"), "--count", count, "--executor", executor,
            "--dataset", toy.reference, "--data-root", str(toy.folder), "--seeds", "0-1",
            "--methods", f"{PIXEL}[steps=6,step_seconds=0.02,noise=0.5]",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 bad" in done.stdout


def test_runs_on_one_folder_share_the_cells(toy: Toy) -> None:
    done = subprocess.run(
        [
            sys.executable, str(STRESS / "share_folder.py"), "--runs", "2", "--cells", "6",
            "--dataset", f"{toy.reference}:a", "--data-root", str(toy.folder),
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 not exactly once" in done.stdout

"""A grid killed with SIGKILL and run again ends in the same table (a few rounds of the script)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from toy import PIXEL, Toy

SCRIPT = Path(__file__).parent / "stress" / "kill_loop.py"


def test_killed_grids_end_in_the_same_table(toy: Toy) -> None:
    done = subprocess.run(
        [
            sys.executable, str(SCRIPT), "--kills", "4", "--dataset", toy.reference,
            "--data-root", str(toy.folder), "--seeds", "0-1",
            "--methods", f"{PIXEL}[steps=6,step_seconds=0.02,noise=0.5]",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 bad" in done.stdout

"""A results folder that is deleted under a run, and what killed runs leave in finished cells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ends import claims
from outcomes import warnings_of
from toy import PIXEL, Invoke, Outcome, Toy

from adbench.store.claims import FORGOTTEN_SECONDS
from adbench.store.owners import host_identity
from adbench.testing import PixelGaussian

METHOD = ["--methods", PIXEL, "--preset", "smoke", "--no-timing", "--json"]


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return [{k: v for k, v in row.items() if k != "created"} for row in json.loads(outcome.out)]


@pytest.mark.parametrize(
    ("stage", "after"), [("fit", 1), ("fit", 2), ("save", 1), ("predict", 2), ("diagnostics", 2)]
)
def test_a_run_whose_folder_is_deleted_ends_with_all_that_it_tells_on_disk(
    invoke: Invoke,
    toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    after: int,
) -> None:
    """In the middle of the first cell, or of the second with the first one finished."""
    first = rows(invoke("run", *METHOD, *toy.arguments(), "--results", "other"))
    original, calls = getattr(PixelGaussian, stage), 0

    def deleting(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == after:
            shutil.rmtree(tmp_path / "results")
        return original(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(PixelGaussian, stage, deleting)
        outcome = invoke("run", *METHOD, *toy.arguments())
    if outcome.code != 0:
        assert outcome.code in (2, 3) and "results" in outcome.err
        assert "Traceback" not in outcome.err
        assert rows(invoke("run", *METHOD, *toy.arguments())) == first
        return
    assert rows(outcome) == first
    assert (tmp_path / "results/adbench.json").exists() and not claims(tmp_path / "results")
    assert rows(invoke("report", "--json")) == first
    again = invoke("run", *METHOD, *toy.arguments())
    assert "2 there already" in again.err and rows(again) == first
    status = json.loads(invoke("status", "--json").out)
    assert status["counts"]["finished"] == 2
    if after == 2:
        (warning,) = warnings_of(outcome)
        assert "1 record vanished from results" in warning


def dead_claim(host: str) -> str:
    pid = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                         capture_output=True, text=True).stdout  # fmt: skip
    return json.dumps({"host": host, "pid": int(pid), "start": "1", "token": "t"})


def test_claims_that_killed_runs_left_in_finished_cells_go(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    command = ["run", *METHOD, *toy.arguments()]
    first = rows(invoke(*command))
    one, other = (tmp_path / "results/cells").iterdir()
    (one / "claim.1").write_text(dead_claim(host_identity()))
    (other / "claim.3").write_text(dead_claim("another"))
    assert json.loads(invoke("status", "--json").out)["counts"]["finished"] == 2
    assert rows(invoke(*command)) == first
    assert claims(tmp_path / "results") == [other / "claim.3"], "its owner may be alive"
    long_ago = time.time() - 2 * FORGOTTEN_SECONDS
    os.utime(other / "claim.3", (long_ago, long_ago))
    assert rows(invoke(*command)) == first and not claims(tmp_path / "results")

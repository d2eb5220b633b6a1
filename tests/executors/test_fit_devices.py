"""`--fit-devices` and `--accumulate`: one training shared by processes, on the CPU here."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ends import PATIENCE, children, claims, interrupt, records, until
from outcomes import the_error
from toy import Invoke, spawn
from warm import Warm

from adbench.cell.settings import Settings
from adbench.methods.uniad.method import UniAD

pytest.importorskip("accelerate", reason="the extra adbench-diffusion[accelerate]")

SMALL = ("--dataset", "synthetic:cover", "--preset", "smoke", "--device", "cpu", "--no-timing")


def run(invoke: Invoke, folder: Path, *more: str, methods: str = "uniad"):
    return invoke(
        "run", "--methods", methods, *SMALL, "--results", str(folder), "--cache",
        str(folder.parent / "cache"), *more,
    )  # fmt: skip


def training(tmp_path: Path, steps: int, *more: str, begun: bool = True) -> Warm:
    """A run into `tmp_path / "results"` of its own process; `begun`: once it has saved a state."""
    results = tmp_path / "results"
    process = spawn(
        "run", "--methods", "uniad", *SMALL, "--set", f"uniad.steps={steps}", "--results",
        str(results), "--cache", str(tmp_path / "cache"), *more, cwd=tmp_path,
    )  # fmt: skip
    until(lambda: not begun or list(results.glob("cells/*/checkpoint*")))
    return process


def test_two_devices_train_what_one_trains_in_two_parts(invoke: Invoke, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    done = run(invoke, one, "--accumulate", "2", methods="uniad,patchcore")
    assert done.code == 0, done.err
    done = run(invoke, two, "--fit-devices", "2", methods="uniad,patchcore")
    assert done.code == 0, done.err
    assert "on 2 devices" in done.out
    for single, team in zip(records(one), records(two), strict=True):
        assert single["keys"] == team["keys"]
        fit, shared = single["timing"]["fit"], team["timing"]["fit"]
        divided = single["identity"]["method"] == "uniad"
        assert fit["divisions"] == ([[1, 2]] if divided else [[1, 1]])
        assert shared["divisions"] == ([[2, 2]] if divided else [[1, 1]])
        np.testing.assert_allclose(team["images"]["score"], single["images"]["score"], rtol=1e-4)
    assert claims(two) == []


def test_a_batch_in_one_part_says_nothing(invoke: Invoke, tmp_path: Path) -> None:
    done = run(invoke, tmp_path / "plain")
    assert done.code == 0 and "parts" not in done.out
    assert records(tmp_path / "plain")[0]["timing"]["fit"]["divisions"] == [[1, 1]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--executor", "local"), "--executor local: one process per cell"),
        (("--fit-devices", "64"), "expected at most"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    invoke: Invoke, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = run(invoke, tmp_path / "results", "--fit-devices", "2", *words)
    assert said in the_error(done, 2)


def partners(pid: int) -> list[int]:
    """The processes that train along with the first."""
    lines = {child: Path(f"/proc/{child}/cmdline").read_text() for child in children(pid)}
    return [child for child, line in lines.items() if '"rank": 1' in line]


DESERTER = """
import os
import torch
from adbench.testing import PixelGaussian


class Deserter(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "deserter"})
    splits_batches = True

    def fit(self, train, context):
        if context.team.rank == 1:
            os.write(2, b"I was never here\\n")
            os._exit(3)
        context.team.sum(torch.zeros(3))
        return super().fit(train, context)
"""


def test_a_partner_that_dies_each_time_is_one_failed_cell_with_what_it_said(
    invoke: Invoke, tmp_path: Path
) -> None:
    file = tmp_path / "deserter.py"
    file.write_text(DESERTER)
    done = run(invoke, tmp_path / "results", "--fit-devices", "2", methods=f"{file}:Deserter")
    assert done.code == 3, done.err
    (failure,) = [record["failure"] for record in records(tmp_path / "results", "failed")]
    assert "shared the training ended with exit code 3" in failure["message"]
    assert "I was never here" in failure["traceback"]
    assert claims(tmp_path / "results") == []


def test_an_interrupt_takes_the_partners_along(tmp_path: Path) -> None:
    process = training(tmp_path, 100_000, "--fit-devices", "2", "--checkpoint-every", "1")
    found = children(process.pid)
    assert len(partners(process.pid)) == 1
    interrupt(process, signal.SIGINT)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))
    assert claims(tmp_path / "results") == []


def test_a_partner_that_is_killed_is_replaced_and_training_goes_on(tmp_path: Path) -> None:
    results = tmp_path / "results"
    process = training(tmp_path, 400, "--fit-devices", "2", "--checkpoint-every", "0")
    (partner,) = partners(process.pid)
    os.kill(partner, signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "shared the training was killed by SIGKILL" in err and "tried once more" in err
    (record,) = records(results)
    assert record["timing"]["fit"]["resumes"] == 1 and claims(results) == []


def test_the_time_limit_ends_the_leader_and_lets_the_partners_go(tmp_path: Path) -> None:
    more = ("--fit-devices", "2", "--checkpoint-every", "3600", "--time-limit", "20s")
    process = training(tmp_path, 100_000, *more)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "1 cell left: the time limit is reached" in err, err
    assert not records(tmp_path / "results", "failed") and claims(tmp_path / "results") == []


def test_a_resumption_with_other_parts_is_recorded(invoke: Invoke, tmp_path: Path) -> None:
    results = tmp_path / "results"
    process = training(tmp_path, 300, "--accumulate", "2", "--checkpoint-every", "0")
    assert interrupt(process, signal.SIGINT)[0] == 130
    done = run(invoke, results, "--set", "uniad.steps=300")
    assert done.code == 0 and "in 2 parts, later whole" in done.out, done.err
    assert records(results)[0]["timing"]["fit"]["divisions"] == [[1, 2], [1, 1]]


def test_a_second_try_for_want_of_memory_halves_each_part() -> None:
    class Cell:
        def build(self) -> Any:
            return UniAD(None)

    cell: Any = Cell()
    alone = Settings("cpu", "fp32", cache=None)  # type: ignore[arg-type]
    assert alone.division(cell) == (1, 1)
    assert replace(alone, batch_divisor=2).division(cell) == (1, 2)
    recruit: Any = nullcontext
    team = replace(alone, fit_devices=2, accumulate=3, recruit=recruit, batch_divisor=2)
    assert team.division(cell) == (2, 12)

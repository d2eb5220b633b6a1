"""`--time-limit` and methods of all manners: what was saved is gone on with, nothing half-trained
is published."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ends import table
from toy import Invoke, Toy

from adbench.contracts import Context
from adbench.contracts.interruptions import TimeLimitReached
from adbench.store.checkpoint import FileCheckpoint

STEPS = 30
METHOD = """
import time
import numpy as np
import torch
from adbench.testing import PixelGaussian


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={{"name": "mine"}})

    def fit(self, train, context):
        start = {{"step": 0, "mean": torch.zeros(train.pixels.shape[1:3])}}
        state = context.checkpoint.load() or start
        print("begins at step", state["step"])
        grey = torch.from_numpy(np.asarray(train.pixels).mean((0, 3)))
        for step in range(state["step"], {steps}):
            time.sleep(0.1)
            state = {{"step": step + 1, "mean": state["mean"] + 0.1 * (grey - state["mean"])}}
            {save}
        self.mean_, self.std_ = state["mean"].numpy(), np.ones(grey.shape)
        self.seed_ = context.seed
        return self
"""
MANNERS = {
    "its own loop": "context.checkpoint.save(state)",
    "when due": "if context.checkpoint.due(): context.checkpoint.save(state)",
    "every tenth step": "if step % 10 == 9: context.checkpoint.save(state)",
    "takes errors": """try:
                context.checkpoint.save(state)
            except Exception:
                pass""",
    "returns early": """try:
                context.checkpoint.save(state)
            except BaseException:
                break""",
}


def words(toy: Toy, folder: Path, save: str) -> list[str]:
    path = folder / "mine.py"
    path.write_text(METHOD.format(steps=STEPS, save=save))
    return ["run", "--methods", f"{path}:Mine", *toy.arguments("a"), "--preset", "smoke",
            "--no-timing", "--checkpoint-every", "3600"]  # fmt: skip


@pytest.mark.parametrize("manner", MANNERS)
def test_a_cell_is_left_and_gone_on_with(
    invoke: Invoke, toy: Toy, tmp_path: Path, manner: str
) -> None:
    command = words(toy, tmp_path, MANNERS[manner])
    limited = invoke(*command, "--time-limit", "1s")
    assert "1 cell left: the time limit is reached" in limited.err, limited.err
    assert "begins at step 0" in limited.err and "never saved" not in limited.err
    assert not list(tmp_path.glob("results/cells/*/record-*.json"))
    resumed = invoke(*command)
    assert resumed.code == 0 and "begins at step 0" not in resumed.err, resumed.err
    assert "begins at step" in resumed.err
    assert invoke(*command, "--results", "whole").code == 0
    assert table(invoke, tmp_path / "results") == table(invoke, tmp_path / "whole")


def test_a_fit_that_never_saves_goes_on_to_its_end_and_is_told(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    command = words(toy, tmp_path, "pass")
    limited = invoke(*command, "--time-limit", "1s")
    warnings = [line for line in limited.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "mine never saved" in warnings[0], limited.err
    assert "time limit" in warnings[0]
    again = invoke(*command, "--json")
    assert json.loads(again.out)[0]["status"] == "done" and "warning" not in again.err


def test_the_old_word_says_what_came_in_its_place(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    outcome = invoke(*words(toy, tmp_path, "late = context.deadline"))
    assert outcome.code == 3
    assert "checkpoint.save() ends a training that is over its time" in outcome.err


def test_a_checkpoint_is_due_and_raises_once_the_time_is_over(tmp_path: Path) -> None:
    early = FileCheckpoint(tmp_path / "c.pt", 3600, deadline=time.monotonic() + 3600)
    assert not early.due()
    early.save({"step": 1})
    late = FileCheckpoint(tmp_path / "c.pt", 3600, deadline=time.monotonic())
    assert late.load() == {"step": 1} and late.due()
    with pytest.raises(TimeLimitReached):
        late.save({"step": 2})
    assert FileCheckpoint(tmp_path / "c.pt", 3600).load() == {"step": 2}
    assert not issubclass(TimeLimitReached, Exception)


def test_the_contract_has_no_deadline() -> None:
    assert "deadline" not in Context.__dataclass_fields__
    assert "deadline" not in (Context.__doc__ or "")

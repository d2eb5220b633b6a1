"""One try at a cell: what is published by whom, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ends import ROUGH
from toy import PIXEL, Toy

from adbench.cell.settings import Settings
from adbench.contracts.interruptions import ClaimLost, OutOfMemory, is_out_of_memory
from adbench.executors import attempt as attempts
from adbench.executors.attempt import Ticket, attempt
from adbench.plan import Cell
from adbench.request import Request
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store


class Deaf:
    """Hears nothing."""

    def started(self) -> None:
        """Nothing."""

    def progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Nothing."""


class TakenOver(Deaf):
    """At a stage, another host takes the cell over, as after a long pause of ours."""

    def __init__(self, folder: Path, stage: str, gone: bool) -> None:
        self.folder, self.stage, self.gone = folder, stage, gone

    def progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        if stage == self.stage:
            if self.gone:  # and is done with it already
                (self.folder / "claim.1").unlink(missing_ok=True)
            else:
                other = {"host": "elsewhere", "pid": 1, "start": "1", "token": "other"}
                (self.folder / "claim.2").write_text(json.dumps(other))


@pytest.fixture
def request_(toy: Toy, tmp_path: Path) -> Request:
    return Request(
        f"{PIXEL}[steps=3]", (f"{toy.reference}:a",), preset="smoke", data_root=toy.folder,
        results=tmp_path / "results",
    )  # fmt: skip


def _parts(request: Request) -> tuple[Cell, Store, Settings, Ticket]:
    store = request.store()
    store.open_for_writing()
    cell = request.plan().cells[0]
    settings = Settings("cpu", "fp32", request.open_cache(), timing=False, checkpoint_seconds=0)
    return cell, store, settings, Ticket(0, cell.score_key, cell.fit_key)


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("stage", ["fit", "predict", "score"])
def test_an_owner_that_was_paused_publishes_nothing(
    request_: Request, stage: str, gone: bool
) -> None:
    cell, store, settings, ticket = _parts(request_)
    folder = store.cell(cell)
    listener = TakenOver(folder.path, stage, gone)
    done = attempt(cell, ticket, store, settings, ClaimWatch(), listener)
    assert done.outcome == "busy" and done.record is None
    assert folder.record() is None and folder.failure() is None
    if stage == "fit":
        assert not folder.model.exists() and not folder.checkpoint.exists()
    assert (folder.path / "claim.2").exists() is not gone


def test_a_try_after_the_end_runs_nothing(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, store, settings, ticket = _parts(request_)
    first = attempt(cell, ticket, store, settings, ClaimWatch(), Deaf())
    assert first.outcome == "finished" and first.record is not None
    monkeypatch.setattr(attempts, "_run", lambda *_: pytest.fail("it is there"))
    assert attempt(cell, ticket, store, settings, ClaimWatch(), Deaf()) == first


def test_the_deadline_ends_training_and_prediction_without_an_outcome(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adbench.store.predictions.CHUNK_IMAGES", 4)
    cell, store, settings, ticket = _parts(replace(request_, methods=f"{PIXEL}[steps=1]"))
    folder = store.cell(cell)
    late = replace(ticket, seconds_left=0.0)
    assert attempt(cell, late, store, settings, ClaimWatch(), Deaf()).outcome == "late"
    assert folder.checkpoint.exists() and not folder.model.exists()
    # What is saved is the last step: now prediction begins.
    assert attempt(cell, late, store, settings, ClaimWatch(), Deaf()).outcome == "late"
    assert folder.model.exists() and len(list(folder.predictions.iterdir())) == 1
    assert folder.failure() is None
    assert attempt(cell, ticket, store, settings, ClaimWatch(), Deaf()).outcome == "finished"


def test_out_of_memory_is_told_where_another_place_may_help(request_: Request) -> None:
    request = replace(request_, methods=f"{ROUGH}[fate=memory_in_predict]")
    cell, store, settings, ticket = _parts(request)
    elsewhere = replace(ticket, retry_here=False)
    assert attempt(cell, elsewhere, store, settings, ClaimWatch(), Deaf()).outcome == "memory"
    assert store.cell(cell).failure() is None
    halved = replace(elsewhere, batch_divisor=2)
    assert attempt(cell, halved, store, settings, ClaimWatch(), Deaf()).outcome == "finished"


def test_interruptions_are_no_exceptions_that_a_method_may_swallow() -> None:
    for kind in (ClaimLost, OutOfMemory):
        assert not issubclass(kind, Exception)


def test_what_counts_as_out_of_memory() -> None:
    import numpy as np
    import torch

    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
    )
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 50, np.float64)
    wrapped = ValueError("the batch failed")
    wrapped.__cause__ = caught.value
    assert is_out_of_memory(wrapped)
    assert not is_out_of_memory(RuntimeError("shape mismatch"))

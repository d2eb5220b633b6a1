"""One process at work on a plan: what is published by whom, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ends import ROUGH
from toy import PIXEL, Toy

from adbench.api import execute
from adbench.contracts.interruptions import ClaimLost, OutOfMemory, is_out_of_memory
from adbench.crew.agenda import Agenda
from adbench.crew.crew import DEATHS, Crash, Notes
from adbench.crew.reporter import Reporter
from adbench.plan import Cell
from adbench.request import Request
from adbench.store import claims
from adbench.store.folders import CellFolder, Store
from adbench.work.work import Work, make_settings


class TakenOver(Reporter):
    """At a stage, another host takes the cell over, as after a long pause of ours."""

    def __init__(self, folder: Path, stage: str, gone: bool) -> None:
        self.folder, self.stage, self.gone = folder, stage, gone

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
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
        results=tmp_path / "results", device="cpu", timing=False, checkpoint_seconds=0,
        wait=False,
    )  # fmt: skip


def parts(request: Request) -> tuple[Cell, CellFolder, Agenda]:
    request.store().open_for_writing()
    (cell,) = request.plan().cells
    return cell, request.store().cell(cell), Agenda.of([cell], request.store())


def work(request: Request, agenda: Agenda, deadline: float | None = None, **options: Any) -> Work:
    reporter = options.pop("reporter", Reporter())
    done = Work(request.plan(), agenda, request, make_settings(request, deadline), reporter,
                **options)  # fmt: skip
    done.run()
    return done


@pytest.mark.parametrize("overwrite", ["failed", "never"])
def test_what_another_run_finishes_while_this_one_begins_is_not_run_again(
    request_: Request, monkeypatch: pytest.MonkeyPatch, overwrite: str
) -> None:
    """Between the look at what is there and the list of what is to be run over."""
    request = replace(request_, overwrite=overwrite)
    original = Agenda.of

    def after_another(cells: list[Cell], store: Store) -> Agenda:
        monkeypatch.setattr(Agenda, "of", original)
        assert execute(request, request.plan(), Reporter()).reused == 0
        return original(cells, store)

    monkeypatch.setattr(Agenda, "of", after_another)
    result = execute(request, request.plan(), Reporter())
    assert result.reused == 1 and [record.number for _, record in result.records] == [1]


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("stage", ["fit", "predict", "score"])
def test_an_owner_that_was_paused_publishes_nothing(
    request_: Request, stage: str, gone: bool
) -> None:
    _, folder, agenda = parts(request_)
    done = work(request_, agenda, reporter=TakenOver(folder.path, stage, gone))
    assert done.end == "others" and done.outcomes == {}
    assert folder.record() is None and folder.failure() is None
    if stage == "fit":
        assert not folder.model.exists() and not folder.checkpoint.exists()
    assert (folder.path / "claim.2").exists() is not gone


def test_what_others_have_made_meanwhile_settles_a_cell(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the command says to run it again: that has happened by now."""
    everything = replace(request_, overwrite="all")
    assert work(everything, parts(everything)[2]).reused == 0
    _, folder, agenda = parts(everything)
    notes = Notes()
    assert work(everything, agenda, notes=notes).reused == 0, "it is made again"
    again = work(everything, agenda, notes=notes)
    assert again.reused == 1 and again.outcomes == {0: folder.record()}


def test_the_deadline_ends_training_and_prediction_without_an_outcome(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adbench.store.predictions.CHUNK_IMAGES", 4)
    request = replace(request_, methods=f"{PIXEL}[steps=1]")
    _, folder, agenda = parts(request)
    monkeypatch.setattr(Work, "is_late", lambda self: self.end != "")
    assert work(request, agenda, deadline=0.0).end == "late"
    assert folder.checkpoint.exists() and not folder.model.exists()
    # What is saved is the last step: now prediction begins.
    assert work(request, agenda, deadline=0.0).end == "late"
    assert folder.model.exists() and len(list(folder.predictions.iterdir())) == 1
    assert folder.failure() is None
    assert work(request, agenda).end == "done"


def test_out_of_memory_is_left_to_a_worker_that_is_alone(request_: Request) -> None:
    request = replace(request_, methods=f"{ROUGH}[fate=memory_in_predict]")
    cell, folder, agenda = parts(request)
    notes = Notes()
    assert work(request, agenda, notes=notes, part="beside").end == "spoiled"
    assert notes.note(cell.score_key).starved and folder.failure() is None
    assert work(request, agenda, notes=notes, part="beside").outcomes == {}
    (record,) = work(request, agenda, notes=notes, part="after").outcomes.values()
    assert "1/2 of a batch" in record.environment["out_of_memory"]


def test_a_cell_that_killed_its_workers_is_recorded_with_what_they_said(request_: Request) -> None:
    cell, folder, agenda = parts(request_)
    notes = Notes()
    notes.amend(cell.score_key, deaths=DEATHS, crash=Crash("its process was killed", ("alas",)))
    assert work(request_, agenda, notes=notes).end == "spoiled"
    failed = folder.failure()
    assert failed is not None and failed.failure is not None
    assert (failed.failure.message, failed.failure.traceback) == (
        "its process was killed",
        ["alas"],
    )


def test_the_cell_of_a_host_that_is_gone_is_taken_over(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, agenda = parts(request_)
    folder.path.mkdir(parents=True)
    owner = {"host": "elsewhere", "pid": 1, "start": "1", "token": "gone"}
    (folder.path / "claim.1").write_text(json.dumps(owner))
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.2)
    monkeypatch.setattr("adbench.work.work.POLL_SECONDS", 0.1)
    waiting = replace(request_, wait=True)
    assert work(waiting, agenda, patience=60.0).end == "done"
    assert folder.record() is not None and list(folder.path.glob("claim.*")) == []


def test_the_cell_of_a_live_host_is_left_to_it_in_the_end(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, agenda = parts(request_)
    owner = claims.ClaimWatch().try_claim(folder.path)
    assert owner is not None
    monkeypatch.setattr("adbench.work.work.POLL_SECONDS", 0.01)
    assert work(replace(request_, wait=True), agenda, patience=0.1).end == "others"
    owner.release()


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

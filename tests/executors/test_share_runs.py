"""A share at work: claims of hosts that are gone, and workers that the system kills."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import PIXEL, Toy

from adbench.executors import shares
from adbench.executors.attempt import Ticket
from adbench.executors.base import Crash, Ended, Event
from adbench.executors.job import Job
from adbench.executors.shares import Share
from adbench.executors.submitit_jobs import read_end
from adbench.executors.submitit_share import ShareTask
from adbench.plan import Cell
from adbench.request import Request
from adbench.store import claims
from adbench.store.claims import ClaimWatch, Look


@pytest.fixture
def request_(toy: Toy, tmp_path: Path) -> Request:
    return Request(
        PIXEL, (f"{toy.reference}:a",), preset="smoke", data_root=toy.folder,
        results=tmp_path / "results", timing=False,
    )  # fmt: skip


def _parts(request: Request) -> tuple[Cell, Ticket, Job]:
    (cell,) = request.plan().cells
    ticket = Ticket(0, cell.score_key, cell.fit_key)
    return cell, ticket, Job.here(request)


def _pool(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[Ticket], Ended], tried: list[Ticket]
) -> None:
    """In the place of workers, `answer`; the tickets are in `tried`."""

    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def open(self, hear: Callable[[Event], None]) -> None:
            self.hear = hear

        def submit(self, ticket: Ticket) -> None:
            tried.append(ticket)
            self.hear(answer(ticket))

        def close(self, *, abort: bool) -> None:
            pass

    monkeypatch.setattr(shares, "LocalExecutor", Pool)


def test_the_cell_of_a_host_that_is_gone_is_taken_over(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a job that SLURM starts again elsewhere when its node died, and no launcher waits."""
    cell, ticket, job = _parts(request_)
    folder = request_.store().cell(cell)
    folder.path.mkdir(parents=True)
    owner = {"host": "elsewhere", "pid": 1, "start": "1", "token": "gone"}
    (folder.path / "claim.1").write_text(json.dumps(owner))
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.2)
    monkeypatch.setattr(shares, "RETRY_SECONDS", 0.1)
    ShareTask(job, [ticket], tmp_path / "end.json")()
    assert read_end(tmp_path / "end.json") == {cell.score_key: "finished"}
    assert folder.record() is not None
    assert list(folder.path.glob("claim.*")) == []


def test_a_cell_of_a_live_host_is_left_to_it_in_the_end(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ticket, job = _parts(request_)
    left: list[tuple[Ticket, ...]] = []

    def look(_watch: ClaimWatch, _folder: Path) -> Look:
        left.append(share.unfinished())
        return Look("live", "claim.1:other")

    monkeypatch.setattr(ClaimWatch, "look", look)
    monkeypatch.setattr(shares, "RETRY_SECONDS", 0.01)
    _pool(monkeypatch, lambda t: Ended(t.index, "busy"), [])
    share = Share(job, [ticket], patience=0.1)
    assert share.run().outcomes == {0: "busy"} and share.unfinished() == ()
    assert len(left) > 1 and set(left) == {(ticket,)}, "a job that is requeued meanwhile has it"


def test_a_job_too_short_for_the_wait_does_not_begin_it(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ticket, job = _parts(request_)
    _pool(monkeypatch, lambda t: Ended(t.index, "busy"), [])
    monkeypatch.setattr(ClaimWatch, "look", lambda *_: Look("live", "claim.1:other"))
    short = Ticket(0, ticket.key, ticket.fit, seconds_left=1e6)
    assert Share(job, [short], patience=1e6).run().outcomes == {0: "busy"}


def test_a_worker_killed_for_memory_is_tried_once_more_with_half_a_batch(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, ticket, job = _parts(request_)
    folder = request_.store().cell(cell)
    killed = Crash("its process was killed by SIGKILL (no memory)", out_of_memory=True)
    tried: list[Ticket] = []

    def killed_at_first(ticket: Ticket) -> Ended:
        if ticket.batch_divisor > 1:
            return Ended(0, "finished")
        return Ended(0, "crashed", crash=killed)

    _pool(monkeypatch, killed_at_first, tried)
    assert Share(job, [ticket]).run().outcomes == {0: "finished"}
    assert [t.batch_divisor for t in tried] == [1, 2] and folder.failure() is None

    tried.clear()
    _pool(monkeypatch, lambda _: Ended(0, "crashed", crash=killed), tried)
    assert Share(job, [ticket]).run().outcomes == {0: "finished"}
    failed = folder.failure()
    assert [t.batch_divisor for t in tried] == [1, 2] and failed is not None
    assert failed.failure is not None and failed.failure.message == killed.what

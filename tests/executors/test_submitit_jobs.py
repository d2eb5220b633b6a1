"""Jobs that an earlier launcher has left, or that are gone: a SLURM of scripts, and no worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from toy import PIXEL, Toy

from adbench.executors import submitit_arrays
from adbench.executors.attempt import Ticket
from adbench.executors.base import Ended, Event
from adbench.executors.job import Job
from adbench.executors.shares import Share, ShareEnd
from adbench.executors.submitit_arrays import SubmititExecutor
from adbench.executors.submitit_share import ShareTask
from adbench.request import Request
from adbench.store import atomic
from adbench.store.owners import process_start

submitit = pytest.importorskip("submitit", reason="needs the extra 'submitit'")

ELSEWHERE = Ticket(7, "key", "fit")
"""The cell, as a launcher with another plan knows it."""


@pytest.fixture
def job(toy: Toy, tmp_path: Path) -> Job:
    request = Request(
        PIXEL, (toy.reference,), preset="smoke", data_root=toy.folder, results=tmp_path / "r",
        timing=False,
    )  # fmt: skip
    return Job.here(request)


class Slurm:
    """Commands of SLURM, each a script; what they tell of jobs 7 and 8 is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script("srun", "")
        self.script("sbatch", f"echo >> {folder}/sent; echo Submitted batch job 8")
        self.says("UNKNOWN", queue="")

    def says(self, state: str, queue: str) -> None:
        """What accounting says of the jobs, and the command that lists the queue."""
        lines = ["JobID|State|NodeList"]
        if state != "UNKNOWN":
            lines += [f"{number}|{state}|node" for number in (7, 8)]
        self.script("sacct", "\n".join(f"echo '{line}'" for line in lines))
        self.script("squeue", queue)

    def sent(self) -> int:
        """How many jobs were sent."""
        log = self.folder / "sent"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def script(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    submitit.SlurmJob.watcher.clear()
    return Slurm(tmp_path / "bin")


def leave_behind(job: Job, number: str, start: str | None) -> Path:
    """What a launcher wrote of a job with one cell; gives the file in which that tells its end."""
    jobs = job.request.results / "jobs"
    share = {"job": number, "start": start, "end": "end-1.json", "cells": [ELSEWHERE.key]}
    atomic.write_json(jobs / "share-1.json", share)
    return jobs / "end-1.json"


def launch(job: Job, cluster: str) -> tuple[SubmititExecutor, list[Event]]:
    """A launcher that needs the cell, and what it hears."""
    heard: list[Event] = []
    executor = SubmititExecutor(job, None, 1, {"cluster": cluster})
    executor.open(heard.append)
    executor.submit(ELSEWHERE)
    return executor, heard


@pytest.mark.parametrize("state", ["PREEMPTED", "UNKNOWN"])
def test_a_cell_whose_job_is_gone_gets_a_new_one(job: Job, slurm: Slurm, state: str) -> None:
    slurm.says(state, queue="")
    leave_behind(job, "7", None)
    executor, heard = launch(job, "slurm")
    executor.wait(0)
    assert slurm.sent() == 1 and heard == []


@pytest.mark.parametrize("state", ["PREEMPTED", "UNKNOWN", "RUNNING"])
@pytest.mark.parametrize("queue", ["echo 6; echo 7", "echo no controller >&2; exit 1"])
def test_a_job_that_may_still_run_is_waited_for(
    job: Job, slurm: Slurm, state: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where accounting is off: all jobs that wait are unknown to it."""
    monkeypatch.setattr(submitit_arrays, "LOST_SECONDS", 0.0)
    slurm.says(state, queue)
    leave_behind(job, "7", None)
    executor, heard = launch(job, "slurm")
    executor.wait(0)
    assert slurm.sent() == 0 and heard == []


@pytest.mark.parametrize(("state", "outcome"), [("PREEMPTED", "busy"), ("UNKNOWN", "crashed")])
def test_a_job_that_vanishes_while_it_is_waited_for(
    job: Job, slurm: Slurm, state: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, heard = launch(job, "slurm")
    slurm.says(state, queue="")
    executor.wait(0)
    assert slurm.sent() == 1 and heard == [], "it may be late in telling of its end"
    monkeypatch.setattr(submitit_arrays, "LOST_SECONDS", 0.0)
    executor.wait(0)
    (ended,) = heard
    assert isinstance(ended, Ended) and ended.outcome == outcome
    assert ended.crash is None or f"(state {state})" in ended.crash.what


def test_the_number_of_a_process_that_is_gone_may_be_anothers(job: Job) -> None:
    end = leave_behind(job, str(os.getpid()), process_start(os.getpid()))
    share = end.with_name("share-1.json")
    launch(job, "local")
    assert share.exists(), "that one runs"
    leave_behind(job, str(os.getpid()), "1")
    launch(job, "local")
    assert not share.exists()


def test_a_launcher_with_another_plan_is_told_of_the_cell(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job knows the cell by its own plan's index."""
    end = leave_behind(job, str(os.getpid()), process_start(os.getpid()))
    executor, heard = launch(job, "local")
    outcomes = {0: "finished", 7: "late"}
    monkeypatch.setattr(Share, "run", lambda _: ShareEnd(outcomes))
    monkeypatch.setattr(Share, "unfinished", lambda _: ())
    ShareTask(job, [Ticket(0, ELSEWHERE.key, "fit"), Ticket(7, "other", "fit")], end)()
    executor.wait(0)
    assert heard == [Ended(7, "finished")]


def test_an_end_that_cannot_be_read_is_no_crash(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    end = leave_behind(job, str(os.getpid()), process_start(os.getpid()))
    executor, heard = launch(job, "local")
    end.write_text("{")
    executor.wait(0)
    assert heard == [Ended(7, "busy")], "the grid looks again"
    assert end.name in capsys.readouterr().err and not end.exists()

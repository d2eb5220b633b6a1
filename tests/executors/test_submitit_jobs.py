"""Jobs that an earlier launcher has left, or that are gone: a SLURM of scripts, and no worker."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from toy import PIXEL, Toy

from adbench.crew.agenda import Agenda
from adbench.crew.crew import Crew, Status
from adbench.crew.reporter import Reporter
from adbench.errors import AdbenchError
from adbench.launch import slurm as launcher
from adbench.launch.slurm import Jobs, launch_jobs
from adbench.launch.watch import Watch
from adbench.request import Request
from adbench.store.owners import process_start

submitit = pytest.importorskip("submitit", reason="needs the extra 'submitit'")


@pytest.fixture
def request_(toy: Toy, tmp_path: Path) -> Request:
    return Request(
        PIXEL, (f"{toy.reference}:a",), preset="smoke", data_root=toy.folder,
        results=tmp_path / "r", timing=False, slots=1,
    )  # fmt: skip


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


def parts(request: Request) -> tuple[Agenda, Watch]:
    store, plan = request.store(), request.plan()
    agenda = Agenda.of(plan.cells, store)
    return agenda, Watch(request, plan, agenda, Reporter())


def leave_behind(request: Request, number: str, start: str | None) -> Crew:
    """What a launcher wrote of a job with the cell."""
    crew = Crew.gather(request.results, parts(request)[0])
    crew.write("jobs", {"jobs": [[number, start]]})
    return crew


def launch(request: Request, cluster: str) -> int:
    """A launcher that does not wait; the cells that it leaves to jobs."""
    _, watch = parts(replace(request, wait=False))
    return launch_jobs({"cluster": cluster}, watch)


@pytest.mark.parametrize("state", ["PREEMPTED", "UNKNOWN"])
def test_a_cell_whose_job_is_gone_gets_a_new_one(
    request_: Request, slurm: Slurm, state: str
) -> None:
    slurm.says(state, queue="")
    crew = leave_behind(request_, "7", None)
    assert launch(request_, "slurm") == 1
    assert slurm.sent() == 1 and not crew.is_there()


@pytest.mark.parametrize("state", ["PREEMPTED", "UNKNOWN", "RUNNING"])
@pytest.mark.parametrize("queue", ["echo 6; echo 7", "echo no controller >&2; exit 1"])
def test_a_job_that_may_still_run_is_waited_for(
    request_: Request, slurm: Slurm, state: str, queue: str
) -> None:
    """Also where accounting is off: all jobs that wait are unknown to it."""
    slurm.says(state, queue)
    crew = leave_behind(request_, "7", None)
    assert launch(request_, "slurm") == 1
    assert slurm.sent() == 0 and crew.is_there()


@pytest.mark.parametrize(("state", "deaths"), [("PREEMPTED", 0), ("UNKNOWN", 1)])
def test_a_job_that_vanishes_while_it_is_waited_for(
    request_: Request, slurm: Slurm, state: str, deaths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cell gets another job, and who loses it for no good reason is counted."""
    agenda, watch = parts(request_)
    crew = Crew.gather(request_.results, agenda)
    jobs = Jobs(request_, {"cluster": "slurm"})
    jobs.send(crew, list(watch.free()))
    (key,) = agenda.over
    crew.write("w.status", vars(Status(cell=key)))
    slurm.says(state, queue="")
    jobs.follow(crew, watch)
    assert slurm.sent() == 1, "it may be late in telling of its end"
    monkeypatch.setattr(launcher, "LOST_SECONDS", 0.0)
    jobs.follow(crew, watch)
    note = crew.note(key)
    assert slurm.sent() == 2 and note.deaths == deaths
    assert not deaths or f"(state {state})" in note.crash.what


def test_jobs_that_do_not_begin_end_the_run(
    request_: Request, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "LOST_SECONDS", 0.0)
    agenda, watch = parts(request_)
    crew = Crew.gather(request_.results, agenda)
    jobs = Jobs(request_, {"cluster": "slurm"})
    jobs.send(crew, list(watch.free()))
    with pytest.raises(AdbenchError, match=r"a job did not begin: .*\(state UNKNOWN\)"):
        jobs.follow(crew, watch)


def test_the_number_of_a_process_that_is_gone_may_be_anothers(request_: Request) -> None:
    mine = str(os.getpid())
    crew = leave_behind(request_, mine, process_start(os.getpid()))
    jobs = Jobs(request_, {"cluster": "local"})
    jobs.find(crew)
    assert jobs.crews == [crew], "that one runs"
    other = leave_behind(request_, mine, "1")
    jobs.find(other)
    assert jobs.crews == [crew] and not other.is_there()


def test_jobs_that_cannot_be_read_are_none(request_: Request, slurm: Slurm) -> None:
    crew = leave_behind(request_, "7", None)
    slurm.says("RUNNING", queue="echo 7")
    (crew.folder / "jobs").write_text("{")
    assert launch(request_, "slurm") == 1 and slurm.sent() == 1

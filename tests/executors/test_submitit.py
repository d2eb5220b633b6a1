"""`--executor submitit`, with submitit's own local executor in the place of SLURM."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from ends import (
    PATIENCE,
    ROUGH,
    arguments,
    children,
    claims,
    interrupt,
    is_gone,
    records,
    table,
    until,
)
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, spawn, spawn_cold

from adbench.crew.agenda import Agenda
from adbench.crew.crew import Crew
from adbench.launch.processes import Place
from adbench.launch.slurm import JobTask, requeue_signal
from adbench.request import Request

pytest.importorskip("submitit", reason="needs the extra 'submitit'")

JOBS = ("--executor", "submitit[cluster=local]")


def _status(invoke: Invoke, results: Path) -> dict[str, int]:
    counts: dict[str, int] = json.loads(invoke("status", "--results", str(results), "--json").out)[
        "counts"
    ]
    return counts


def _job(results: Path) -> int:
    """The process of the first job that was sent."""
    (jobs,) = results.glob("workers/*/jobs")
    return int(json.loads(jobs.read_text())["jobs"][0][0])


def test_the_table_is_that_of_serial_and_a_crash_spares_its_share(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    one, two = tmp_path / "serial", tmp_path / "jobs"
    command = arguments(toy, f"{ROUGH}[fate=none|segfault,seed=1]", two, "--seeds", "0-1", *JOBS)
    process = spawn(*command, "--slots", "2", cwd=tmp_path)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, err
    failures = [r["failure"]["message"] for r in records(two, "failed")]
    assert failures == ["its process was killed by SIGSEGV (Segmentation fault)"] * 2
    assert len(records(two)) == 6 and claims(two) == []
    logs = list(two.glob("jobs/*/*_submitted.pkl"))
    assert len(logs) == 2, "short cells share a job"
    method = f"{ROUGH}[fate=none,seed=1]"
    assert invoke(*arguments(toy, method, one, "--seeds", "0-1")).code == 0
    whole = [row for row in table(invoke, two) if "segfault" not in row["variant"]]
    assert whole == table(invoke, one)


def test_a_preempted_job_is_requeued_and_its_cell_goes_on(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    """The signal is the one that SLURM sends before a time limit, too."""
    results, whole = tmp_path / "results", tmp_path / "whole"
    slow = f"{PIXEL}[steps=30,step_seconds=0.1,noise=0.5]"
    process = spawn(*arguments(toy, slow, results, *JOBS, "--slots", "1"), cwd=tmp_path)
    until(lambda: list(results.glob("cells/*/checkpoint.pt")))
    (job,) = children(_job(results))
    os.kill(job, requeue_signal())
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert sorted(r["timing"]["fit"]["resumes"] for r in records(results)) == [0, 1]
    logs = [p.read_text() for p in results.glob("jobs/*/*_log.*")]
    assert any("Requeued job" in log for log in logs)
    assert invoke(*arguments(toy, slow, whole)).code == 0
    assert table(invoke, results) == table(invoke, whole)


def test_a_job_that_its_time_ends_asks_to_be_requeued(toy: Toy, tmp_path: Path) -> None:
    request = Request(
        PIXEL, (f"{toy.reference}:a",), preset="smoke", data_root=toy.folder,
        results=tmp_path / "r", timing=False,
    )  # fmt: skip
    (cell,) = request.plan().cells
    crew = Crew.gather(request.results, Agenda.of([cell], request.store()))
    left: list[JobTask] = []

    def requeue(_number: int, _frame: object) -> None:
        left.append(late.checkpoint().function)
        raise SystemExit

    late = JobTask(request, Place.here(), str(crew.folder), seconds=0.0)
    kept = {n: signal.signal(n, requeue) for n in (requeue_signal(), signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit):
            late()
        assert left == [late], "with the time that a new job has"
        JobTask(request, Place.here(), str(crew.folder), seconds=1e6)()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert len(left) == 1 and request.store().cell(cell).record() is not None
    crew.disband()
    late()  # nobody wants it any more: it does not begin, and is not requeued
    assert len(left) == 1


def test_the_launcher_may_leave_and_come_back(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    slow = f"{PIXEL}[steps=100,step_seconds=0.1]"
    command = arguments(toy, slow, results, *JOBS, "--slots", "1")
    process = spawn(*command, "--no-wait", cwd=tmp_path)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "2 cells left to the jobs: adbench status" in err, err
    until(lambda: {s for s, n in _status(invoke, results).items() if n} & {"running", "finished"})
    again = spawn(*command, cwd=tmp_path)
    _, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, err
    assert len(list(results.glob("jobs/*/*_submitted.pkl"))) == 1, "nothing is submitted twice"
    assert _status(invoke, results)["finished"] == 2


def test_an_interrupted_launcher_stops_no_job(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    slow = f"{PIXEL}[steps=30,step_seconds=0.1]"
    process = spawn_cold(*arguments(toy, slow, results, *JOBS), cwd=tmp_path, process_group=0)
    until(lambda: claims(results))
    code, _ = interrupt(process, signal.SIGINT)
    assert code == 130
    job = _job(results)
    until(lambda: _status(invoke, results)["finished"] == 2)
    until(lambda: is_gone(job))


def test_an_option_that_submitit_does_not_know_is_told(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    for options in ("cluster=local,partitoin=gpu", "cluster=nowhere", "cluster=local,mem_gb=much"):
        command = arguments(toy, PIXEL, tmp_path / "r", "--executor", f"submitit[{options}]")
        assert "--executor submitit: " in the_error(invoke(*command), 2)

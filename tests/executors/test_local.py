"""`--executor local`: the table of serial, and what happens to one cell happens to no other."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from ends import ROUGH, arguments, children, claims, interrupt, is_gone, records, table, until
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, spawn

import adbench

LOCAL = ("--executor", "local", "--slots", "2")


def test_the_table_is_that_of_serial(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    one, two = tmp_path / "serial", tmp_path / "local"
    method = f"{PIXEL}[noise=0.5]"
    assert invoke(*arguments(toy, method, one, "--seeds", "0-2")).code == 0
    outcome = invoke(*arguments(toy, method, two, "--seeds", "0-2", *LOCAL))
    assert outcome.code == 0, outcome.err
    assert table(invoke, one) == table(invoke, two) and len(records(two)) == 6
    assert claims(two) == []
    again = invoke(*arguments(toy, method, two, "--seeds", "0-2", *LOCAL))
    assert again.code == 0 and "6 there already" in again.err and "started" not in again.err


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("segfault", "its process was killed by SIGSEGV (Segmentation fault)"),
        ("exit", "its process ended with exit code 7 in the middle of it"),
        ("kill", "its process was killed by SIGKILL (Killed)"),
    ],
)
def test_a_dead_process_is_one_failed_cell_with_what_happened(
    invoke: Invoke, toy: Toy, tmp_path: Path, fate: str, said: str
) -> None:
    results = tmp_path / "results"
    method = f"{ROUGH}[fate={fate},seed=1]"
    outcome = invoke(*arguments(toy, method, results, "--seeds", "0-2", *LOCAL))
    assert outcome.code == 3, outcome.err
    failures = [record["failure"] for record in records(results, "failed")]
    assert [failure["message"] for failure in failures] == [said, said]  # one per category
    assert len(records(results)) == 4 and claims(results) == []
    for failure in failures:
        lines = failure["traceback"]
        assert f"about to {fate}" in lines and len(lines) <= 30
        assert not any("/root" in line or str(tmp_path) in line for line in lines)
        if fate == "segfault":
            assert any('rough.py", line' in line and "in fit" in line for line in lines)
    assert f"FAILED: ProcessDied: {said}" in outcome.err


@pytest.mark.parametrize("fate", ["memory_in_fit", "memory_in_predict"])
@pytest.mark.parametrize("where", [LOCAL, ("--executor", "local", "--slots", "1"), ()])
def test_out_of_memory_is_tried_once_more_and_said_in_the_record(
    invoke: Invoke, toy: Toy, tmp_path: Path, fate: str, where: tuple[str, ...]
) -> None:
    results, plain = tmp_path / "results", tmp_path / "plain"
    method = f"{ROUGH}[fate={fate},seed=1]"
    outcome = invoke(*arguments(toy, method, results, "--seeds", "0-1", *where))
    assert outcome.code == 0, outcome.err
    starved = [r for r in records(results) if "out_of_memory" in r["environment"]]
    assert [r["identity"]["seed"] for r in starved] == [1, 1]
    assert all("1/2 of a batch" in r["environment"]["out_of_memory"] for r in starved)
    assert ("it will be tried again alone" in outcome.err) == (where == LOCAL)
    assert invoke(*arguments(toy, f"{ROUGH}[seed=1]", plain, "--seeds", "0-1")).code == 0
    numbers = [[r["metrics"] for r in _in_order(folder)] for folder in (results, plain)]
    assert numbers[0] == numbers[1]


def _in_order(results: Path) -> list[dict[str, object]]:
    return sorted(
        records(results), key=lambda r: (r["identity"]["categories"], r["identity"]["seed"])
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_workers_and_releases_their_claims(
    toy: Toy, tmp_path: Path, number: signal.Signals
) -> None:
    results = tmp_path / "results"
    slow = f"{PIXEL}[steps=20000,step_seconds=0.1]"  # never ends by itself
    process = spawn(*arguments(toy, slow, results, *LOCAL), cwd=tmp_path)
    until(lambda: len(list(results.glob("cells/*/checkpoint.pt"))) == 2)
    workers = children(process.pid)
    code, err = interrupt(process, number)
    assert code == 130 and "error: interrupted" in err and "Traceback" not in err, err
    assert len(workers) == 2 and all(is_gone(pid) for pid in workers)
    assert claims(results) == [] and records(results, "*") == []


def test_workers_do_not_outlive_a_killed_parent(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    slow = f"{PIXEL}[steps=60,step_seconds=0.05]"
    process = spawn(*arguments(toy, slow, results, *LOCAL), cwd=tmp_path)
    until(lambda: claims(results))
    workers = children(process.pid)
    interrupt(process, signal.SIGKILL)
    until(lambda: all(is_gone(pid) for pid in workers))
    assert invoke(*arguments(toy, slow, results, *LOCAL)).code == 0
    assert records(results, "failed") == []


def test_a_time_limit_leaves_cells_to_go_on_with(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results, whole = tmp_path / "results", tmp_path / "whole"
    slow = f"{ROUGH}[steps=40,step_seconds=0.2,noise=0.5]"  # 8 s at least
    limited = (*LOCAL, "--time-limit", "6s")
    outcome = invoke(*arguments(toy, slow, results, *limited))
    assert outcome.code == 0, outcome.err
    assert "2 cells left: the time limit is reached" in outcome.err
    assert records(results, "*") == [] and claims(results) == []
    assert invoke(*arguments(toy, slow, results, *LOCAL)).code == 0
    assert invoke(*arguments(toy, slow, whole, *LOCAL)).code == 0
    assert table(invoke, results) == table(invoke, whole)


def test_timing_comes_afterwards_one_by_one(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    command = arguments(toy, PIXEL, results, *LOCAL, "--no-keep-model")
    command.remove("--no-timing")
    outcome = invoke(*command)
    assert outcome.code == 0 and "timing inference of 2 cells, one at a time" in outcome.err
    assert all(r["timing"]["inference"]["images_per_second"] > 0 for r in records(results))
    assert list(results.glob("cells/*/model")) == []
    assert outcome.err.count(": started") == 2


def test_a_full_grid_error_is_one_line(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    command = arguments(toy, PIXEL, tmp_path / "r", *LOCAL, "--device", "cuda:99")
    assert "--device cuda:99" in the_error(invoke(*command), 2)


def test_the_python_interface_takes_an_executor(toy: Toy, tmp_path: Path) -> None:
    rows = adbench.run(
        PIXEL, toy.reference, preset="smoke", data_root=toy.folder, results=tmp_path / "r",
        timing=False, executor="local", slots=1,
    )  # fmt: skip
    assert set(rows["status"]) == {"done"} and len(rows) == 3

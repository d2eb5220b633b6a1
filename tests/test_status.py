"""`adbench status`: how far a grid is, from the results folder alone."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from ends import ROUGH, arguments, claims, interrupt, until
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, spawn

from adbench.code_digest import MethodCode
from adbench.store.plan_files import read_plans

CHANGED = MethodCode("0" * 16, {"changed": "x"})


def _counts(invoke: Invoke, results: Path) -> dict[str, int]:
    outcome = invoke("status", "--results", str(results), "--json")
    assert outcome.code == 0, outcome.err
    counts: dict[str, int] = json.loads(outcome.out)["counts"]
    return {state: count for state, count in counts.items() if count}


def test_a_folder_without_a_run_is_an_error_with_a_way_out(invoke: Invoke, tmp_path: Path) -> None:
    said = the_error(invoke("status", "--results", str(tmp_path / "none")), 2)
    assert "no run was started" in said and "adbench run --results" in said


def test_each_state_is_told(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert invoke(*arguments(toy, PIXEL, results)).code == 0
    assert _counts(invoke, results) == {"finished": 2}
    assert invoke(*arguments(toy, f"{ROUGH}[fate=raise]", results)).code == 3
    assert _counts(invoke, results) == {"finished": 2, "failed": 2}
    slow = f"{PIXEL}[steps=600,step_seconds=0.1]"
    process = spawn(*arguments(toy, slow, results), cwd=tmp_path)
    until(lambda: list(results.glob("cells/*/checkpoint.pt")))
    assert _counts(invoke, results) == {"finished": 2, "failed": 2, "running": 1, "waiting": 1}
    text = invoke("status", "--results", str(results)).out
    assert "6 cells: 2 finished, 1 running, 2 failed, 1 waiting" in text
    assert "running     toy/a · pixel_gaussian[step_seconds=0.1,steps=600] · seed 0 · smoke" in text
    assert "training saved" in text and "broken on purpose" in text
    interrupt(process, signal.SIGKILL)
    assert _counts(invoke, results)["interrupted"] == 1
    assert claims(results), "looking removes nothing"


def test_nothing_in_it_names_the_machine(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    invoke(*arguments(toy, PIXEL, results))
    (plan,) = (results / "plans").iterdir()
    shown = plan.read_text() + invoke("status", "--results", str(results), "--json").out
    assert str(tmp_path) not in shown and os.uname().nodename not in shown


def test_the_same_plan_is_kept_once_and_changed_code_supersedes(
    invoke: Invoke, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    for overwrite in ("failed", "all"):
        invoke(*arguments(toy, PIXEL, results, "--overwrite", overwrite))
    assert len(list((results / "plans").iterdir())) == 1
    monkeypatch.setattr("adbench.plan.method_code", lambda method: CHANGED)
    monkeypatch.setattr("adbench.store.plan_files.now", lambda: "2999-01-01T00:00:00Z")
    invoke(*arguments(toy, PIXEL, results))
    assert len(list((results / "plans").iterdir())) == 2
    assert _counts(invoke, results) == {"finished": 2}


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:-40], lambda text: text.replace("toy", "boy"), lambda text: "[]",
     lambda text: text.replace('"fit": "', '"fit": "../')],
)  # fmt: skip
def test_a_damaged_plan_is_set_aside(
    invoke: Invoke, toy: Toy, tmp_path: Path, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    invoke(*arguments(toy, PIXEL, results))
    (plan,) = (results / "plans").iterdir()
    plan.write_text(damage(plan.read_text()))  # type: ignore[operator]
    assert read_plans(results) == []
    assert "set aside" in capsys.readouterr().err
    assert [p.name.split(".")[2][:7] for p in (results / "plans").iterdir()] == ["damaged"]

"""The command line as a program: help, what it imports, JSON, interrupts, pipes, encodings."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from outcomes import the_error
from rich.console import Console
from toy import PIXEL, Invoke, Toy, spawn, spawn_cold

import adbench
from adbench.report.report import print_report
from adbench.store.folders import Store
from adbench.store.newest import latest

HEAVY = ("torch", "pandas", "matplotlib", "numpy", "scipy", "PIL", "timm", "diffusers", "faiss")
COMMANDS = ("run", "plan", "report", "runs", "methods", "datasets", "doctor", "data",
            "compare", "gate", "history", "baseline")  # fmt: skip


def strict_json(text: str) -> Any:
    """Parsed, refusing the NaN and Infinity that Python lets pass."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def run_arguments(toy: Toy, *categories: str, steps: str = "") -> list[str]:
    method = f"{PIXEL}[{steps}]" if steps else PIXEL
    return ["--methods", method, *toy.arguments(*categories), "--preset", "smoke"]


# -------------------------------------------------------------------------------------- help


def test_help_is_plain_text_and_complete(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    outcome = invoke("--help")
    assert outcome.code == 0 and outcome.err == ""
    assert all(f"\n  {name} " in outcome.out for name in COMMANDS)
    run = invoke("run", "--help").out
    assert "NAME[k=v,k2=v1|v2]" in run and max(map(len, run.splitlines())) <= 100


@pytest.mark.parametrize("arguments", [(), ("data",)])
def test_no_command_shows_help_and_is_an_error(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    outcome = invoke(*arguments)
    assert outcome.code == 2 and "Commands:" in outcome.out


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").out == f"{adbench.__version__}\n"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_run_and_plan_select_cells_by_the_same_options(invoke: Invoke, command: str) -> None:
    text = invoke(command, "--help").out
    for name in ("methods", "dataset", "preset", "set", "seeds", "scope", "limit", "mask-rule",
                 "data-root", "results", "cache", "shard", "overwrite"):  # fmt: skip
        assert f"--{name} " in text


# ----------------------------------------------------------------------------------- imports


def modules_after(*arguments: str, cwd: Path) -> set[str]:
    """Top-level modules loaded once the command has run."""
    script = (
        "import sys\nfrom adbench.cli import main\n"
        f"sys.argv = ['adbench', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print('MODULES ' + ' '.join(sorted(names)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("methods",), ("datasets",)])
def test_listing_imports_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert not modules_after(*arguments, cwd=tmp_path) & set(HEAVY)


def test_a_finished_grid_is_shown_without_torch_scipy_or_an_image_library(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    arguments = ["run", *run_arguments(toy, "a"), "--no-timing"]
    assert invoke(*arguments).code == 0
    loaded = modules_after(*arguments, cwd=tmp_path)
    assert not loaded & {"torch", "scipy", "PIL", "matplotlib", "timm", "sklearn"}


# -------------------------------------------------------------------------------------- JSON


def test_every_json_is_strict_and_alone_on_stdout(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (toy.root / "a/test/good").iterdir():
        file.unlink()  # undefined metrics must be null
    arguments = run_arguments(toy)
    data = [toy.reference, "--data-root", str(toy.folder)]
    for command in (
        ["plan", *arguments], ["report"], ["runs"], ["run", *arguments], ["plan", *arguments],
        ["run", *arguments, "--explain-cache"], ["report"], ["runs", "--all"], ["methods"],
        ["compare", "results", "results"], ["history"],
        ["methods", "patchcore"], ["methods", PIXEL], ["datasets"], ["datasets", "mpdd"],
        ["data", "verify", *data], ["doctor", "--data-root", str(toy.folder)],
    ):  # fmt: skip
        outcome = invoke(*command, "--json")
        assert outcome.code == 0, outcome
        strict_json(outcome.out)
    report = strict_json(invoke("report", "--json").out)
    assert report[0]["image_auroc"] is None


def test_an_empty_results_folder_has_no_table_but_valid_json(
    invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        message = the_error(invoke("report", "--results", folder), 2)
        assert f"no record in {folder}: `adbench run --results {folder}` makes some" in message
        assert invoke("report", "--results", folder, "--json").out == "[]\n"
        assert invoke("runs", "--results", folder).out == f"no record in {folder}\n"
    assert not (tmp_path / "absent").exists()


def test_no_number_and_no_name_is_cut_on_a_narrow_terminal(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    invoke("run", *run_arguments(toy), "--no-timing")
    file = io.StringIO()
    records = latest(Store(tmp_path / "results").records())
    print_report(records, Console(file=file, width=40, emoji=False))
    text = file.getvalue()
    assert "…" not in text and "AUPRO@0.05" in text and " pixel_gaussian smoke " in text
    numbers = re.findall(r"\d+\.\d\d\b", invoke("report").out)
    assert len(numbers) >= 12 and all(number in text for number in numbers)


# ------------------------------------------------------------------------- interrupts and pipes


def wait_for(path: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not list(path.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_grid_says_how_to_go_on_and_can(
    toy: Toy, tmp_path: Path, invoke: Invoke, number: signal.Signals
) -> None:
    arguments = ["run", *run_arguments(toy, steps="steps=30,step_seconds=0.05"), "--no-timing"]
    results = tmp_path / "results"
    process = spawn(*arguments, "--checkpoint-every", "0", cwd=tmp_path)
    wait_for(results, "cells/*/checkpoint.pt")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and out == ""
    assert err.splitlines()[-1].startswith("error: interrupted: ")
    assert "run the same command again" in err.splitlines()[-1]
    assert not list(results.glob("cells/*/claim.*"))
    again = invoke(*arguments)
    assert again.code == 0 and "2 to run" in again.err


@pytest.mark.parametrize("command", [["datasets", "mvtec"], ["report"], ["runs"], ["--help"]])
def test_a_reader_that_leaves_is_no_error(
    invoke: Invoke, toy: Toy, tmp_path: Path, command: list[str]
) -> None:
    invoke("run", *run_arguments(toy, "a"), "--no-timing")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "adbench.cli", *command],
        cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writer)
    assert done.stderr == "" and done.returncode == 141


def test_a_terminal_that_lacks_letters_gets_them_escaped(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    (toy.root / "a").rename(toy.root / "Größe €")
    arguments = ["run", *run_arguments(toy), "--no-timing"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    process = spawn_cold(*arguments, cwd=tmp_path, env=environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert r"Gr\xf6\xdfe \u20ac" in out


def test_a_system_error_nobody_foresaw_is_still_one_line(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("adbench.store.folders.Store.check_format", fail)
    assert the_error(invoke("runs"), 2) == "error: somewhere: Permission denied"

"""Output that goes nowhere, and paths that lead nowhere: one line and exit code 2, never 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from scored import scored_record, write_results
from toy import PIXEL, Invoke

FULL = Path("/dev/full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that holds `results` and a baseline above them, so that the gate finds a regression."""
    labels = np.arange(200) % 2
    write_results(tmp_path / "better", [scored_record(labels, labels + 0.0)])
    noise = np.random.default_rng(0).random(200)
    write_results(tmp_path / "results", [scored_record(labels, noise)])
    return tmp_path


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = line.replace("adbench", f"{sys.executable} -m adbench.cli")
    return subprocess.run(["sh", "-c", words], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("command", ["report", "runs --json", "gate --baseline base.json"])
@pytest.mark.parametrize("stdout", [">&-", "> /dev/full"])
def test_a_stdout_that_takes_nothing_is_one_line_and_no_regression(
    invoke: Invoke, folder: Path, command: str, stdout: str
) -> None:
    if "full" in stdout and not FULL.exists():
        pytest.skip("there is no /dev/full here")
    assert invoke("baseline", "save", "base.json", "--results", "better").code == 0
    assert shell("adbench gate --baseline base.json", folder).returncode == 1
    done = shell(f"adbench {command} {stdout}", folder)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: stdout ") and "expected a terminal, a file or a pipe" in line


def test_a_closed_stderr_puts_nothing_into_the_table(folder: Path) -> None:
    done = shell("adbench report --json --published 2>&-", folder)
    assert done.returncode == 0 and done.stdout == shell("adbench report --json", folder).stdout
    (folder / "results/adbench.json").write_text("damaged")
    done = shell("adbench report --json 2>&-", folder)
    assert done.returncode == 0 and done.stdout.startswith("[")


HOMELESS = "~nobody-of-this-name/x"


@pytest.mark.parametrize(
    "words",
    ["report --results", "runs --results", "status --results", "history --results", "report --out",
     "baseline save", "gate --baseline", "compare results", "selected", "doctor --data-root",
     f"run --methods {PIXEL} --dataset synthetic --preset smoke --cache",
     f"run --methods {PIXEL} --dataset synthetic --preset smoke --selected"],
)  # fmt: skip
def test_a_home_folder_of_nobody_is_named(invoke: Invoke, folder: Path, words: str) -> None:
    message = the_error(invoke(*words.split(), HOMELESS), 2)
    assert HOMELESS in message and "no home folder" in message


@pytest.mark.parametrize("name", ["ADBENCH_CACHE", "ADBENCH_DATA", "XDG_CACHE_HOME"])
def test_a_home_folder_of_nobody_in_a_variable_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("ADBENCH_CACHE")
    monkeypatch.setenv(name, HOMELESS)
    words = ["run", "--methods", PIXEL, "--dataset", "synthetic", "--preset", "smoke"]
    message = the_error(invoke(*words), 2)
    assert HOMELESS in message and "no home folder" in message


def test_a_tilde_that_no_shell_has_expanded_means_home(
    invoke: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    for words in (["report", "--results=~/results"], ["compare", "~/results", "~/better"],
                  ["report", "--out=~/table"], ["baseline", "save", "~/base.json"],
                  ["gate", "--baseline=~/base.json", "--results=~/results"]):  # fmt: skip
        assert invoke(*words).code == 0
    assert (folder / "table").exists() and not (folder / "~").exists()

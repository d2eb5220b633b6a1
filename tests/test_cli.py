"""The command line as a program: help, imports, JSON, interrupts, streams, home folders."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ends import claims, interrupt, until
from outcomes import the_error
from rich.console import Console
from scored import scored_record, write_results
from toy import PIXEL, Invoke, Toy, spawn

import adbench
from adbench.report.formats import print_report
from adbench.report.report import Report
from adbench.store.folders import Store
from adbench.store.newest import latest

HEAVY = ("torch", "pandas", "matplotlib", "numpy", "scipy", "PIL", "timm", "diffusers", "faiss")
COMMANDS = ("run", "plan", "report", "runs", "methods", "datasets", "doctor", "data",
            "compare", "gate", "history", "baseline")  # fmt: skip
FULL = Path("/dev/full")
HOMELESS = "~nobody-of-this-name/x"


def run_arguments(toy: Toy, *categories: str, steps: str = "") -> list[str]:
    method = f"{PIXEL}[{steps}]" if steps else PIXEL
    return ["run", "--methods", method, *toy.arguments(*categories), "--preset", "smoke"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that holds `results` and a `base.json` above them: the gate finds a regression."""
    labels = np.arange(200) % 2
    write_results(tmp_path / "better", [scored_record(labels, labels + 0.0)])
    noise = np.random.default_rng(0).random(200)
    write_results(tmp_path / "results", [scored_record(labels, noise)])
    return tmp_path


# -------------------------------------------------------------------------------------- help


def test_help_is_plain_text_and_complete(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    outcome = invoke("--help")
    assert outcome.code == 0 and outcome.err == ""
    assert all(f"\n  {name} " in outcome.out for name in COMMANDS)
    run = invoke("run", "--help").out
    assert "NAME[k=v,k2=v1|v2]" in run and max(map(len, run.splitlines())) <= 100
    assert invoke("--version").out == f"{adbench.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("data",), ("baseline",)])
def test_no_command_shows_help_and_is_an_error(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    outcome = invoke(*arguments)
    assert outcome.code == 2 and "Commands:" in outcome.out


def test_run_and_plan_select_cells_by_the_same_options(invoke: Invoke) -> None:
    for text in (invoke(command, "--help").out for command in ("run", "plan")):
        for name in ("methods", "dataset", "preset", "set", "seeds", "scope", "limit", "mask-rule",
                     "data-root", "results", "cache", "shard", "overwrite"):  # fmt: skip
            assert f"--{name} " in text


# ----------------------------------------------------------------------------------- imports


def modules_after(*commands: list[str], cwd: Path) -> set[str]:
    """Top-level modules loaded once these commands have run in a process."""
    script = (
        f"import sys\nfrom adbench.cli import main\nfor words in {commands!r}:\n"
        "    sys.argv = ['adbench', *words]\n"
        "    try:\n        main()\n    except SystemExit as stop:\n        assert not stop.code\n"
        "print('MODULES ' + ' '.join({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_listing_imports_nothing_heavy(tmp_path: Path) -> None:
    commands = ["--help"], ["run", "--help"], ["methods"], ["datasets"]
    assert not modules_after(*commands, cwd=tmp_path) & set(HEAVY)


def test_a_finished_grid_is_shown_without_torch_scipy_or_an_image_library(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    arguments = [*run_arguments(toy, "a"), "--no-timing"]
    assert invoke(*arguments).code == 0
    loaded = modules_after(arguments, cwd=tmp_path)
    assert not loaded & {"torch", "scipy", "PIL", "matplotlib", "timm", "sklearn"}


# -------------------------------------------------------------------------- JSON and tables


def strict_json(text: str) -> Any:
    """Parsed, refusing the NaN and Infinity that Python lets pass."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_every_json_is_strict_and_alone_on_stdout(invoke: Invoke, toy: Toy) -> None:
    for file in (toy.root / "a/test/good").iterdir():
        file.unlink()  # undefined metrics must be null
    run = run_arguments(toy)
    plan = ["plan", *run[1:]]
    root = ["--data-root", str(toy.folder)]
    for command in (
        plan, ["report"], ["runs"], run, plan, [*run, "--explain-cache"], ["report"],
        ["runs", "--all"], ["methods"], ["compare", "results", "results"], ["history"],
        ["methods", "patchcore"], ["methods", PIXEL], ["datasets"], ["datasets", "mpdd"],
        ["data", "verify", toy.reference, *root], ["doctor", *root],
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
    invoke(*run_arguments(toy), "--no-timing")
    file = io.StringIO()
    records = latest(Store(tmp_path / "results").records())
    print_report(Report(records), Console(file=file, width=40, emoji=False))
    text = file.getvalue()
    assert "…" not in text and "AUPRO@0.05" in text and " pixel_gaussian " in text
    numbers = re.findall(r"\d+\.\d\d\b", invoke("report").out)
    assert len(numbers) >= 12 and all(number in text for number in numbers)


# ------------------------------------------------------------------------ interrupts and streams


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_grid_says_how_to_go_on_and_can(
    toy: Toy, tmp_path: Path, invoke: Invoke, number: signal.Signals
) -> None:
    arguments = [*run_arguments(toy, "a", steps="steps=30,step_seconds=0.05"), "--no-timing"]
    results = tmp_path / "results"
    process = spawn(*arguments, "--checkpoint-every", "0", cwd=tmp_path)
    until(lambda: list(results.glob("cells/*/checkpoint.pt")))
    code, err = interrupt(process, number)
    assert code == 130 and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: interrupted: ")
    assert "run the same command again" in err.splitlines()[-1]
    assert not claims(results)
    again = invoke(*arguments)
    assert again.code == 0 and "1 to run" in again.err


Ended = tuple[int, str]


@pytest.fixture
def ending(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> Any:
    """Run a command in `folder` on a stdout of our own; its exit code and what stderr said."""

    def call(command: str, stdout: io.TextIOBase | None) -> Ended:
        monkeypatch.chdir(folder)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["adbench", *command.split()])
            patch.setattr(sys, "stdout", stdout)
            with pytest.raises(SystemExit) as stop:
                adbench_main()
        return stop.value.code, capsys.readouterr().err  # type: ignore[return-value]

    return call


def adbench_main() -> None:
    from adbench.cli import main

    main()


@pytest.mark.parametrize("command", ["datasets mvtec", "report", "runs", "--help"])
def test_a_reader_that_leaves_is_no_error(ending: Any, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        assert ending(command, stdout) == (141, "")


@pytest.mark.parametrize("command", ["report", "runs --json", "gate --baseline base.json"])
@pytest.mark.parametrize("full", [False, True])
def test_a_stdout_that_takes_nothing_is_one_line_and_no_regression(
    invoke: Invoke, folder: Path, ending: Any, command: str, full: bool
) -> None:
    if full and not FULL.exists():
        pytest.skip("there is no /dev/full here")
    assert invoke("baseline", "save", "base.json", "--results", "better").code == 0
    assert invoke("gate", "--baseline", "base.json").code == 1
    if full:
        with FULL.open("w") as stdout:
            code, err = ending(command, stdout)
    else:
        code, err = ending(command, None)
    (line,) = err.splitlines()
    assert code == 2 and line.startswith("error: stdout ")
    assert "expected a terminal, a file or a pipe" in line


def test_closed_streams_of_a_shell(folder: Path) -> None:
    """Nothing else is written into what takes the place of a closed one."""

    def shell(line: str) -> subprocess.CompletedProcess[str]:
        words = f"{sys.executable} -m adbench.cli {line}"
        return subprocess.run(["sh", "-c", words], cwd=folder, capture_output=True, text=True)

    done = shell("report --json >&-")
    assert done.returncode == 2 and done.stderr.startswith("error: stdout is closed")
    (folder / "results/adbench.json").write_text("damaged")  # of which stderr would be told
    done = shell("report --json 2>&-")
    assert done.returncode == 0 and strict_json(done.stdout)


def test_a_terminal_that_lacks_letters_gets_them_escaped(
    invoke: Invoke, ending: Any, folder: Path
) -> None:
    record = scored_record(np.arange(8) % 2, np.arange(8.0), "Größe €")
    write_results(folder / "named", [record])
    content = io.BytesIO()
    stdout = io.TextIOWrapper(content, encoding="ascii")
    assert ending("report --results named", stdout) == (0, "")
    assert rb"Gr\xf6\xdfe \u20ac" in content.getvalue()


def test_a_system_error_nobody_foresaw_is_still_one_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("adbench.store.folders.Store.check_format", fail)
    assert the_error(invoke("runs"), 2) == "error: somewhere: Permission denied"


def test_a_bug_of_ours_is_shown_whole_and_is_no_regression(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adbench.store.folders.Store.check_format", lambda *_: 1 // 0)
    outcome = invoke("runs")
    assert outcome.code == 70 and "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: adbench broke (ZeroDivisionError: ")


# ---------------------------------------------------------------------------------- home folders


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
    invoke: Invoke, folder: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    for words in (["report", "--results=~/results"], ["compare", "~/results", "~/better"],
                  ["report", "--out=~/table"], ["baseline", "save", "~/base.json"],
                  ["gate", "--baseline=~/base.json", "--results=~/results"]):  # fmt: skip
        assert invoke(*words).code == 0
    monkeypatch.setenv("ADBENCH_DATA", "~/data")
    monkeypatch.setenv("ADBENCH_CACHE", "~/cache")
    plan = ["plan", "--methods", PIXEL, "--dataset", toy.reference, "--preset", "smoke"]
    assert invoke(*plan, "--results", "~/fresh").code == 0
    assert (folder / "table").exists() and not (folder / "~").exists()

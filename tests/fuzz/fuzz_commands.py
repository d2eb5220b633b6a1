"""Whole command lines of any words, in this process and as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from mutations import texts
from sandbox import LONGEST_SECONDS, Outcome, call, check_outcome, fingerprint, guarded
from toy import PIXEL, Toy, write_toy

_COMMANDS = (
    "run", "plan", "report", "runs", "methods", "datasets", "doctor", "data", "cite", "compare",
    "gate", "baseline", "select", "status", "figures", "nonsense",
)  # fmt: skip
_OPTIONS = (
    "--methods", "--dataset", "--preset", "--seeds", "--scope", "--set", "--limit", "--shard",
    "--mask-rule", "--results", "--format", "--out", "--json", "--explain-cache", "--overwrite",
    "--no-timing", "--yes", "--no-wait", "--help", "--version", "--all", "--strict", "--method",
    "--evaluation-size", "--baseline", "--executor", "--device", "--cache-limit", "--data-root",
)  # fmt: skip
_VALUES = (
    PIXEL, f"{PIXEL}[steps=1|2]", f"{PIXEL}[steps=", "lafite", "patchcore[tau=1]", "all", "TOY",
    "TOY:a", "TOY:a,b", "TOY:..", "mpdd", "synthetic:x", "smoke", "fast", "0", "0-1", "1/2", "2/1",
    "nearest", "results", "json", "markdown", "csv", "terminal", "out.md", "out/../x", "verify",
    "prepare", "save", "failed", "never", "cpu", "cuda:7", "local", "serial", "8", "DATA", "results/cells",  # noqa: E501
)  # fmt: skip
_BASE: dict[str, tuple[str, ...]] = {
    "run": ("--methods", PIXEL, "--dataset", "TOY:a", "--data-root", "DATA", "--preset", "smoke",
            "--no-timing"),
    "plan": ("--methods", PIXEL, "--dataset", "TOY", "--data-root", "DATA", "--preset", "smoke"),
    "data": ("verify", "TOY", "--data-root", "DATA"),
}  # fmt: skip
_argv = st.lists(st.sampled_from(_OPTIONS) | st.sampled_from(_VALUES) | texts, max_size=6)
_plausible = st.builds(
    lambda command, more: [command, *_BASE.get(command, ()), *more],
    st.sampled_from(("run", "plan", "report", "runs", "data")),
    st.lists(st.sampled_from(_OPTIONS) | st.sampled_from(_VALUES), max_size=4),
)
command_lines = st.one_of(
    st.tuples(st.sampled_from(_COMMANDS), _argv).map(lambda t: [t[0], *t[1]]), _plausible
)


@cache
def _toy(folder: Path) -> Toy:
    return write_toy(folder / "data", ("a",), side=16)


def _words(given: list[str], folder: Path) -> list[str]:
    """The words with the toy data set's place filled in; only what a shell can pass on."""
    toy = _toy(folder)
    words = [word.replace("TOY", toy.reference).replace("DATA", str(toy.folder)) for word in given]
    clean = [w.replace("\0", "") for w in words]
    return [w.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for w in clean]


def check_call(given: list[str], folder: Path) -> None:
    """In this process: an answer, or one line."""
    if given[0] == "run" or "select" in given[:1]:
        given = ["plan", *given[1:]]  # what runs is for the real command line
    words = _words(given, folder)
    here = os.getcwd()
    os.chdir(folder)
    os.environ["ADBENCH_CACHE"] = str(folder / "cache")
    try:
        with guarded(folder):
            check_outcome(call(*words))
    finally:
        os.chdir(here)


def check_process(given: list[str], folder: Path) -> None:
    """As a user types it: an answer or one line, and the data set stays as it is."""
    words = _words(given, folder)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    before = fingerprint(folder / "data")
    done = subprocess.run(
        [sys.executable, "-m", "adbench.cli", *words],
        cwd=work,
        capture_output=True,
        timeout=4 * LONGEST_SECONDS,
        env={**os.environ, "ADBENCH_CACHE": str(folder / "cache")},
    )
    outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
    check_outcome(outcome)
    assert fingerprint(folder / "data") == before

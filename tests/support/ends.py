"""What grids leave behind, for tests of executors."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy import Invoke, Toy
from warm import Process

PATIENCE = 240.0
"""Seconds until something that has to happen counts as never: machines of CI are slow at times."""
ROUGH = f"{Path(__file__).with_name('rough.py')}:Rough"


def arguments(toy: Toy, method: str, results: Path, *more: str) -> list[str]:
    """A quick `adbench run` into `results`."""
    return [
        "run", "--methods", method, *toy.arguments(), "--preset", "smoke", "--no-timing",
        "--checkpoint-every", "0", "--results", str(results), *more,
    ]  # fmt: skip


def table(invoke: Invoke, results: Path) -> list[dict[str, Any]]:
    """The rows of a results folder in a fixed order, without what legitimately differs."""
    outcome = invoke("report", "--results", str(results), "--json")
    rows = [{k: v for k, v in row.items() if k != "created"} for row in json.loads(outcome.out)]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def records(results: Path, kind: str = "record") -> list[dict[str, Any]]:
    """The record (or `failed`) files."""
    paths = sorted(results.glob(f"cells/*/{kind}-*.json"))
    return [json.loads(path.read_text()) for path in paths]


def claims(results: Path) -> list[Path]:
    """Claims that nobody has released."""
    return list(results.glob("cells/*/claim.*"))


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait for something to be true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Pids of the direct children of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it collected or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def interrupt(process: Process, number: signal.Signals) -> tuple[int, str]:
    """Send a signal and wait; the exit code and what stderr said."""
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=PATIENCE)
    return process.wait(), err

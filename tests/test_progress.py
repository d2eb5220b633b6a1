"""The lines that a run prints while it goes on."""

from __future__ import annotations

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scored import scored_record

from adbench.cli.progress import ConsoleReporter


def finish(
    monkeypatch: pytest.MonkeyPatch, work: dict[str, float] | None, seconds: list[float]
) -> list[str]:
    """Four cells, the first ones finished one after the other in so many seconds each."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shown = io.StringIO()
    reporter = ConsoleReporter(Console(file=shown, width=200), work)
    data = SimpleNamespace(root=Path("root"))
    cells: list[Any] = [
        SimpleNamespace(score_key=key, title=f"cell {key}", data=data) for key in "abcd"
    ]
    record = scored_record(np.array([0, 1]), np.array([0.1, 0.9]))
    for number, took in enumerate(seconds, 1):
        reporter.cell_started(cells[number - 1], number, 4)
        now += took
        reporter.cell_finished(cells[number - 1], record, number, 4)
    return [line for line in shown.getvalue().splitlines() if "image AUROC" in line]


def test_time_left_is_by_work_and_not_by_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of four cells trains for all: the others are a twentieth of it each."""
    first, second = finish(monkeypatch, {"a": 20, "b": 1, "c": 1, "d": 1}, [400, 20])
    assert "(6 min 40 s, about 1 min 00 s left)" in first
    assert "(20 s, about 40 s left)" in second


def test_time_left_without_estimates_is_by_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    for work in (None, dict.fromkeys("abcd", 0.0)):
        *_, third, last = finish(monkeypatch, work, [60, 60, 60, 60])
        assert "about 1 min 00 s left" in third and "left" not in last

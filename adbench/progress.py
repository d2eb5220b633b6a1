"""What a run says while it works: one live line on a terminal, plain lines elsewhere (stderr)."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from adbench.output import counted
from adbench.plan import Cell
from adbench.records import Record, mean_metrics

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

PLAIN_SECONDS = 20.0
"""Between two plain progress lines of one cell."""

_STAGES = {
    "read": "reading images",
    "features": "features",
    "coreset": "coreset",
    "fit": "training",
    "predict": "predicting",
    "score": "scoring",
    "time": "timing",
}


class SilentReporter:
    """Says nothing; for Python callers and tests."""

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """Nothing."""

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Nothing."""

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None:
        """Nothing."""

    def waiting(self, count: int) -> None:
        """Nothing."""


class ConsoleReporter:
    """Prints to stderr, so that stdout stays a table or JSON."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Status | None = None
        self._head = ""
        self._cell_began = self._stage_began = self._printed = self._began = time.monotonic()
        self._stage = ""
        self._run = 0

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """A new live line, or a plain one."""
        self._head = f"[{number:3d}/{total} {100 * (number - 1) // total:3d}%] {cell.title}"
        self._cell_began = self._stage_began = self._printed = time.monotonic()
        self._stage = ""
        if self._console.is_terminal:
            self._live = self._console.status(_plain(self._head))
            self._live.start()
        else:
            self._say(f"{self._head}: started")

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Refresh the live line; off a terminal a plain line now and then."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_began = stage, now
        text = f"{self._head}: {_STAGES.get(stage, stage)} {done}/{total}"
        text += "".join(f", {name} {value:.4g}" for name, value in numbers.items())
        if 0 < done < total:
            text += f", {_clock((now - self._stage_began) / done * (total - done))} left"
        if self._live is not None:
            self._live.update(_plain(text))
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            self._say(text)

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None:
        """One line with the outcome, the time taken and the time left for the grid."""
        self._stop()
        now = time.monotonic()
        self._run += 1
        left = (now - self._began) / self._run * (total - number)
        head = f"[{number:3d}/{total} {100 * number // total:3d}%] {cell.title}"
        eta = f", about {_clock(left)} left" if number < total else ""
        self._say(f"{head}: {_outcome(record)} ({_clock(now - self._cell_began)}{eta})")

    def waiting(self, count: int) -> None:
        """Others hold the remaining cells."""
        now = time.monotonic()
        if now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            cells = counted(count, "cell")
            self._say(f"waiting for {cells} claimed by another run (--no-wait leaves)")

    def close(self) -> None:
        """Give the terminal back, also after an interrupt."""
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def stderr_console() -> Console:
    """A rich console on the current stderr."""
    from rich.console import Console

    return Console(file=sys.stderr, emoji=False)  # "toy:a:" is a name, no picture


def _outcome(record: Record) -> str:
    if record.failure is not None:
        return f"FAILED: {record.failure.message}"
    if record.status == "skipped":
        return f"skipped: {record.reason}"
    mean, _ = mean_metrics(record.metrics)
    shown = {"image AUROC": "image_auroc", "pixel AUROC": "pixel_auroc", "AUPRO": "aupro@0.3"}
    return ", ".join(f"{title} {_percent(mean[name])}" for title, name in shown.items())


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.2f}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s"


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")

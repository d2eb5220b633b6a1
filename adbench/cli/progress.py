"""What a run says while it works: a live line per running cell on a terminal, plain lines now and
then elsewhere (stderr)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from adbench.crew.reporter import Reporter
from adbench.data.findings import with_root
from adbench.plan import Cell
from adbench.store.records import Record, mean_metrics
from adbench.text import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

PLAIN_SECONDS = 20.0
"""Between two plain progress lines of one cell."""

_STAGES = {
    "read": "reading images",
    "fit": "training",
    "predict": "predicting",
    "score": "scoring",
    "time": "timing",
}


@dataclass
class _Running:
    """The line of one running cell."""

    head: str
    text: str
    began: float
    stage_began: float
    printed: float
    expected: float
    stage: str = ""


class ConsoleReporter(Reporter):
    """Prints to stderr, so that stdout stays a table or JSON.

    Attributes:
        alone: how many cells have run to their end.
        worked: seconds that they took.
    """

    def __init__(self, console: Console, work: Mapping[str, float] | None = None) -> None:
        """`work`: estimated seconds of each cell to run, by score key; None: all alike."""
        self.alone, self.worked = 0, 0.0
        self._console = console
        self._work = dict(work or {})
        self._worked = 0.0
        self._live: Status | None = None
        self._began = self._waited = time.monotonic()
        self._running: dict[int, _Running] = {}
        self._run = self._highest = 0

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """A new live line, or a plain one."""
        head, now = _head(cell, number, total, number - 1), time.monotonic()
        expected = self._work.get(cell.score_key, 0.0)
        self._running[id(cell)] = _Running(head, head, now, now, now, expected)
        self._highest = max(self._highest, number)
        if not self._console.is_terminal:
            self._say(f"{head}: started")
        self._refresh()

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Progress of the cell that was started last."""
        if self._running:
            self._progress(next(reversed(self._running)), stage, done, total, **numbers)

    def progress_of(self, cell: Cell) -> Callable[..., None]:
        """The same for one of several that run."""
        return partial(self._progress, id(cell))

    def _progress(self, key: int, stage: str, done: int, total: int, **numbers: float) -> None:
        """Refresh the live line; off a terminal a plain line now and then."""
        line, now = self._running.get(key), time.monotonic()
        if line is None:
            return
        if stage != line.stage:
            line.stage, line.stage_began = stage, now
        line.text = f"{line.head}: {_STAGES.get(stage, stage)} {done}/{total}"
        line.text += "".join(f", {name} {value:.4g}" for name, value in numbers.items())
        if left := self._left(line, now, done, total):
            line.text += f", about {_clock(left)} left"
        if self._console.is_terminal:
            self._refresh()
        elif now - line.printed >= PLAIN_SECONDS:
            line.printed = now
            self._say(line.text)

    def _left(self, line: _Running, now: float, done: int, total: int) -> float:
        """Seconds of a cell that are left, 0 for less than one or an unknown number: by the pace of
        the stage, and of what comes after it by the estimate."""
        stage = (now - line.stage_began) / done * (total - done) if 0 < done < total else 0.0
        left = max(stage, line.expected - (now - line.began))
        return left if left >= 1 else 0.0

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None:
        """One line with the outcome, the time taken and the time left for the grid."""
        line, now = self._end_line(cell), time.monotonic()
        self._run += 1
        self._highest = max(self._highest, number)
        self._worked += self._work.pop(cell.score_key, 0.0)
        cells_left = total - self._highest + len(self._running)
        ahead = cells_left / self._run
        if self._worked and self._work:  # cells that share a fit, and methods, differ by far
            ahead = sum(self._work.values()) / self._worked
        clocks = [] if line is None else [_clock(now - line.began)]
        self.alone += line is not None
        self.worked += 0.0 if line is None else now - line.began
        clocks += [f"about {_clock((now - self._began) * ahead)} left"] if cells_left else []
        outcome = with_root(_outcome(record), cell.data.root)
        told = f" ({', '.join(clocks)})" if clocks else ""
        self._say(f"{_head(cell, number, total, number)}: {outcome}{told}")

    def cell_left(self, cell: Cell, number: int, total: int, why: str) -> None:
        """One line with the reason."""
        self._end_line(cell)
        self._say(f"{_head(cell, number, total, number)}: {why}")

    def waiting(self, count: int) -> None:
        """Others hold the remaining cells."""
        now = time.monotonic()
        if now - self._waited >= PLAIN_SECONDS:
            self._waited = now
            cells = counted(count, "cell")
            self._say(f"waiting for {cells} claimed by another run (--no-wait leaves)")

    def timing(self, count: int) -> None:
        """The exclusive phase begins."""
        self._say(f"timing inference of {counted(count, 'cell')}, one at a time")

    def close(self) -> None:
        """Give the terminal back, also after an interrupt."""
        self._running.clear()
        self._refresh()

    def _end_line(self, cell: Cell) -> _Running | None:
        line = self._running.pop(id(cell), None)
        self._refresh()
        return line

    def _refresh(self) -> None:
        """Show the live lines; without any, give the terminal back."""
        if not self._running or not self._console.is_terminal:
            if self._live is not None:
                self._live.stop()
                self._live = None
            return
        from rich.text import Text

        lines = "\n".join(line.text for line in self._running.values())
        text = Text(lines, no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = self._console.status(text)
            self._live.start()
        else:
            self._live.update(text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watched(seconds: Mapping[str, float]) -> Iterator[ConsoleReporter]:
    """What hears of a run of cells, of which the `seconds` are estimated by score key; what a
    method prints meanwhile is no part of our output."""
    from adbench.consoles import stderr_console

    reporter = ConsoleReporter(stderr_console(), seconds)
    try:
        with redirect_stdout(sys.stderr):
            yield reporter
    finally:
        reporter.close()


def _head(cell: Cell, number: int, total: int, done: int) -> str:
    return f"[{number:3d}/{total} {100 * done // total:3d}%] {cell.title}"


def _outcome(record: Record) -> str:
    if record.failure is not None:
        return f"FAILED: {record.failure.text}"
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

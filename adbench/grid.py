"""Running a plan: every cell exactly once, shared with whoever else works on the folder."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal, Protocol

from adbench.claims import ClaimWatch
from adbench.plan import Cell, Plan
from adbench.records import Record, now
from adbench.runner import Settings, is_timed, run_cell, time_again
from adbench.store import Store

Overwrite = Literal["never", "failed", "timing", "all"]
OVERWRITES: tuple[Overwrite, ...] = ("never", "failed", "timing", "all")
POLL_SECONDS = 1.0


class Reporter(Protocol):
    """Hears what happens; prints it or not."""

    def cell_started(self, cell: Cell, number: int, total: int) -> None: ...

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None: ...

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None: ...

    def waiting(self, count: int) -> None: ...


@dataclass
class GridResult:
    """Outcomes in the plan's order; cells left to others (`--no-wait`) are absent."""

    records: list[tuple[Cell, Record]] = field(default_factory=list)
    reused: int = 0
    left: int = 0

    @property
    def exit_code(self) -> int:
        """0, 3 when cells failed, 4 when one failed for its data."""
        codes = {r.failure.exit_code for _, r in self.records if r.failure is not None}
        return 4 if 4 in codes else (3 if codes else 0)


def cached_outcome(cell: Cell, store: Store, overwrite: Overwrite) -> Record | None:
    """The record that makes running this cell unnecessary under `overwrite`, or None."""
    if overwrite == "all":
        return None
    folder = store.cell(cell)
    done = folder.record()
    if done is None and overwrite == "never":
        return folder.failure()
    if done is not None and overwrite == "timing" and not is_timed(done):
        return None
    return done


def run_grid(
    plan: Plan,
    store: Store,
    settings: Settings,
    reporter: Reporter,
    *,
    overwrite: Overwrite = "failed",
    wait: bool = True,
) -> GridResult:
    """Run what is not yet there; cells that a live owner has claimed are waited for, or left."""
    with _terminate_as_interrupt():
        return _Grid(plan, store, settings, reporter, overwrite).run(wait)


class _Grid:
    def __init__(
        self,
        plan: Plan,
        store: Store,
        settings: Settings,
        reporter: Reporter,
        overwrite: Overwrite,
    ) -> None:
        self.plan, self.store, self.settings = plan, store, settings
        self.reporter, self.overwrite = reporter, overwrite
        self.watch = ClaimWatch()
        self.began = now()
        self.outcomes: dict[int, Record] = {}
        self.result = GridResult()

    def run(self, wait: bool) -> GridResult:
        cells = self.plan.cells
        pending = list(range(len(cells)))
        while pending:
            busy = [i for i in pending if not self._finish(i, cells)]
            if busy and not wait:
                break
            if len(busy) == len(pending):
                self.reporter.waiting(len(busy))
                time.sleep(POLL_SECONDS)
            pending = busy
        self.result.left = len(pending)
        self.result.records = [(cells[i], self.outcomes[i]) for i in sorted(self.outcomes)]
        return self.result

    def _finish(self, index: int, cells: Sequence[Cell]) -> bool:
        """True when the cell is done by us or by others; False while a live owner has it."""
        cell = cells[index]
        record = cached_outcome(cell, self.store, self.overwrite) or self._failed_meanwhile(cell)
        if record is not None:
            self.result.reused += 1
            self.outcomes[index] = record
            return True
        claim = self.watch.try_claim(self.store.cell(cell).path)
        if claim is None:
            return False
        try:
            # Another owner may have finished between our look and our claim.
            record = cached_outcome(cell, self.store, self.overwrite)
            if record is None:
                record = self._run(cell, index + 1, len(cells))
        finally:
            claim.release()
        self.outcomes[index] = record
        return True

    def _failed_meanwhile(self, cell: Cell) -> Record | None:
        """A failure that another owner recorded during this run: not tried a second time."""
        failure = self.store.cell(cell).failure() if self.overwrite == "failed" else None
        return failure if failure is not None and failure.created > self.began else None

    def _run(self, cell: Cell, number: int, total: int) -> Record:
        if self.overwrite == "all":
            self.store.cell(cell).forget()
        self.reporter.cell_started(cell, number, total)
        done = self.store.cell(cell).record()
        if self.overwrite == "timing" and done is not None:
            record = time_again(cell, done, self.store, self.settings, self.reporter.cell_progress)
        else:
            record = run_cell(cell, self.store, self.settings, self.reporter.cell_progress)
        self.reporter.cell_finished(cell, record, number, total)
        return record


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM (a scheduler's farewell) unwinds like Ctrl-C, so that claims are released."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

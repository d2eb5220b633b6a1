"""Who hears what happens in a run; here nobody, and what is printed is the command line's."""

from __future__ import annotations

from collections.abc import Callable

from adbench.plan import Cell
from adbench.store.records import Record


class Reporter:
    """Hears what happens and says nothing; for Python callers, and to be overridden.

    Cells have their number in the plan, from 1 on, and the number of all cells.
    """

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """The cell is being worked on."""

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """How far the cell that was started last is: `done` of `total` of a stage."""

    def progress_of(self, cell: Cell) -> Callable[..., None]:
        """`cell_progress` of this cell, where several run."""
        return self.cell_progress

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None:
        """It has an outcome."""

    def cell_left(self, cell: Cell, number: int, total: int, why: str) -> None:
        """It was begun and has no outcome (yet)."""

    def waiting(self, count: int) -> None:
        """So many cells are in other hands, and nothing else is to be done."""

    def timing(self, count: int) -> None:
        """Cells that ran side by side are timed now, one by one."""

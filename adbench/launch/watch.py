"""What a launcher sees of its workers, and tells the reporter: the folder, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from adbench.crew.agenda import Agenda, is_timed
from adbench.crew.crew import Crash, Crew
from adbench.crew.reporter import Reporter
from adbench.launch.processes import refusal
from adbench.plan import Cell, Plan
from adbench.request import Request
from adbench.store.claims import ClaimWatch
from adbench.store.records import Record

LOOKS_PER_SECOND = 100
"""At cells in the results folder."""


class Watch:
    """Sees what workers write into the folder, and tells the reporter.

    Attributes:
        crews: whose workers it looks at.
        outcomes: records by the cell's index in the plan.
        reused: how many of them others have made.
        quiet: score keys of cells of which it says no more.
    """

    def __init__(self, request: Request, plan: Plan, agenda: Agenda, reporter: Reporter) -> None:
        self.reporter, self.store, self.agenda = reporter, request.store(), agenda
        self.request = request
        self.total = len(plan.cells)
        numbered = {cell.score_key: (cell, i) for i, cell in enumerate(plan.cells)}
        self.open = {key: numbered[key] for key in agenda.over}
        self.known = dict(self.open)
        self.crews: list[Crew] = []
        self.outcomes: dict[int, Record] = {}
        self.reused = 0
        self.quiet: set[str] = set()
        self._heard: dict[str, int] = {}
        self._running: dict[str, tuple[str, Callable[..., None]]] = {}
        self._looked = 0.0
        self._claims = ClaimWatch()

    def look(self, *, thoroughly: bool = False) -> None:
        """Hear what workers say; now and then, or `thoroughly`, look what others have settled."""
        for crew in self.crews:
            for worker in crew.workers():
                self._hear(crew, worker)
        now = time.monotonic()
        if thoroughly or now - self._looked >= max(1.0, len(self.open) / LOOKS_PER_SECOND):
            self._looked = now
            for key in list(self.open):
                self._settle(key)

    def free(self) -> list[Cell]:
        """Open cells that no live owner has claimed."""
        cells = [cell for cell, _ in self.open.values()]
        look = self._claims.look
        states = {c.fit_key: look(self.store.cell(c).path).state for c in cells}
        return [cell for cell in cells if states[cell.fit_key] != "live"]

    def bury_lost(self, crew: Crew, crash: Crash) -> bool:
        """Note the deaths of workers whose job or task is gone: nobody has their cells now."""
        free = {cell.score_key for cell in self.free()}
        lost = [w for w in crew.workers() if crew.status(w).cell in free and not crew.status(w).end]
        return any([crew.bury(worker, crash) for worker in lost])

    def untimed(self) -> list[Cell]:
        """Cells that workers ended beside each other, and that want timing."""
        untimed = {index for index, record in self.outcomes.items() if not is_timed(record)}
        return [cell for cell, index in self.known.values() if index in untimed]

    def starved(self) -> Iterable[str]:
        """Open cells that lacked memory."""
        return [k for k in self.open for crew in self.crews if crew.note(k).starved]

    def _hear(self, crew: Crew, worker: str) -> None:
        status = crew.status(worker)
        if status.end == "refused":
            raise refusal(status)
        heard = self._heard.get(worker, 0)
        for key, why in status.ended[heard:]:
            self._begin(worker, key)
            self._end(worker, key, why)
        self._heard[worker] = len(status.ended)
        if status.cell and not status.end and status.cell in self.open:
            self._begin(worker, status.cell)
            if status.stage:
                progress = self._running[worker][1]
                progress(status.stage, status.done, status.total, **status.numbers)

    def _begin(self, worker: str, key: str) -> None:
        running = self._running.get(worker)
        if key in self.known and key not in self.quiet and (running is None or running[0] != key):
            cell, index = self.known[key]
            self.reporter.cell_started(cell, index + 1, self.total)
            self._running[worker] = (key, self.reporter.progress_of(cell))

    def _end(self, worker: str, key: str, why: str) -> None:
        if key not in self.known or key in self.quiet:
            return
        self._running.pop(worker, None)
        cell, index = self.known[key]
        if why:
            self.reporter.cell_left(cell, index + 1, self.total, why)
            return
        self._settle(key)
        if index in self.outcomes:
            self.reused -= 1
            self.reporter.cell_finished(cell, self.outcomes[index], index + 1, self.total)

    def _settle(self, key: str) -> None:
        if key in self.open:
            cell, index = self.open[key]
            forgotten = self.request.overwrite == "all" and any(
                crew.note(key).forgotten for crew in self.crews
            )
            record = self.agenda.settled(cell, self.store.cell(cell), forgotten)
            if record is not None:
                self.outcomes[index] = record
                self.reused += 1
                del self.open[key]

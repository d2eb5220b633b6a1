"""One cell after another in this process: no start of a process, no isolation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adbench.cell.settings import Settings
from adbench.executors.attempt import Ticket, attempt
from adbench.executors.base import Ended, Event, Progressed, Started
from adbench.plan import Plan
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store


@dataclass
class SerialExecutor:
    """Runs each ticket at once, within `submit`."""

    plan: Plan
    store: Store
    settings: Settings

    alone = True
    detached = False
    outlives = False

    def open(self, hear: Callable[[Event], None]) -> None:
        """Nothing to get ready."""
        self._hear, self._watch = hear, ClaimWatch()

    def has_room(self) -> bool:
        """Always: a ticket is done with when `submit` returns."""
        return True

    def submit(self, ticket: Ticket) -> None:
        """Run the cell."""
        cell = self.plan.cells[ticket.index]
        listener = Relay(ticket.index, self._hear)
        done = attempt(cell, ticket, self.store, self.settings, self._watch, listener)
        self._hear(Ended(ticket.index, done.outcome, done.record))

    def wait(self, seconds: float) -> None:
        """Nothing ever runs here."""

    def close(self, *, abort: bool) -> None:
        """Nothing to give back."""


@dataclass(frozen=True)
class Relay:
    """Turns what a try tells into events."""

    index: int
    hear: Callable[[Event], None]

    def started(self) -> None:
        """As `Listener`."""
        self.hear(Started(self.index))

    def progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """As `Listener`."""
        self.hear(Progressed(self.index, stage, done, total, numbers))

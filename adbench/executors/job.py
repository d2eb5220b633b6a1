"""A request that any process of any machine can take up: it plans anew and finds the same cells."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace

from adbench.cell.settings import Settings
from adbench.errors import StoreError
from adbench.executors.attempt import Attempt, Listener, Ticket, attempt
from adbench.plan import Cell
from adbench.request import Request
from adbench.session import make_settings
from adbench.store.claims import ClaimWatch

_HANDED_ON = ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")


@dataclass(frozen=True)
class Job:
    """What to run, and what the words of the request depend on; made of plain values only.

    Attributes:
        folder: working folder, for relative paths and `FILE.py:Class`.
        path: `sys.path`, for `MODULE:Class`.
        environment: variables that name data and caches; another host's process has its own.
    """

    request: Request
    folder: str
    path: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def here(cls, request: Request) -> Job:
        """The job of the calling process."""
        names = [n for n in os.environ if n.startswith("ADBENCH_") or n in _HANDED_ON]
        handed_on = tuple((n, os.environ[n]) for n in sorted(names))
        return cls(request, os.getcwd(), tuple(sys.path), handed_on)

    def on(self, device: str) -> Job:
        """The same on another device."""
        return replace(self, request=replace(self.request, device=device))

    def enter(self) -> None:
        """Make the calling process one in which the request's words mean the same."""
        os.chdir(self.folder)
        os.environ.update(self.environment)
        sys.path += [entry for entry in self.path if entry not in sys.path]


class Workplace:
    """A process at work on a job: plan, results and settings, made once."""

    def __init__(self, job: Job) -> None:
        job.enter()
        self._job = job
        self.plan = job.request.plan()
        self.store = job.request.store()
        self.watch = ClaimWatch()
        self._settings: Settings | None = None

    def cell(self, ticket: Ticket) -> Cell:
        """The cell that a ticket means; raises `StoreError` where it is no longer the same."""
        cells = self.plan.cells
        if ticket.index >= len(cells) or cells[ticket.index].score_key != ticket.key:
            raise StoreError(
                "the data, the code or the versions changed after this grid was started, expected "
                "them to stay as they were: run the same command again"
            )
        return cells[ticket.index]

    def attempt(self, ticket: Ticket, listener: Listener) -> Attempt:
        """Try a cell; torch is imported by the first."""
        if self._settings is None:
            self._settings = make_settings(self._job.request)
        cell = self.cell(ticket)
        return attempt(cell, ticket, self.store, self._settings, self.watch, listener)

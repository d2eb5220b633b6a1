"""Tickets for an engine with jobs of its own: grouped, and worked on by one worker on the spot.

A job of SLURM or a task of Ray is not itself the process of a cell. It is a small launcher with one
worker of `local` below it, so that a crash is recorded by whoever saw it, the next cell of the
share goes on, and a signal is answered while a network is deep inside a kernel.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from adbench.errors import AdbenchError, StoreError
from adbench.executors.attempt import Ticket
from adbench.executors.base import Crash, Ended, Event
from adbench.executors.beacon import Beacon
from adbench.executors.crash import publish_crash
from adbench.executors.job import Job, Workplace
from adbench.executors.local import LocalExecutor
from adbench.executors.slots import whole_machine
from adbench.store.claims import STALE_SECONDS, ClaimWatch

SHORT_SECONDS = 300.0
"""Cells shorter than this share a job, up to about as much work in all."""
MOST_CELLS = 32
"""In one share."""
PATIENCE_SECONDS = STALE_SECONDS + 60.0
"""With a claim of another host, for a share that no launcher waits for: if its owner is dead, that
shows by then, also where a network file system tells late of its last sign of life."""
RETRY_SECONDS = 5.0
"""Between two looks at such a claim."""


@dataclass(frozen=True)
class ShareEnd:
    """What a share tells when it returns.

    Attributes:
        outcomes: index to outcome of every ticket; a crash is recorded and counts as finished.
        error: message and exit code of a mistake that concerns the whole grid, or None.
    """

    outcomes: dict[int, str]
    error: tuple[str, int] | None = None


def make_shares(tickets: Iterable[Ticket], workers: int) -> list[tuple[Ticket, ...]]:
    """Short cells together, as evenly over the workers as they come; a long one for itself.

    Cells that share a fit stay together: the first trains, and their one claim is no matter.
    """
    by_fit: dict[str, list[Ticket]] = {}
    for ticket in tickets:
        by_fit.setdefault(ticket.fit, []).append(ticket)
    units = list(by_fit.values())
    long = [tuple(u) for u in units if _seconds(u) >= SHORT_SECONDS]
    short = [u for u in units if _seconds(u) < SHORT_SECONDS]
    fair = min(MOST_CELLS, -(-sum(map(len, short)) // max(1, workers)))  # rounded up
    shares: list[list[Ticket]] = []
    for unit in short:
        joined = [*(shares[-1] if shares else ()), *unit]
        if shares and len(joined) <= fair and _seconds(joined) <= SHORT_SECONDS:
            shares[-1] = joined
        else:
            shares.append(list(unit))
    return [*long, *map(tuple, shares)]


def _seconds(tickets: Iterable[Ticket]) -> float:
    return sum(ticket.estimate for ticket in tickets)


class Share:
    """Works on a few tickets in this process's place; `stop` may be called from a signal."""

    def __init__(
        self,
        job: Job,
        tickets: Sequence[Ticket],
        beacon: Beacon | None = None,
        patience: float = 0.0,
    ) -> None:
        """With a `beacon`, all stops when it goes out.

        `patience`: seconds to wait, after all else, for cells that another host has claimed: where
        no launcher does, nobody would go on with what a dead owner has left.
        """
        self.job, self.tickets, self._beacon = job, tuple(tickets), beacon
        # A job that is hardly longer would be requeued before it knows, and so on for ever.
        short = any(t.seconds_left is not None and t.seconds_left < 2 * patience for t in tickets)
        self._patience = 0.0 if short else patience
        self.outcomes: dict[int, str] = {}
        self._began = time.monotonic()
        self._pool: LocalExecutor | None = None
        self._place: Workplace | None = None
        self._trying: Ticket | None = None
        self._done = False

    def run(self) -> ShareEnd:
        """Run ticket after ticket; none is begun after the deadline."""
        self.job.enter()
        self._pool = LocalExecutor(self.job, [whole_machine()])
        try:
            self._pool.open(self._note)
            for ticket in self.tickets:
                self._look()
                self._run(self._pool, ticket)
            self._outwait(self._pool)
            self._done = True
        except AdbenchError as error:
            return ShareEnd(self.outcomes, (str(error), error.exit_code))
        finally:
            self.stop(abort=not self._done)
        return ShareEnd(self.outcomes)

    def stop(self, *, abort: bool = True) -> None:
        """End the worker; with `abort` its cell unwinds and the claim is released."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(abort=abort)

    def unfinished(self) -> tuple[Ticket, ...]:
        """Tickets that a later job should take up, with the time it has anew."""
        open_ = (None, "late") if self._done else (None, "late", "busy")
        return tuple(t for t in self.tickets if self.outcomes.get(t.index) in open_)

    def _run(self, pool: LocalExecutor, ticket: Ticket) -> None:
        """Try a ticket; once more, with half a batch, where the system killed it for memory."""
        self._try(pool, ticket)
        if self.outcomes[ticket.index] == "memory" and ticket.batch_divisor == 1:
            del self.outcomes[ticket.index]
            self._try(pool, replace(ticket, batch_divisor=2))

    def _try(self, pool: LocalExecutor, ticket: Ticket) -> None:
        left = ticket.seconds_left
        if left is not None:
            left -= time.monotonic() - self._began
            if left <= 0:
                self.outcomes[ticket.index] = "late"
                return
        self._trying = ticket
        pool.submit(replace(ticket, seconds_left=left))
        while ticket.index not in self.outcomes:
            pool.wait(1.0)
            self._look()

    def _outwait(self, pool: LocalExecutor) -> None:
        """Go on with what others had claimed: that an owner on another host is dead shows late.

        Looked at from here, as a worker that is replaced forgets the heartbeats it has seen.
        """
        watch, cells = ClaimWatch(), self.job.request.results / "cells"
        give_up = time.monotonic() + self._patience
        while busy := [t for t in self.tickets if self.outcomes[t.index] == "busy"]:
            for ticket in busy:
                look = watch.look(cells / ticket.fit)
                if look.state != "live":
                    del self.outcomes[ticket.index]
                    self._run(pool, replace(ticket, known_dead=look.mark))
            if time.monotonic() >= give_up:
                return
            time.sleep(RETRY_SECONDS)

    def _look(self) -> None:
        if self._beacon is not None and not self._beacon.is_lit():
            # Nobody reads this where the launcher has put it out.
            raise StoreError(
                f"a task does not see {self._beacon.path.name} in the results folder, expected "
                "a folder that all nodes share: give one with --results DIR"
            )

    def _note(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.outcomes[event.index] = (
                event.outcome if event.crash is None else self._after(event.crash)
            )

    def _after(self, crash: Crash) -> str:
        """The outcome of the cell whose worker died."""
        ticket = self._trying
        assert ticket is not None
        if crash.out_of_memory and ticket.batch_divisor == 1:
            return "memory"
        # Planned only now: a launcher without a crash needs neither data nor methods.
        self._place = self._place or Workplace(self.job)
        cell = self._place.cell(ticket)
        record = publish_crash(cell, crash, self._place.store, ClaimWatch())
        return "busy" if record is None else "finished"

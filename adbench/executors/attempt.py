"""One try at one cell: claim it, look whether it is done by now, run it, release it.

All executors end here, in whatever process, so that they cannot differ in what they record.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from adbench.cell.runner import is_timed, run_cell, time_again
from adbench.cell.settings import Settings
from adbench.contracts.interruptions import ClaimLost, OutOfMemory, TimeLimitReached
from adbench.errors import AdbenchError
from adbench.plan import Cell
from adbench.store.claims import Claim, ClaimWatch
from adbench.store.folders import Store
from adbench.store.records import Record
from adbench.store.removal import remove
from adbench.text import say

Outcome = Literal["finished", "busy", "late", "memory"]
"""There is an outcome on disk; a live owner has the cell; the deadline came first and the state is
saved; memory ran out and the cell is to be tried again alone."""


@dataclass(frozen=True)
class Ticket:
    """What a worker is told about one cell.

    Attributes:
        index: in the plan.
        key: the cell's score key, so that a process that planned anew means the same cell.
        fit: the cell's fit key; cells that share it have one claim.
        overwrite: what to run although there is a record; never "all", which the grid sees to.
        keep_model: whether the fitted model stays.
        timing: whether inference is measured.
        seconds_left: until the deadline, or None.
        known_dead: mark of a claim that the grid has found dead, or empty.
        estimate: rough seconds that the cell takes.
        batch_divisor: as in `Settings`.
        retry_here: whether a cell that lacked memory is tried again, with half a batch, in the
            same place; else it is told, and the grid tries it when nothing else of it runs.
    """

    index: int
    key: str
    fit: str
    overwrite: str = "failed"
    keep_model: bool = True
    timing: bool = True
    seconds_left: float | None = None
    known_dead: str = ""
    estimate: float = 0.0
    batch_divisor: int = 1
    retry_here: bool = True


@dataclass(frozen=True)
class Attempt:
    """What came of a try; `record` where there is an outcome on disk."""

    outcome: Outcome
    record: Record | None = None


class Listener(Protocol):
    """Hears of a try while it goes on."""

    def started(self) -> None: ...

    def progress(self, stage: str, done: int, total: int, **numbers: float) -> None: ...


def cached_outcome(cell: Cell, store: Store, overwrite: str) -> Record | None:
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


def attempt(
    cell: Cell,
    ticket: Ticket,
    store: Store,
    settings: Settings,
    watch: ClaimWatch,
    listener: Listener,
) -> Attempt:
    """Try one cell.

    Raises `StoreError` where nothing can be written; KeyboardInterrupt passes through. In every
    case the claim is released.
    """
    claim = watch.try_claim(store.cell(cell).path, ticket.known_dead)
    if claim is None:
        return Attempt("busy")
    try:
        # Another owner may have finished between the grid's look and our claim.
        record = cached_outcome(cell, store, ticket.overwrite)
        if record is None:
            listener.started()
            record = _run(cell, ticket, store, settings, claim, listener.progress)
        return Attempt("finished", record)
    except ClaimLost:
        return Attempt("busy")
    except TimeLimitReached:
        return Attempt("late")
    except OutOfMemory:
        return Attempt("memory")
    finally:
        claim.release()


def _run(
    cell: Cell,
    ticket: Ticket,
    store: Store,
    settings: Settings,
    claim: Claim,
    progress: Callable[..., None],
) -> Record:
    left = ticket.seconds_left
    own = replace(
        settings,
        keep_model=ticket.keep_model,
        timing=settings.timing and ticket.timing,
        deadline=None if left is None else time.monotonic() + left,
        batch_divisor=ticket.batch_divisor,
    )
    try:
        return _run_or_time(cell, ticket, store, own, claim, progress)
    except OutOfMemory:
        if not ticket.retry_here:
            raise
    # Outside of the handler: its exception holds the frames, and they what filled the memory.
    _free_memory()
    again = replace(own, batch_divisor=2)
    return _run_or_time(cell, ticket, store, again, claim, progress)


def _run_or_time(
    cell: Cell,
    ticket: Ticket,
    store: Store,
    settings: Settings,
    claim: Claim,
    progress: Callable[..., None],
) -> Record:
    folder = store.cell(cell)
    done = folder.record() if ticket.overwrite == "timing" else None
    if done is None:
        return run_cell(cell, store, settings, progress, claim)
    try:
        record = time_again(cell, done, store, settings, progress, claim)
    except AdbenchError:
        raise
    except Exception as error:  # the scores are there and stay, and so does the grid
        say(f"warning: {cell.title}: timing failed: {error}")
        record = done
    if not ticket.keep_model:
        remove(folder.model)
    return record


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

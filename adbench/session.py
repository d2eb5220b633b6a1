"""From a request and its plan to records; the command line and the Python interface both come
through here."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType

from adbench.crew import Agenda, reusable
from adbench.errors import StoreError
from adbench.launch import launch
from adbench.plan import Cell, Plan
from adbench.reporter import Reporter
from adbench.request import Request, parse_executor
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.plan_files import write_plan
from adbench.store.records import Record
from adbench.text import counted, say


@dataclass
class Result:
    """Outcomes in the plan's order.

    Attributes:
        reused: how many were there already, or others have made.
        left: how many are absent: other runs have them, or the time was over.
        submitted: of these, how many an engine goes on with.
        out_of_time: whether the deadline has passed.
    """

    records: list[tuple[Cell, Record]] = field(default_factory=list)
    reused: int = 0
    left: int = 0
    submitted: int = 0
    out_of_time: bool = False

    @property
    def exit_code(self) -> int:
        """0, 3 when cells failed, 4 when one failed for its data."""
        codes = {r.failure.exit_code for _, r in self.records if r.failure is not None}
        return 4 if 4 in codes else (3 if codes else 0)


def execute(request: Request, plan: Plan, reporter: Reporter) -> Result:
    """Run what is missing; imports torch only when something is."""
    began = time.monotonic()
    store, cells = request.store(), plan.cells
    store.check_format()
    there = _there(request, store, dict(enumerate(cells)))
    if len(there) == len(cells):
        return _settled(Result([(cells[i], r) for i, r in there.items()], len(there)), store)
    store.open_for_writing()
    name, _ = parse_executor(request.executor)
    limit = None if name == "submitit" else request.time_limit  # there it is each job's
    deadline = None if limit is None else began + limit
    left = {index: cell for index, cell in enumerate(cells) if index not in there}
    agenda = Agenda.of(left.values(), store)
    # Another run may have finished some since the first look: these are not to be run over.
    since = _there(request, store, left)
    for index in since:
        agenda.over.pop(left[index].score_key, None)
    there |= since
    write_plan(plan, store.root)
    reused, submitted = len(there), 0
    with _terminate_as_interrupt():
        if name == "serial" and request.fit_devices == 1:
            from adbench.work import Work, make_settings

            work = Work(plan, agenda, request, make_settings(request, deadline), reporter)
            work.run()
            there |= work.outcomes
            reused += work.reused
        else:
            launched = launch(request, plan, agenda, reporter, deadline)
            there |= launched.outcomes
            reused, submitted = reused + launched.reused, launched.submitted
    result = Result([(cells[i], there[i]) for i in sorted(there)], reused)
    result.left, result.submitted = len(cells) - len(there), submitted
    late = deadline is not None and time.monotonic() >= deadline
    result.out_of_time = bool(result.left) and late
    _restore(result, plan, store)
    return _settled(result, store)


def _there(request: Request, store: Store, cells: dict[int, Cell]) -> dict[int, Record]:
    """The records that need no run."""
    found = ((index, reusable(c, store, request.overwrite)) for index, c in cells.items())
    return {index: record for index, record in found if record is not None}


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """A block in which SIGTERM, a scheduler's farewell, raises KeyboardInterrupt, so that claims
    are released; elsewhere than in the main thread, which alone has signals, none."""
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


def _restore(result: Result, plan: Plan, store: Store) -> None:
    marked, lost = store.is_marked(), store.restore(result.records)
    if lost or not marked:
        write_plan(plan, store.root)
    if lost:
        say(
            f"warning: {counted(lost, 'record')} vanished from {store.root} while the run went on "
            "and was written again; models and maps that went with it are gone"
        )


def _settled(result: Result, store: Store) -> Result:
    """Nobody works on the cells that are finished: what killed owners left of claims goes, and what
    was reused is the newest again."""
    watch = ClaimWatch()
    finished = [cell for cell, record in result.records if record.status != "failed"]
    for fit in {cell.fit_key: cell for cell in finished}.values():
        watch.sweep(store.cell(fit).path)
    with contextlib.suppress(StoreError):  # a folder that is finished and read-only
        store.bring_forward(result.records)
    return result


def pending_cells(plan: Plan, store: Store, overwrite: str) -> list[Cell]:
    """Cells that a run would work on."""
    return [c for c in plan.cells if reusable(c, store, overwrite) is None]

"""Running a plan: every cell exactly once, shared with whoever else works on the folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from adbench.cell.runner import is_timed
from adbench.cell.settings import Settings
from adbench.executors.attempt import Ticket, cached_outcome
from adbench.executors.base import Crash, Ended, Event, Executor, Progressed, Started
from adbench.executors.crash import publish_crash
from adbench.executors.interrupt import terminate_as_interrupt
from adbench.executors.serial import SerialExecutor
from adbench.plan import Cell, Plan
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.records import Record, now

POLL_SECONDS = 1.0
LOOKS_PER_SECOND = 100
"""At cells in the results folder, where the executor does not tell of each."""


class Reporter(Protocol):
    """Hears what happens; prints it or not."""

    def cell_started(self, cell: Cell, number: int, total: int) -> None: ...

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None: ...

    def progress_of(self, cell: Cell) -> Callable[..., None]:
        """What to call, as `cell_progress`, with the progress of this cell among others."""
        ...

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None: ...

    def cell_left(self, cell: Cell, number: int, total: int, why: str) -> None:
        """The cell was begun and has no outcome (yet)."""
        ...

    def waiting(self, count: int) -> None: ...

    def timing(self, count: int) -> None:
        """Cells that ran side by side are timed now, one by one."""
        ...


@dataclass(frozen=True)
class GridOptions:
    """How a grid is run, whatever runs it.

    Attributes:
        overwrite: what to run although there is a record.
        wait: whether cells of other live owners are waited for, or left.
        keep_model: whether fitted models stay.
        timing: whether inference is measured.
        deadline: `time.monotonic()` after which no cell is begun and running ones stop, or None.
    """

    overwrite: str = "failed"
    wait: bool = True
    keep_model: bool = True
    timing: bool = True
    deadline: float | None = None


@dataclass
class GridResult:
    """Outcomes in the plan's order.

    Attributes:
        reused: how many were there already.
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


def run_grid(
    plan: Plan,
    store: Store,
    settings: Settings,
    reporter: Reporter,
    *,
    overwrite: str = "failed",
    wait: bool = True,
    deadline: float | None = None,
) -> GridResult:
    """Run what is not yet there, in this process."""
    options = GridOptions(overwrite, wait, settings.keep_model, settings.timing, deadline)
    return run_on(SerialExecutor(plan, store, settings), plan, store, options, reporter)


def run_on(
    executor: Executor,
    plan: Plan,
    store: Store,
    options: GridOptions,
    reporter: Reporter,
    estimate: Callable[[Cell], float] = lambda cell: 0.0,
) -> GridResult:
    """Run what is not yet there; cells that a live owner has claimed are waited for, or left.

    `estimate` gives rough seconds of a cell, for executors that group small ones.
    """
    with terminate_as_interrupt():
        return _Grid(executor, plan, store, options, reporter, estimate).run()


State = Literal["waiting", "flying", "starved", "crashed", "left"]


@dataclass
class _Task:
    """A cell that has no outcome yet."""

    index: int
    cell: Cell
    overwrite: str
    state: State = "waiting"
    asleep_until: float = 0.0
    batch_divisor: int = 1
    crash: Crash | None = None
    progress: Callable[..., None] | None = None


class _Grid:
    def __init__(
        self,
        executor: Executor,
        plan: Plan,
        store: Store,
        options: GridOptions,
        reporter: Reporter,
        estimate: Callable[[Cell], float],
    ) -> None:
        self.executor, self.cells, self.store = executor, plan.cells, store
        self.options, self.reporter, self.estimate = options, reporter, estimate
        self.watch = ClaimWatch()
        self.began = now()
        self.tasks = {i: _Task(i, c, options.overwrite) for i, c in enumerate(self.cells)}
        self.outcomes: dict[int, Record] = {}
        self.fitted: set[str] = set()
        self.untimed: list[int] = []
        self.times_now = False
        self.looked = 0.0
        self.result = GridResult()

    def run(self) -> GridResult:
        ended_well = False
        try:
            self.executor.open(self._hear)
            self._loop()
            self._time_alone()
            ended_well = True
        finally:
            self.executor.close(abort=not ended_well)
        cells, result = self.cells, self.result
        result.left = len(cells) - len(self.outcomes)
        result.submitted = self._count("flying")
        result.out_of_time = bool(result.left) and self._is_late()
        result.records = [(cells[i], self.outcomes[i]) for i in sorted(self.outcomes)]
        return result

    # ------------------------------------------------------------------------ the loop

    def _loop(self) -> None:
        while True:
            self._record_crashes()
            self._hand_out()
            if self._count("flying"):
                self.executor.wait(POLL_SECONDS)
                if self.executor.outlives and not self.options.wait:
                    return
                if self.executor.detached:
                    self._look_around()
                continue
            waiting = self._count("waiting")
            gives_up = not self.options.wait or self._is_late()
            if not self._count("crashed") and (gives_up or not waiting):
                return
            self.reporter.waiting(waiting)
            time.sleep(POLL_SECONDS)

    def _count(self, state: State) -> int:
        return sum(task.state == state for task in self.tasks.values())

    def _is_late(self) -> bool:
        deadline = self.options.deadline
        return deadline is not None and time.monotonic() >= deadline

    def _hand_out(self) -> None:
        """Give the executor what it has room for; whoever lacked memory runs by itself."""
        tasks = self.tasks.values()
        starved = [t for t in tasks if t.state == "starved"]
        flying = [t for t in tasks if t.state == "flying"]
        if starved:
            if not flying and not self._is_late():
                self._submit(starved[0])
            return
        if any(t.batch_divisor > 1 for t in flying):
            return
        # Cells that share a fit share a claim: one at a time, if the executor does not see to it.
        fits = set() if self.executor.detached else {t.cell.fit_key for t in flying}
        for task in [t for t in tasks if t.state == "waiting"]:
            if self._is_late() or not self.executor.has_room():
                return
            if task.asleep_until <= time.monotonic() and task.cell.fit_key not in fits:
                self._try(task)
                is_away = task.state == "flying" and task.index in self.tasks  # and not yet back
                if is_away and not self.executor.detached:
                    fits.add(task.cell.fit_key)

    def _try(self, task: _Task) -> None:
        """Settle a cell that is there, leave one that somebody has, submit any other."""
        record = cached_outcome(task.cell, self.store, task.overwrite)
        record = record or self._failed_meanwhile(task)
        if record is not None:
            self.result.reused += 1
            self._settle(task, record)
            return
        folder = self.store.cell(task.cell).path
        look = self.watch.look(folder)
        if look.state == "live" or not self._forget(task, look.mark):
            self._sleep(task)
            return
        self._submit(task, look.mark)

    def _submit(self, task: _Task, known_dead: str = "") -> None:
        deadline, alone = self.options.deadline, self.executor.alone
        timing = self.options.timing and (alone or self.times_now)
        task.state = "flying"
        self.executor.submit(
            Ticket(
                index=task.index,
                key=task.cell.score_key,
                fit=task.cell.fit_key,
                overwrite=task.overwrite,
                keep_model=self._keeps_model(task, timed=timing),
                timing=timing,
                seconds_left=None if deadline is None else max(0.0, deadline - time.monotonic()),
                known_dead=known_dead,
                estimate=self.estimate(task.cell),
                batch_divisor=task.batch_divisor,
                retry_here=alone,
            )
        )

    def _failed_meanwhile(self, task: _Task) -> Record | None:
        """A failure that another owner recorded during this run: not tried a second time."""
        failed = task.overwrite == "failed"
        failure = self.store.cell(task.cell).failure() if failed else None
        return failure if failure is not None and failure.created > self.began else None

    def _forget(self, task: _Task, dead: str) -> bool:
        """For `--overwrite all`: remove what is there, once; False where somebody works on it."""
        if task.overwrite != "all":
            return True
        folder = self.store.cell(task.cell)
        claim = self.watch.try_claim(folder.path, dead)
        if claim is None:
            return False
        try:
            # A model that this run has made is as new as it can be for the cells that share it.
            folder.forget(keep_model=task.cell.fit_key in self.fitted)
        finally:
            claim.release()
        self.fitted.add(task.cell.fit_key)
        task.overwrite = "failed"
        return True

    def _keeps_model(self, task: _Task, *, timed: bool) -> bool:
        """Also where it is not asked for: until it is timed, and for cells that share the fit."""
        if self.options.keep_model or (self.options.timing and not timed):
            return True
        key, store = task.cell.fit_key, self.store
        if any(self.cells[i].fit_key == key for i in self.untimed if i != task.index):
            return True
        return any(
            t.cell.fit_key == key and cached_outcome(t.cell, store, t.overwrite) is None
            for t in self.tasks.values()
            if t is not task
        )

    def _sleep(self, task: _Task) -> None:
        task.state, task.asleep_until = "waiting", time.monotonic() + POLL_SECONDS

    def _stop(self, task: _Task, state: State, why: str) -> None:
        """The cell was begun, perhaps, and has no outcome."""
        task.state = state
        if not self.times_now:
            self.reporter.cell_left(task.cell, task.index + 1, len(self.cells), why)

    # ------------------------------------------------------------------- what comes back

    def _hear(self, event: Event) -> None:
        task = self.tasks.get(event.index)
        if task is None:
            return  # settled by a look at the folder
        if isinstance(event, Ended):
            self._ended(task, event)
        elif self.times_now:
            return
        elif isinstance(event, Started):
            self.reporter.cell_started(task.cell, task.index + 1, len(self.cells))
            task.progress = self.reporter.progress_of(task.cell)
        elif isinstance(event, Progressed) and task.progress is not None:
            task.progress(event.stage, event.done, event.total, **event.numbers)

    def _ended(self, task: _Task, event: Ended) -> None:
        if event.outcome == "finished":
            record = event.record or self._found(task.cell)
            if record is not None:
                self._settle(task, record, ran=True)
            else:  # it was damaged between its writing and our reading: again
                self._sleep(task)
        elif event.outcome == "busy":
            if task.progress is not None:
                self._stop(task, "waiting", "another run has taken it over")
            self._sleep(task)
        elif event.outcome == "late":
            self._stop(task, "left", "the time is over; its state is saved")
        elif event.outcome == "left":
            self._stop(task, "left", "its job was cancelled")
        elif task.batch_divisor == 1 and (event.crash is None or event.crash.out_of_memory):
            self._stop(task, "starved", "out of memory; it will be tried again alone")
            task.batch_divisor = 2
        else:
            task.state, task.crash = "crashed", event.crash

    def _found(self, cell: Cell) -> Record | None:
        folder = self.store.cell(cell)
        return folder.record() or folder.failure()

    def _settle(self, task: _Task, record: Record, *, ran: bool = False) -> None:
        del self.tasks[task.index]
        self.outcomes[task.index] = record
        if not ran or self.times_now:
            return
        if self.options.timing and not self.executor.alone and not is_timed(record):
            self.untimed.append(task.index)
        if task.progress is not None or task.crash is not None or self.executor.detached:
            self.reporter.cell_finished(task.cell, record, task.index + 1, len(self.cells))

    def _record_crashes(self) -> None:
        """A dead process cannot say that its cell failed: we do, under a claim of our own."""
        for task in [t for t in self.tasks.values() if t.crash is not None]:
            assert task.crash is not None
            record = publish_crash(task.cell, task.crash, self.store, self.watch)
            if record is not None:
                self._settle(task, record, ran=True)

    def _look_around(self) -> None:
        """Settle the cells of which the folder tells before the executor does."""
        flying = [t for t in self.tasks.values() if t.state == "flying"]
        if time.monotonic() - self.looked < len(flying) / LOOKS_PER_SECOND:
            return
        for task in flying:
            record = cached_outcome(task.cell, self.store, task.overwrite)
            if record is not None:
                self._settle(task, record, ran=True)
        self.looked = time.monotonic()

    # ---------------------------------------------------------------------------- timing

    def _time_alone(self) -> None:
        """Timing is an exclusive phase: what ran side by side is timed by itself afterwards."""
        if not self.untimed or self._is_late():
            return
        self.times_now = True
        self.reporter.timing(len(self.untimed))
        while self.untimed:
            index = self.untimed[0]
            self.tasks = {index: _Task(index, self.cells[index], "timing")}
            self._loop()
            self.untimed.remove(index)

"""Claim and run the cells of a plan in this process, until nothing is left on the results folder.

That is what `adbench run` does, and what the workers do that a launcher starts: the folder says
what is left, whoever else works on it. A cell of a live owner is waited for, one of a
dead owner is gone on with.
"""

from __future__ import annotations

import gc
import platform
import sys
import time
from dataclasses import replace

from adbench.cell.records import cell_record, plugin_environment
from adbench.cell.runner import CellRun
from adbench.cell.settings import Settings
from adbench.contracts.interruptions import (
    ClaimLost,
    OutOfMemory,
    TimeLimitReached,
)
from adbench.crew.agenda import Agenda, is_timed
from adbench.crew.crew import DEATHS, End, Note, Notes, Part
from adbench.crew.reporter import Reporter
from adbench.errors import AdbenchError
from adbench.estimates import learn_cell
from adbench.machine.devices import choose_device, choose_precision
from adbench.machine.environment import git_state, package_versions
from adbench.plan import Cell, Plan
from adbench.request import Request
from adbench.store.claims import Claim, ClaimWatch
from adbench.store.folders import CellFolder
from adbench.store.records import Failure, Record
from adbench.text import say
from adbench.version import __version__
from adbench.work.team import PartnerLost

POLL_SECONDS = 1.0


class Work:
    """One process at work on a plan.

    Attributes:
        outcomes: records by the cell's index in the plan.
        reused: how many of them others have made.
        end: how it ended, once it has.
    """

    def __init__(
        self,
        plan: Plan,
        agenda: Agenda,
        request: Request,
        settings: Settings,
        reporter: Reporter,
        *,
        notes: Notes | None = None,
        part: Part = "alone",
        patience: float | None = None,
    ) -> None:
        """`patience`: as in `Duty`. Workers have `notes` together, and end after a failure."""
        self.cells, self.agenda, self.request = plan.cells, agenda, request
        self.settings, self.reporter = settings, reporter
        self.is_worker, self.notes = notes is not None, notes or Notes()
        self.part, self.patience = part, patience
        self.store, self.watch = request.store(), ClaimWatch()
        self.open = {i: c for i, c in enumerate(plan.cells) if c.score_key in agenda.over}
        self.outcomes: dict[int, Record] = {}
        self.reused = 0
        self.end: End = ""
        self._asleep: dict[int, float] = {}
        self._stood_still = time.monotonic()

    def run(self) -> None:
        """Work until all is settled or there is another reason to end."""
        while self.open and not self.end:
            for index in list(self.open):
                if self.is_late() or self.end:
                    break
                if self._asleep.get(index, 0.0) <= time.monotonic():
                    self._try(index, self.open[index])
            if self.is_late():
                self.end = self.end or "late"
            elif self.open and not self.end:
                self._wait()
        if self.part == "after" and not self.end:
            self._time_what_ran_beside()
        self.end = self.end or "done"

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        deadline = self.settings.deadline
        return deadline is not None and time.monotonic() >= deadline

    def _wait(self) -> None:
        quiet = time.monotonic() - self._stood_still
        if not self.request.wait or (self.patience is not None and quiet > self.patience):
            self.end = "others"
            return
        self.reporter.waiting(len(self.open))
        time.sleep(POLL_SECONDS)

    def _try(self, index: int, cell: Cell) -> None:
        """Settle a cell that is there, leave one that somebody has, run any other."""
        folder = self.store.cell(cell)
        record = self._outcome(cell, folder)
        if record is not None:
            self._settle(index, record, ours=False)
            return
        note = self.notes.note(cell.score_key)
        if note.starved and self.part == "beside":
            del self.open[index]  # for the worker that comes after all others
            return
        claim = self.watch.try_claim(folder.path)
        if claim is None:
            self._asleep[index] = time.monotonic() + POLL_SECONDS
            return
        try:
            record = self._outcome(cell, folder)  # since we looked
            ours = record is None
            record = record or self._run(index, cell, folder, note, claim)
            self._settle(index, record, ours=ours)
        except ClaimLost:
            self._asleep[index] = time.monotonic() + POLL_SECONDS
            self._left(index, "another run has taken it over")
        except TimeLimitReached:
            del self.open[index]
            self.end = "late"
            self._left(index, "the time is over; its state is saved")
        except OutOfMemory:
            self.notes.amend(cell.score_key, starved=True)
            self._left(index, "out of memory; it will be tried again alone")
            self.end = "spoiled"
        except PartnerLost:
            self.end = "partner"
        finally:
            claim.release()

    def _outcome(self, cell: Cell, folder: CellFolder) -> Record | None:
        """What settles the cell."""
        anew = self.request.overwrite == "all"
        forgotten = anew and self.notes.note(cell.score_key).forgotten
        return self.agenda.settled(cell, folder, forgotten)

    def _run(self, index: int, cell: Cell, folder: CellFolder, note: Note, claim: Claim) -> Record:
        """Run a claimed cell; where memory runs out, once more with half a batch."""
        if note.deaths >= DEATHS:
            return folder.write_record(_dead_record(cell, note))
        if self.request.overwrite == "all" and not note.forgotten:
            folder.forget(keep_model=self.notes.note(cell.fit_key).forgotten)
            for key in (cell.score_key, cell.fit_key):
                self.notes.amend(key, forgotten=True)
        self.reporter.cell_started(cell, index + 1, len(self.cells))
        timing = self.request.timing and self.part != "beside"
        settings = replace(
            self.settings,
            timing=timing,
            keep_model=self._keeps_model(index, cell, timed=timing),
            batch_divisor=2 if note.starved else 1,
        )
        done = folder.record() if self.request.overwrite == "timing" else None
        try:
            return self._finish(cell, folder, settings, claim, done)
        except OutOfMemory:
            if self.part == "beside":
                raise
        # Outside of the handler: its exception holds the frames, and they what filled the memory.
        _free_memory()
        return self._finish(cell, folder, replace(settings, batch_divisor=2), claim, done)

    def _finish(
        self, cell: Cell, folder: CellFolder, settings: Settings, claim: Claim, done: Record | None
    ) -> Record:
        """Run a cell, or only time one that is `done`."""
        run = CellRun(cell, folder, settings, self.reporter.progress_of(cell), claim)
        if done is None:
            record = run.finish()
            if record.status == "done":
                learn_cell(settings.cache.folder, settings.device, cell, *run.measured())
            return record
        try:
            record = run.time_again(done)
        except AdbenchError:
            raise
        except Exception as error:  # the scores are there and stay, and so does the grid
            say(f"warning: {cell.title}: timing failed: {error}")
            record = folder.write_record(done)
        if not settings.keep_model:
            folder.drop_models()
        return record

    def _keeps_model(self, index: int, cell: Cell, *, timed: bool) -> bool:
        """Also where it is not asked for: until it is timed, and for cells that share the fit."""
        if self.request.keep_model or (self.request.timing and not timed):
            return True
        return any(
            other.fit_key == cell.fit_key and self._outcome(other, self.store.cell(other)) is None
            for number, other in self.open.items()
            if number != index
        )

    def _settle(self, index: int, record: Record, *, ours: bool) -> None:
        cell = self.open.pop(index)
        self.outcomes[index] = record
        self.reused += not ours
        self._stood_still = time.monotonic()
        if ours:
            self.reporter.cell_finished(cell, record, index + 1, len(self.cells))
            if record.failure is not None and self.is_worker:
                self.end = "spoiled"  # a device may be left in a state of its own

    def _left(self, index: int, why: str) -> None:
        self.reporter.cell_left(self.cells[index], index + 1, len(self.cells), why)

    def _time_what_ran_beside(self) -> None:
        """Timing is an exclusive phase: one at a time, with nobody of ours beside."""
        cells = [c for c in self.cells if c.score_key in self.agenda.over]
        places = [(cell, self.store.cell(cell)) for cell in cells]
        found = [(cell, folder, self._outcome(cell, folder)) for cell, folder in places]
        untimed = [(c, f, r) for c, f, r in found if r is not None and not is_timed(r)]
        later = [cell.fit_key for cell, _, _ in untimed]
        for cell, folder, record in untimed:
            later.remove(cell.fit_key)
            if self.is_late() or self.notes.note(cell.score_key).deaths >= DEATHS:
                continue
            claim = self.watch.try_claim(folder.path)
            if claim is not None:
                try:
                    self.reporter.cell_started(cell, 0, 0)
                    keeps = self.request.keep_model or cell.fit_key in later
                    settings = replace(self.settings, keep_model=keeps)
                    self._finish(cell, folder, settings, claim, record)
                    self.reporter.cell_finished(cell, record, 0, 0)
                finally:
                    claim.release()


def _dead_record(cell: Cell, note: Note) -> Record:
    """A failure in the place of the processes that could not say it."""
    # Not the device: asking for its name needs a driver that may be what broke.
    environment = {
        "adbench": __version__,
        "git": git_state(),
        **plugin_environment(cell),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {n: v for n, v in package_versions().items() if v},
    }
    crash = note.crash
    failure = Failure(type="ProcessDied", message=crash.what, traceback=list(crash.lines))
    return cell_record(cell, "failed", failure=failure, environment=environment)


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def make_settings(request: Request, deadline: float | None = None) -> Settings:
    """How the calling process runs cells; imports torch. `deadline`: a `time.monotonic()`."""
    device = choose_device(request.device)
    return Settings(
        device=device,
        precision=choose_precision(device),
        cache=request.open_cache(),
        keep_maps=request.keep_maps,
        keep_model=request.keep_model,
        timing=request.timing,
        checkpoint_seconds=request.checkpoint_seconds,
        deadline=deadline,
        accumulate=request.accumulate,
        snapshots=request.snapshots,
        note=request.note,
        tags=request.tags,
    )

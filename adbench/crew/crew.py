"""The folder through which the workers of a run and their launcher speak.

    results/workers/<id>/
      agenda.json      the cells, and the outcomes that are to be run over
      <worker>.status  what a worker is at, written at each cell and about once a second; at its
                       end why it left. A file without that is the last word of a dead worker
      <worker>.fit     the training that its partners share (--fit-devices)
      note-<key>.json  what workers have to know of a cell beside its files

Nothing in it has to outlive its run. Where the folder goes, its workers stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from adbench.crew.agenda import Agenda
from adbench.crew.reporter import Reporter
from adbench.errors import StoreError
from adbench.plan import Cell
from adbench.store import files
from adbench.store.claims import ClaimWatch
from adbench.store.records import Record

FOLDER = "workers"
DEATHS = 2
"""A cell that ended so many workers is recorded as failed."""
PROGRESS_SECONDS = 1.0

Part = Literal["beside", "alone", "after"]
"""Beside other workers of this machine, which leaves timing and what lacks memory to one that
comes after them; or alone on its share of a machine, as a plain run is."""
End = Literal["done", "late", "others", "spoiled", "partner", "refused", ""]
"""Why a worker left: all is settled, its time is over, only other runs' cells are left, its
process should take no other cell, a partner is gone, a mistake that ends the whole run."""


@dataclass(frozen=True)
class Crash:
    """How a process died: in one clause ("its process was killed by SIGSEGV"), with the last lines
    of its stderr, and whether the system killed it because memory ran out."""

    what: str
    lines: tuple[str, ...] = ()
    out_of_memory: bool = False


@dataclass(frozen=True)
class Note:
    """What is known of a cell beside its files.

    Attributes:
        starved: memory ran out; it is tried once more, alone, with half a batch.
        forgotten: what was there before `--overwrite all` is gone.
        deaths: workers that died of it.
        crash: how the last one did.
    """

    starved: bool = False
    forgotten: bool = False
    deaths: int = 0
    crash: Crash = field(default_factory=lambda: Crash(""))


class Notes:
    """Notes of one process that works by itself."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}

    def note(self, key: str) -> Note:
        """Of a cell, by its score key, or of what it shares with others, by its fit key."""
        return self._notes.get(key, Note())

    def amend(self, key: str, **changes: Any) -> None:
        """Change it."""
        self._notes[key] = replace(self.note(key), **changes)


@dataclass
class Status:
    """What a worker is at.

    Attributes:
        cell: score key of the cell, empty between two.
        ended: score keys of those before, each with a reason where it was left.
        error: message and exit code, for "refused".
    """

    cell: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    end: End = ""
    error: tuple[str, int] = ("", 0)


class Crew(Notes):
    """A folder of notes, and the workers that read and write it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def gather(cls, results: Path, agenda: Agenda) -> Crew:
        """A new one; what killed launchers of this machine have left goes."""
        watch = ClaimWatch()
        for other in Crew.all(results):
            if watch.look(other.folder).state == "dead":
                other.disband()
        crew = cls(results / FOLDER / uuid.uuid4().hex[:12])
        files.write_json(crew.folder / "agenda.json", {"over": agenda.over})
        return crew

    @staticmethod
    def all(results: Path) -> list[Crew]:
        """Those of a results folder."""
        return [Crew(path.parent) for path in (results / FOLDER).glob("*/agenda.json")]

    def agenda(self) -> Agenda:
        """What it has to settle; empty where that cannot be read."""
        return Agenda((files.read_or_set_aside(self.folder / "agenda.json") or {}).get("over", {}))

    def disband(self) -> None:
        """Remove the folder: the workers that are left stop."""
        with contextlib.suppress(OSError):
            (self.folder / "agenda.json").unlink()
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # others may have theirs there
            self.folder.parent.rmdir()

    def is_there(self) -> bool:
        """Whether workers are still wanted; yes, where the folder cannot be asked just now."""
        try:
            (self.folder / "agenda.json").stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def note(self, key: str) -> Note:
        """As `Notes`."""
        found = self.read(f"note-{key}.json")
        return Note(**{**found, "crash": Crash(**found["crash"])}) if found else Note()

    def amend(self, key: str, **changes: Any) -> None:
        """As `Notes`."""
        self.write(f"note-{key}.json", asdict(replace(self.note(key), **changes)))

    def bury(self, worker: str, crash: Crash) -> bool:
        """Note a worker's death for the cell it was at; False where it was at none."""
        status = self.status(worker)
        if not status.cell:
            return False
        note = self.note(status.cell)
        if crash.out_of_memory and not note.starved:
            self.amend(status.cell, starved=True)
            why = "out of memory; it will be tried again alone"
        else:
            deaths = DEATHS if crash.out_of_memory else note.deaths + 1
            self.amend(status.cell, deaths=deaths, crash=crash)
            why = f"{crash.what}; it will be tried once more" if deaths < DEATHS else ""
        if why:
            status.ended.append((status.cell, why))
        status.cell = ""
        self.write(f"{worker}.status", asdict(status))
        return True

    def workers(self) -> list[str]:
        """The names of those that have said something."""
        return sorted(path.stem for path in self.folder.glob("*.status"))

    def status(self, worker: str) -> Status:
        """What it said last."""
        found = self.read(f"{worker}.status")
        return Status(**found) if found else Status()

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Replace a file at once, without the care for power cuts that results have.

        Raises FileNotFoundError where the folder is gone, `StoreError` where the disk refuses.
        """
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        try:
            temporary.write_text(json.dumps(value))
            os.replace(temporary, self.folder / name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise files.explain_os_error(error, self.folder / name) from error

    def read(self, name: str) -> dict[str, Any] | None:
        """What was written, None where that is not there."""
        try:
            value = json.loads((self.folder / name).read_text())
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Duty:
    """Whose worker a process is; one word of its command line.

    Attributes:
        cores: to stay on, empty for all.
        rank: among the `size` processes that share each training; the first owns the cells.
        patience: seconds with nothing but other runs' cells after which it leaves; None: for ever.
    """

    crew: str
    name: str
    part: Part
    cores: tuple[int, ...] = ()
    rank: int = 0
    size: int = 1
    patience: float | None = None

    def word(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, word: str) -> Duty:
        """Of the command line."""
        values = json.loads(word)
        return cls(**{**values, "cores": tuple(values["cores"])})


class Teller(Reporter):
    """The reporter of a worker: writes its `Status`."""

    def __init__(self, crew: Crew, name: str) -> None:
        self._crew, self._name = crew, name
        self._status = Status()
        self._written = 0.0

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """At once: whoever sees this process die has to know of which cell."""
        self._status.cell, self._status.stage = cell.score_key, ""
        self._write()

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Now and then."""
        status = self._status
        status.stage, status.done, status.total, status.numbers = stage, done, total, numbers
        if time.monotonic() - self._written >= PROGRESS_SECONDS:
            self._write()

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None:
        """With the next word."""
        self._ended(cell, "")

    def cell_left(self, cell: Cell, number: int, total: int, why: str) -> None:
        """With the next word."""
        self._ended(cell, why)

    def waiting(self, count: int) -> None:
        """Tells what ended."""
        self._write()

    def leave(self, end: End, error: tuple[str, int] = ("", 0)) -> None:
        """The last word."""
        self._status.end, self._status.error = end, error
        self._write()

    def _ended(self, cell: Cell, why: str) -> None:
        self._status.ended.append((cell.score_key, why))
        self._status.cell = ""
        if time.monotonic() - self._written >= PROGRESS_SECONDS:
            self._write()

    def _write(self) -> None:
        try:
            self._crew.write(f"{self._name}.status", asdict(self._status))
        except FileNotFoundError:
            raise KeyboardInterrupt from None  # nobody wants the work any more
        except StoreError:
            pass  # the launcher finds out, and so does who writes results
        self._written = time.monotonic()

"""`adbench status`: how far the runs on a results folder are, from the folder alone."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from adbench.errors import UsageError
from adbench.store import files
from adbench.store.claims import ClaimWatch, Look
from adbench.store.folders import Store
from adbench.store.plan_files import PlannedCell, read_plans
from adbench.store.regular_files import is_readable_text
from adbench.text import counted, duration, print_json, show

State = Literal["finished", "failed", "running", "interrupted", "waiting"]
ORDER: tuple[State, ...] = ("finished", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class CellStatus:
    """Where one planned cell is.

    Attributes:
        title: data set, category, method, seed and preset.
        state: "interrupted" has a training state, a model or maps, and nobody at work.
        seconds_ago: since the owner's last sign of life, for "running".
        checkpoint_seconds_ago: since training was last saved, where it was.
        reason: of a failure.
    """

    title: str
    state: State
    seconds_ago: float | None = None
    checkpoint_seconds_ago: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        notes = [] if self.reason is None else [self.reason]
        if self.seconds_ago is not None:
            notes.append(f"last sign of life {duration(self.seconds_ago)} ago")
        if self.checkpoint_seconds_ago is not None:
            notes.append(f"training saved {duration(self.checkpoint_seconds_ago)} ago")
        return f"{self.state:11s} {self.title}" + (f": {', '.join(notes)}" if notes else "")


def status(results: Path, as_json: bool) -> None:
    """Print it; raises `UsageError` for a folder in which nothing was ever started."""
    Store(results).check_format()
    cells = read_status(results)
    if not cells:
        raise UsageError(
            f"no run was started in {results}: `adbench run --results {results}` does; "
            "`adbench report` shows records alone"
        )
    counts = Counter(cell.state for cell in cells)
    if as_json:
        by_state = {state: counts[state] for state in ORDER}
        print_json({"cells": [asdict(cell) for cell in cells], "counts": by_state})
        return
    parts = [f"{counts[state]} {state}" for state in ORDER if counts[state]]
    show(f"{counted(len(cells), 'cell')}: {', '.join(parts)}")
    for cell in cells:
        if cell.state not in ("finished", "waiting"):
            show(str(cell))


def read_status(root: Path) -> list[CellStatus]:
    """The status of every cell that a run has planned, in the plans' order."""
    watch, now = ClaimWatch(), time.time()
    looks: dict[str, Look] = {}
    owned: set[str] = set()
    found = []
    for cell in read_plans(root):
        if cell.fit not in looks:
            looks[cell.fit] = watch.look(root / "cells" / cell.fit)
        # Of the cells that share a claim, the first that has no outcome is the one at work.
        finished = _is_there(_path(root, cell, "record"))
        at_work = looks[cell.fit].state == "live" and not finished and cell.fit not in owned
        if at_work:
            owned.add(cell.fit)
        found.append(_status(root, cell, looks[cell.fit] if at_work else None, finished, now))
    return found


def _status(
    root: Path, cell: PlannedCell, owner: Look | None, finished: bool, now: float
) -> CellStatus:
    if finished:
        return CellStatus(cell.title, "finished")
    folder = root / "cells" / cell.fit
    saved = _age(folder / "checkpoint.pt", now)
    if owner is not None:
        beat = _age(folder / owner.mark.partition(":")[0], now)
        return CellStatus(cell.title, "running", beat, saved)
    failed = _path(root, cell, "failed")
    if _is_there(failed):
        return CellStatus(cell.title, "failed", reason=_reason(failed))
    if saved is not None or (folder / "model").is_dir():
        return CellStatus(cell.title, "interrupted", checkpoint_seconds_ago=saved)
    return CellStatus(cell.title, "waiting")


def _path(root: Path, cell: PlannedCell, kind: str) -> Path:
    return root / "cells" / cell.fit / f"{kind}-{cell.score}.json"


def _is_there(path: Path) -> bool:
    """Whether a record is there. Its content is for others to check; but what is no file, or is
    too large, is none, and is told."""
    return is_readable_text(path) or files.read_or_set_aside(path) is not None


def _age(path: Path, now: float) -> float | None:
    """Seconds since a change, by this host's clock; another host's may be ahead."""
    try:
        return max(0.0, now - path.stat().st_mtime)
    except OSError:
        return None


def _reason(path: Path) -> str:
    try:
        return str(files.read_json(path)["failure"]["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return "its record is damaged; the next run sets it aside"

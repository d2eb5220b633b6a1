"""What runs set out to do, kept in the results folder: `plans/plan-<digest>.json`.

`adbench status` needs neither data nor methods to say what is still missing. The same plan has the
same file, so that asking again adds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adbench.plan import Cell, Plan
from adbench.store import atomic
from adbench.store.records import now

FOLDER = "plans"
_KEY = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a plan: what it is called, and the keys that name its folder and record.

    `same` is equal for cells that differ in nothing but the code, the data or the versions.
    """

    title: str
    fit: str
    score: str
    same: str


def write_plan(plan: Plan, root: Path) -> None:
    """Keep a plan; raises `StoreError`."""
    cells = [
        {
            "title": f"{cell.title} · {cell.preset}",
            "fit": cell.fit_key,
            "score": cell.score_key,
            "same": atomic.digest(_same(cell))[:24],
        }
        for cell in plan.cells
    ]
    name = f"plan-{atomic.digest(cells)[:24]}.json"
    atomic.write_json(root / FOLDER / name, {"created": now(), "cells": cells})


def _same(cell: Cell) -> list[Any]:
    given = cell.data.threshold_given
    return [cell.identity, cell.mask_rule, *([] if given is None else [given])]


def read_plans(root: Path) -> list[PlannedCell]:
    """The cells of all plans; of those that differ only in code or data, the newest plan's."""
    cells: dict[str, PlannedCell] = {}
    for _, planned in sorted(_plans(root), key=lambda plan: plan[0]):
        cells |= {cell.same: cell for cell in planned}
    return list(cells.values())


def _plans(root: Path) -> Iterator[tuple[str, list[PlannedCell]]]:
    for path in sorted((root / FOLDER).glob("plan-*.json")):
        plan = atomic.read_or_set_aside(path)
        if plan is None:
            continue
        try:
            cells = [PlannedCell(**cell) for cell in plan["cells"]]
            whole = all(_KEY.fullmatch(c.fit) and _KEY.fullmatch(c.score) for c in cells)
            if not whole:  # a name from a file never becomes a path unseen
                raise ValueError(f"{path.name} names no cells")
            yield str(plan["created"]), cells
        except (ValueError, KeyError, TypeError) as error:
            atomic.say_damaged(path, str(error))

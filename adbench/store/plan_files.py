"""What runs set out to do, kept in the results folder: `plans/plan-<digest>.json`.

`adbench status` needs neither data nor methods to say what is still missing. The same plan has the
same file, so that asking again adds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from adbench.store.files import checked, digest, read_json, remove, write_json
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


class _Planned(Protocol):
    @property
    def planned(self) -> PlannedCell: ...


class _Plan(Protocol):
    @property
    def cells(self) -> Sequence[_Planned]: ...


def write_plan(plan: _Plan, root: Path) -> None:
    """Keep a plan (`adbench.plan.Plan`); raises `StoreError`."""
    cells = [asdict(cell.planned) for cell in plan.cells]
    name = f"plan-{digest(cells)[:24]}.json"
    write_json(root / FOLDER / name, {"created": now(), "cells": cells})


def read_plans(root: Path) -> list[PlannedCell]:
    """The cells of all plans; of those that differ only in code or data, the newest plan's."""
    paths = sorted((root / FOLDER).glob("plan-*.json"))
    plans = filter(None, (checked(path, _read) for path in paths))
    cells: dict[str, PlannedCell] = {}
    for _, planned in sorted(plans, key=lambda plan: plan[0]):
        cells |= {cell.same: cell for cell in planned}
    return list(cells.values())


def forget_planned(root: Path, scores: Collection[str]) -> None:
    """Leave cells whose records were removed on purpose out of all plans."""
    for path in sorted((root / FOLDER).glob("plan-*.json")):
        plan = checked(path, _read)
        kept = [] if plan is None else [cell for cell in plan[1] if cell.score not in scores]
        if plan is not None and not kept:
            remove(path)
        elif plan is not None and len(kept) < len(plan[1]):
            write_json(path, {"created": plan[0], "cells": [asdict(cell) for cell in kept]})


def _read(path: Path) -> tuple[str, list[PlannedCell]]:
    """When it was made, and its cells."""
    plan = read_json(path)
    try:
        cells = [PlannedCell(**cell) for cell in plan["cells"]]
        # A name from a file never becomes a path unseen.
        keys = all(_KEY.fullmatch(key) for cell in cells for key in (cell.fit, cell.score))
        if keys and all(isinstance(name, str) for c in cells for name in (c.title, c.same)):
            return str(plan["created"]), cells
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    raise ValueError(f"{path.name} names no cells")

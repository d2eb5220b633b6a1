"""`run --selected FILE`: the chosen values on a plan, where the file fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from adbench.code_digest import method_code
from adbench.errors import UsageError
from adbench.hyperparameters import build_hyperparameters
from adbench.plan import Cell, Plan, Selected
from adbench.registry import load_method
from adbench.request import Request
from adbench.select.file import Choice, SelectionFile, read_selection
from adbench.selectors import parse_methods, parse_overrides


def chosen_by(request: Request) -> Callable[[Plan], Plan]:
    """What `--selected` does to a plan: each cell gets its chosen hyper-parameters.

    The file is read at once. Methods of which it has nothing stay as they are, with a note. Seeds
    are free: values chosen with one are used for all. Raises `UsageError` where the file has
    nothing for any method, or for a cell of a method that it has; where it was made with other
    settings or training images; or where the command sets a value that the file chooses.
    """
    path = request.selected
    if path is None:
        return lambda plan: plan
    return partial(_apply, selection=read_selection(path), path=path, request=request)


def _apply(plan: Plan, selection: SelectionFile, path: Path, request: Request) -> Plan:
    known = {choice.method for choice in selection.choices}
    used = {cell.method.card.name for cell in plan.cells}
    if plan.cells and not used & known:
        raise UsageError(
            f"--selected {path} chooses for {', '.join(sorted(known))}, and this command runs "
            f"{', '.join(sorted(used))}: select with the same --methods, or leave it out"
        )
    _refuse_conflicts(selection, path, request)
    notes = [
        f"{name}: {path} has nothing on it, it runs with the values of the command"
        for name in sorted(used - known)
    ]
    cells = [
        _selected(cell, selection, path, notes) if cell.method.card.name in known else cell
        for cell in plan.cells
    ]
    return Plan(tuple(cells), (*plan.notes, *dict.fromkeys(notes)))


def _refuse_conflicts(selection: SelectionFile, path: Path, request: Request) -> None:
    given = {name: set(own) for name, own in parse_overrides(request.overrides).items()}
    for selector in parse_methods(request.methods):
        if selector.options:
            name = load_method(selector.name).card.name
            given.setdefault(name, set()).update(option for option, _ in selector.options)
    for choice in selection.choices:
        for name in choice.chosen:
            if name in given.get(choice.method, ()):
                raise UsageError(
                    f"{choice.method}.{name} is set by the command and chosen by {path}: leave "
                    "one of the two out"
                )


def _selected(cell: Cell, selection: SelectionFile, path: Path, notes: list[str]) -> Cell:
    choice = _choice_for(cell, selection, path)
    values = {n: getattr(cell.hyperparameters, n) for n in type(cell.hyperparameters).model_fields}
    built = build_hyperparameters(cell.method, cell.preset, {**values, **choice.chosen})
    other = _differences(built.canonical(), choice.hyperparameters, "=")
    if other:
        raise UsageError(
            f"{path} was made with {choice.method} {other}: give this run the same values with "
            "--set, or select with these"
        )
    if cell.data.digest(cell.categories, "train") != choice.train_sha256:
        raise UsageError(
            f"{path} was made with other training images of {cell.data.name}:"
            f"{','.join(cell.categories)}: run `adbench select` again on these"
        )
    if set(method_code(cell.method).modules.values()) != set(choice.code.values()):
        notes.append(
            f"{choice.method}: its code has changed since {path} was made; the chosen values are "
            "used as they are, `adbench select` chooses anew"
        )
    chosen = Selected(selection.digest, tuple(choice.chosen))
    return replace(cell, hyperparameters=built, selected=chosen)


def _choice_for(cell: Cell, selection: SelectionFile, path: Path) -> Choice:
    own = [c for c in selection.choices if c.method == cell.method.card.name]
    wanted = {
        "data set": f"{cell.data.name} version {cell.data.dataset.card.version}",
        "scope": cell.scope,
        "categories": ",".join(cell.categories),
        "preset": cell.preset,
        "--limit": cell.data.limit,
    }
    nearest = max(own, key=lambda c: sum(wanted[n] == v for n, v in _settings(c).items()))
    if wanted == _settings(nearest):
        return nearest
    raise UsageError(
        f"{path} has nothing on {cell.title}; the nearest it has was made with "
        f"{_differences(wanted, _settings(nearest), ' ')}: run `adbench select` with the options "
        "of this command"
    )


def _settings(choice: Choice) -> dict[str, Any]:
    return {
        "data set": f"{choice.dataset} version {choice.dataset_version}",
        "scope": choice.scope,
        "categories": ",".join(choice.categories),
        "preset": choice.preset,
        "--limit": choice.limit,
    }


def _differences(here: dict[str, Any], made_with: dict[str, Any], sign: str) -> str:
    """`steps=1 (here: 2), ...`; empty where they are equal."""
    names = [name for name in {**made_with, **here} if here.get(name) != made_with.get(name)]
    return ", ".join(f"{n}{sign}{made_with.get(n)} (here: {here.get(n)})" for n in names)

"""One hyper-parameter after the other: the cells of a step are run, and their records choose."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from adbench.code_digest import method_code
from adbench.contracts import Hyperparameters, Method
from adbench.crew.reporter import Reporter
from adbench.data.cache import default_cache_folder
from adbench.data.selection import check_dataset_names
from adbench.errors import DataError, MethodError, UnknownNameError, UsageError
from adbench.plan import Cell, Plan, make_plan, variants
from adbench.request import Request
from adbench.select.file import CRITERION, TOLERANCE, Choice, Curve, HeldOut, Point, SelectionFile
from adbench.select.pseudo import (
    FRACTION,
    PseudoData,
    pseudo_data,
    recipe_digest,
    training_selection,
)
from adbench.select.steps import Step, candidate, parse_grids, steps_of
from adbench.selectors import parse_overrides, parse_seeds
from adbench.store.records import Record, now
from adbench.version import __version__

Execute = Callable[[Request, Plan, Reporter], Iterable[tuple[Cell, Record]]]
"""Runs cells as `adbench run` does (`api.execute`), and gives their records."""


@dataclass(frozen=True)
class Search:
    """What is searched for one method on one set of trained categories.

    Attributes:
        cell: on pseudo-validation data; its settings are where the search starts.
        steps: what to choose, in order.
    """

    cell: Cell
    steps: tuple[Step, ...]

    def cells(self, step: Step, chosen: Mapping[str, Any]) -> list[Cell]:
        """One a value of the step, with what was chosen before."""
        changes = {**chosen, **step.holding}
        return [self.point({**changes, step.name: value}) for value in step.values]

    def point(self, changes: Mapping[str, Any]) -> Cell:
        """The cell with these settings, on a model that serves as many others as it can."""
        method, preset = self.cell.method, self.cell.preset
        tried = candidate(method, self.cell.hyperparameters, preset, changes)
        serves = method.card.selection.fit_serves if method.card.selection else {}
        own = type(tried).model_fields
        # A part that no point of this search uses is not fitted.
        more = {n: v for n, v in serves.items() if n in own and v in self._values_of(n)}
        fitted = candidate(method, tried, preset, more)
        same = fitted.canonical() == tried.canonical()
        return replace(self.cell, hyperparameters=tried, fitted_with=None if same else fitted)

    def _values_of(self, name: str) -> list[Any]:
        """Every value of a hyper-parameter that occurs in this search."""
        values = [getattr(self.cell.hyperparameters, name)]
        for step in self.steps:
            values += [step.holding[name]] if name in step.holding else []
            values += step.values if step.name == name else ()
        return values


def plan_searches(
    request: Request, grids: Sequence[str] = (), fraction: float = FRACTION
) -> tuple[list[Search], list[str]]:
    """One search per method and set of trained categories, and notes; opens no test image.

    Args:
        request: methods, data sets, preset, one seed, scope and settings that stay as they are.
        grids: METHOD.NAME=V1|V2, in the order of the search; else the methods' own.
        fraction: of each category's normals to hold out, in (0, 0.5].

    Raises:
        UsageError: a wrong word, several seeds, a sweep, or a method without any grid.
        DataError: training images are missing or too few.
    """
    seeds = parse_seeds(request.seeds)
    if len(seeds) != 1:
        raise UsageError(f"--seed {request.seeds}: expected one whole number")
    if not 0 < fraction <= 0.5:
        raise UsageError(f"--held-out {fraction}: expected a fraction in (0, 0.5]")
    if not request.datasets:
        raise UsageError("no data set: give --dataset NAME[:CATEGORY,...]")
    plan = partial(
        make_plan, request.methods, preset=request.preset, seeds=seeds, scope=request.scope,
        overrides=request.overrides,
    )  # fmt: skip
    plan(data=())  # a wrong word (exit code 2) is told before missing data (4)
    check_dataset_names(request.datasets, request.own_words())
    steps, notes = _steps(request, grids)
    folder = request.cache_folder or default_cache_folder()
    find = partial(
        training_selection, limit=request.limit, index_folder=folder, said=request.own_words()
    )
    normals = [find(name, request.data_root) for name in request.datasets]
    cells = plan(data=[pseudo_data(own, fraction, seeds[0]) for own in normals])
    searches = []
    for cell in cells.cells:
        reason = cell.build().unsupported(cell.scope, cell.category_cards())
        if reason is None:
            searches.append(Search(cell, tuple(steps[cell.method.card.name])))
        else:
            notes.append(f"{cell.title} is left out: {reason}")
    if not searches:
        raise UsageError(f"nothing can be searched: {'; '.join(notes)}")
    return searches, [*cells.notes, *notes]


def pending_cells(request: Request, searches: Sequence[Search]) -> list[Cell]:
    """What is not there yet, as far as it can be told: after a step that is unfinished, the next
    one is taken to begin as that one did."""
    store, pending = own_folder(request).store(), []
    for search in searches:
        walk = _Walk(search)
        for step in search.steps:
            cells = search.cells(step, walk.chosen)
            records = [store.cell(cell).record() for cell in cells]
            there = [record for record in records if record is not None]
            if len(there) == len(cells):
                walk.choose(step, cells, there)
            pending += [c for c, r in zip(cells, records, strict=True) if r is None]
    return pending


def run_searches(
    request: Request, searches: Sequence[Search], reporter: Reporter, execute: Execute
) -> SelectionFile:
    """Search all of them, side by side; what an earlier call finished is read.

    Raises:
        MethodError, DataError: a cell failed; it is named.
        StoreError: nothing can be written.
    """
    request.store().open_for_writing()
    walks = [_Walk(search) for search in searches]
    for number in range(max(len(search.steps) for search in searches)):
        steps = [(w, w.search.steps[number]) for w in walks if number < len(w.search.steps)]
        groups = [walk.search.cells(step, walk.chosen) for walk, step in steps]
        cells = Plan(tuple(cell for group in groups for cell in group))
        outcomes = execute(own_folder(request), cells, reporter)
        records = {cell.score_key: _done(cell, record) for cell, record in outcomes}
        for (walk, step), group in zip(steps, groups, strict=True):
            walk.choose(step, group, [records[cell.score_key] for cell in group])
    choices = tuple(_choice(walk, request) for walk in walks)
    return SelectionFile(adbench=__version__, created=now(), choices=choices)


def own_folder(request: Request) -> Request:
    """The request in the results folder of searches: their records are no test results."""
    return replace(request, results=request.results / "selections", timing=False)


def choose(criteria: Sequence[float | None], tolerance: float = TOLERANCE) -> int:
    """Index of the first value within `tolerance` of the highest; None counts as lowest."""
    defined = [-1.0 if c is None else c for c in criteria]
    limit = max(defined) - tolerance - 1e-12  # a difference of exactly the tolerance is a tie
    return next(i for i, c in enumerate(defined) if c >= limit)


class _Walk:
    """How far a search is."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.chosen: dict[str, Any] = {}
        self.curves: list[Curve] = []

    def choose(self, step: Step, cells: Sequence[Cell], records: Sequence[Record]) -> None:
        points = []
        for cell, record in zip(cells, records, strict=True):
            own = cell.hyperparameters.canonical()
            points.append(Point(value=own[step.name], hyperparameters=own, metrics=record.metrics))
        best = choose([point.mean(CRITERION) for point in points])
        self.chosen[step.name] = step.values[best]
        self.curves.append(
            Curve(
                name=step.name,
                holding=dict(step.holding),
                points=tuple(points),
                chosen=points[best].value,
            )
        )


def _done(cell: Cell, record: Record) -> Record:
    """The record; raises where it is of a failure."""
    if record.status == "done":
        return record
    failure = record.failure
    is_data = failure is not None and failure.exit_code == DataError.exit_code
    why = record.reason if failure is None else f"{failure.type}: {failure.message}"
    raise (DataError if is_data else MethodError)(
        f"{cell.title} failed: {why}; leave the value out with --grid, or see the traceback of "
        "`adbench run` with these settings"
    )


def _choice(walk: _Walk, request: Request) -> Choice:
    cell, chosen = walk.search.cell, walk.search.point(walk.chosen)
    data = cell.data
    assert isinstance(data, PseudoData)
    test = data.split(cell.categories, "test")
    faint = data.made(test, chosen.build().geometry, request.open_cache()).faint
    return Choice(
        method=cell.method.card.name,
        code=dict(method_code(cell.method).modules),
        preset=cell.preset,
        variant=cell.variant,
        hyperparameters=chosen.hyperparameters.canonical(),
        dataset=data.source.name,
        dataset_version=data.dataset.card.version,
        categories=cell.categories,
        scope=cell.scope,
        seed=cell.seed,
        limit=data.limit,
        train_sha256=data.source.digest(cell.categories, "train"),
        recipe=recipe_digest(),
        held_out_fraction=data.fraction,
        held_out={c: _held_out(data, c, faint[c]) for c in cell.categories},
        curves=tuple(walk.curves),
    )


def _held_out(data: PseudoData, category: str, faint: int) -> HeldOut:
    test = data.split([category], "test")
    normals = sorted(sample.path for sample in test if sample.label == 0)
    return HeldOut(
        fitted=len(data.split([category], "train")),
        normals=len(normals),
        synthetic=len(test) - len(normals),
        faint=faint,
        normal_ids_sha256=hashlib.sha256("\n".join(normals).encode()).hexdigest(),
    )


def _steps(request: Request, grids: Sequence[str]) -> tuple[dict[str, list[Step]], list[str]]:
    """Each method's steps, by its card's name."""
    given = parse_grids(grids)
    bases: dict[str, tuple[type[Method], Hyperparameters]] = {}
    overrides = parse_overrides(request.overrides)
    for _, method, base in variants(request.methods, request.preset, overrides):
        name = method.card.name
        if name in bases:
            raise UsageError(
                f"--methods names {name} more than once or sweeps it: select starts from one set "
                f"of values; try several with --grid {name}.NAME=V1|V2"
            )
        bases[name] = (method, base)
    for name in given:
        if name not in bases:
            raise UnknownNameError("method in --grid", name, bases)
    steps: dict[str, list[Step]] = {}
    notes: list[str] = []
    for name, (method, base) in bases.items():
        steps[name], own = steps_of(method, base, request.preset, given)
        notes += own
    return steps, notes

"""From the words of the command line to searches, and from searches to a selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from adbench.cell.settings import Settings
from adbench.contracts import Hyperparameters, Method
from adbench.data.cache import default_cache_folder
from adbench.data.selection import refuse_shared_dataset_names
from adbench.errors import UnknownNameError, UsageError
from adbench.machine.devices import choose_device, choose_precision
from adbench.plan import make_plan, variants
from adbench.select.file import SelectionFile
from adbench.select.held_out import FRACTION, training_selection
from adbench.select.search import SearchReporter, search
from adbench.select.steps import Step, parse_grids, steps_of
from adbench.select.study import Study
from adbench.selectors import parse_overrides, parse_seeds
from adbench.store.records import now
from adbench.version import __version__

if TYPE_CHECKING:
    from adbench.request import Request


@dataclass(frozen=True)
class Studies:
    """The searches of one command, and notes for the user."""

    studies: tuple[Study, ...]
    notes: tuple[str, ...]


def plan_studies(
    request: Request, grids: Sequence[str] = (), fraction: float = FRACTION
) -> Studies:
    """One search per method and set of trained categories; opens no test image.

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
        make_plan,
        request.methods,
        preset=request.preset,
        seeds=seeds,
        scope=request.scope,
        overrides=request.overrides,
    )
    plan(data=())  # a wrong word (exit code 2) is told before missing data (4)
    refuse_shared_dataset_names(request.datasets)
    steps, notes = _steps(request, grids)
    folder = request.cache_folder or default_cache_folder()
    data = [
        training_selection(d, request.data_root, limit=request.limit, index_folder=folder)
        for d in request.datasets
    ]
    cells = plan(data=data)
    studies = []
    for cell in cells.cells:
        reason = cell.build().unsupported(cell.scope, cell.category_cards())
        if reason is None:
            own = tuple(steps[cell.method.card.name])
            studies.append(Study(cell, own, fraction, request.results))
        else:
            notes.append(f"{cell.title} is left out: {reason}")
    if not studies:
        raise UsageError(f"nothing can be searched: {'; '.join(notes)}")
    return Studies(tuple(studies), (*cells.notes, *notes))


def run_studies(
    request: Request, studies: Sequence[Study], reporter: SearchReporter
) -> SelectionFile:
    """Search all of them, one after another; what an earlier call finished is read."""
    request.store().open_for_writing()
    device = choose_device(request.device)
    settings = Settings(
        device=device, precision=choose_precision(device), cache=request.open_cache()
    )
    choices = tuple(search(study, settings, reporter) for study in studies)
    return SelectionFile(adbench=__version__, created=now(), choices=choices)


def _steps(request: Request, grids: Sequence[str]) -> tuple[dict[str, list[Step]], list[str]]:
    """Each method's steps, by its card's name."""
    given = parse_grids(grids)
    bases: dict[str, tuple[type[Method], Hyperparameters]] = {}
    for _, method, base in variants(
        request.methods, request.preset, parse_overrides(request.overrides)
    ):
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

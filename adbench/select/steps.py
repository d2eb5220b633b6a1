"""What to try: a method's own grid, or `--grid METHOD.NAME=V1|V2`, as typed candidate values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adbench.contracts import GridStep, Hyperparameters, Method
from adbench.errors import UnknownNameError, UsageError
from adbench.hyperparameters import build_hyperparameters
from adbench.select.file import value_text

Grids = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Step:
    """One hyper-parameter to choose.

    Attributes:
        values: typed and distinct, in order of preference.
        holding: what else is set while this one is chosen, and only then.
    """

    name: str
    values: tuple[Any, ...]
    holding: Mapping[str, Any]


def parse_grids(texts: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Parse `--grid METHOD.NAME=V1|V2` into {method: {name: values}}, in the order given."""
    grids: dict[str, dict[str, tuple[str, ...]]] = {}
    for text in texts:
        target, separator, values = text.partition("=")
        method, dot, name = target.strip().rpartition(".")
        listed = tuple(value.strip() for value in values.split("|"))
        if not (separator and dot and method and name and all(listed)):
            raise UsageError(
                f"--grid {text!r}: expected METHOD.NAME=V1|V2, like lafite.tau=100|300"
            )
        if name in grids.setdefault(method, {}):
            raise UsageError(f"--grid: {method}.{name} is given twice; expected {name}=V1|V2 once")
        grids[method][name] = listed
    return grids


def steps_of(
    method: type[Method], base: Hyperparameters, preset: str, grids: Grids
) -> tuple[list[Step], list[str]]:
    """The steps of one method, and notes on those left out.

    A given grid takes the place of the method's own; a hyper-parameter that both have keeps what
    the method's own grid holds while it is chosen. Raises `UsageError` where the method has no
    grid, or a candidate is not valid.
    """
    name, card = method.card.name, method.card.selection
    wanted = {step.name: step for step in (card.steps if card else ())}
    if name in grids:
        wanted = {
            n: wanted.get(n, GridStep(name=n, values=values)).model_copy(update={"values": values})
            for n, values in grids[name].items()
        }
    if not wanted:
        raise UsageError(
            f"{name} has no grid of its own: give --grid {name}.NAME=V1|V2 "
            f"(`adbench methods {name}` lists the names)"
        )
    steps: list[Step] = []
    notes: list[str] = []
    for step in wanted.values():
        needs = [f"{n}={value_text(v)}" for n, v in step.requires.items() if getattr(base, n) != v]
        if needs:
            notes.append(f"{name}.{step.name} is not chosen: that needs {', '.join(needs)}")
        else:
            steps.append(_typed(method, base, preset, step))
    if not steps:
        raise UsageError(f"nothing is left to choose: {'; '.join(notes)}")
    return steps, notes


def candidate(
    method: type[Method], base: Hyperparameters, preset: str, changes: Mapping[str, Any]
) -> Hyperparameters:
    """`base` with `changes`, validated; raises `UsageError` that names the candidate."""
    values = {name: getattr(base, name) for name in type(base).model_fields}
    try:
        return build_hyperparameters(method, preset, {**values, **changes})
    except UnknownNameError:
        raise
    except UsageError as error:
        tried = ", ".join(f"{name}={value}" for name, value in changes.items())
        raise UsageError(f"candidate {tried}: {error}; give other values with --grid") from None


def _typed(method: type[Method], base: Hyperparameters, preset: str, step: GridStep) -> Step:
    values: list[Any] = []
    for value in step.values:
        built = candidate(method, base, preset, {**step.holding, step.name: value})
        typed = getattr(built, step.name)
        if isinstance(typed, Path):
            raise UsageError(
                f"--grid {method.card.name}.{step.name}: files cannot be tried one after another; "
                "run select once for each, with --set"
            )
        if typed not in values:
            values.append(typed)
    return Step(step.name, tuple(values), dict(step.holding))

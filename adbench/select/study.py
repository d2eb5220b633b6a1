"""What is searched for one method on one set of categories, and where each part of it is kept:

results/selections/<key>/
  fits/<key>/model/             a model fitted on the normals that are not held out
  fits/<key>/checkpoint.pt      while fitting
  predictions/<key>/chunk-*     while a point is predicted and scored
  points/<key>.json             the metrics of one point: what a repeated search reads
  claim.N                       who works on it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adbench.code_digest import method_code, modules_digest
from adbench.contracts import Hyperparameters, Sample
from adbench.plan import Cell, metrics_digest
from adbench.select.file import CRITERION, TOLERANCE
from adbench.select.held_out import split_normals
from adbench.select.pseudo import PER_NORMAL, recipe_digest
from adbench.select.steps import Step, candidate
from adbench.store import files
from adbench.store.files import digest
from adbench.store.records import METRICS, mean_metrics

Metrics = dict[str, dict[str, float | None]]
"""Category to metric to value, as in a record."""


@dataclass(frozen=True)
class Study:
    """What is searched, and where it is kept.

    Attributes:
        cell: method, settings, training images, scope and seed; the settings are where the
            search starts.
        steps: what to choose, in order.
        fraction: of each category's normals to hold out.
        results: the results folder.
    """

    cell: Cell
    steps: tuple[Step, ...]
    fraction: float
    results: Path

    @cached_property
    def folder(self) -> Path:
        """Where this search keeps its work; a function of all that its points depend on."""
        identity = {n: v for n, v in self.cell.identity.items() if n != "hyperparameters"}
        parts = {
            **identity,
            "fraction": self.fraction,
            "code": method_code(self.cell.method).digest,
            **self.cell.revisions,
            "kinds": self.cell.key_parts["kinds"],
            "decoder": modules_digest("adbench.data.images", "adbench.data.decode"),
            "recipe": recipe_digest(),
            "metrics": metrics_digest(),
            "train": self.cell.data.digest(self.cell.categories, "train"),
        }
        return self.results / "selections" / digest(parts)[:24]

    @cached_property
    def split(self) -> tuple[list[Sample], list[Sample]]:
        """Normals to fit on, and those held out."""
        normals = self.cell.data.split(self.cell.categories, "train")
        return split_normals(normals, self.fraction, self.cell.seed)

    def candidate(self, changes: Mapping[str, Any]) -> Hyperparameters:
        """The settings with `changes`."""
        return candidate(self.cell.method, self.cell.hyperparameters, self.cell.preset, changes)

    def point_path(self, hyperparameters: Hyperparameters) -> Path:
        """Where the metrics of these hyper-parameters are kept."""
        return self.folder / "points" / f"{digest(hyperparameters.canonical())[:24]}.json"

    def fit_path(self, fitting: Hyperparameters) -> Path:
        """Where a fit is kept; equal for hyper-parameters that share one."""
        unread = self.cell.hyperparameters.prediction_only
        learned = {n: v for n, v in fitting.canonical().items() if n not in unread}
        return self.folder / "fits" / digest(learned)[:24]

    def fitting(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """What to fit with, so that the model serves as many points of this search as it can."""
        own = type(hyperparameters).model_fields
        card = self.cell.method.card.selection
        serves = {n: v for n, v in (card.fit_serves if card else {}).items() if n in own}
        # A part that no point of this search uses is not fitted.
        changes = {n: v for n, v in serves.items() if v in self._values_of(n)}
        changes = {n: v for n, v in changes.items() if getattr(hyperparameters, n) != v}
        if not changes:
            return hyperparameters
        return candidate(self.cell.method, hyperparameters, self.cell.preset, changes)

    def _values_of(self, name: str) -> list[Any]:
        """Every value of a hyper-parameter that occurs in this search."""
        values = [getattr(self.cell.hyperparameters, name)]
        for step in self.steps:
            values += [step.holding[name]] if name in step.holding else []
            values += step.values if step.name == name else ()
        return values

    def pending(self) -> tuple[int, float]:
        """Points that are not there yet, and their rough FLOPs."""
        fits: set[Path] = set()
        chosen: dict[str, Any] = {}
        points, flops = 0, 0.0
        for step in self.steps:
            criteria: list[float | None] = []
            for value in step.values:
                tried = self.candidate({**chosen, **step.holding, step.name: value})
                kept = read_point(self.point_path(tried))
                if kept is None:
                    points += 1
                    flops += self._point_flops(tried, fits)
                else:
                    criteria.append(mean_metrics(kept)[0][CRITERION])
            if len(criteria) == len(step.values):  # else the next step begins as this one did
                chosen[step.name] = step.values[choose(criteria)]
        return points, flops

    def _point_flops(self, tried: Hyperparameters, fits: set[Path]) -> float:
        """Of one point, and of its fit unless that is there or among `fits`, where it is added."""
        num_fitted, num_held_out = map(len, self.split)
        images = (1 + PER_NORMAL) * num_held_out
        flops = images * self.cell.method(tried).inference_flops(num_fitted)
        fitting = self.fitting(tried)
        fit = self.fit_path(fitting)
        if fit not in fits and not (fit / "model").exists():
            flops += self.cell.method(fitting).training_flops(num_fitted)
        fits.add(fit)
        return flops


def choose(criteria: Sequence[float | None], tolerance: float = TOLERANCE) -> int:
    """Index of the first value within `tolerance` of the highest; None counts as lowest."""
    defined = [-1.0 if c is None else c for c in criteria]
    limit = max(defined) - tolerance - 1e-12  # a difference of exactly the tolerance is a tie
    return next(i for i, c in enumerate(defined) if c >= limit)


def read_point(path: Path) -> Metrics | None:
    """Metrics kept by an earlier search; None where absent or damaged (which is said): then made
    again."""
    point = files.read_or_set_aside(path)
    if point is None:
        return None
    metrics = point.get("metrics")
    if not isinstance(metrics, dict) or not all(isinstance(m, dict) for m in metrics.values()):
        files.say_damaged(path, f"{path.name} holds no metrics")
        return None
    # Sorting names for a checksum must not decide in which order a table shows them.
    return {c: {name: own[name] for name in METRICS if name in own} for c, own in metrics.items()}

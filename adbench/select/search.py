"""The search for one method on one set of categories: coordinate by coordinate, point by point."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adbench.cell.predicting import predict_missing
from adbench.code_digest import method_code
from adbench.contracts import Context, Geometry, Hyperparameters, Images, Method, Sample
from adbench.errors import AdbenchError, MethodError, UsageError
from adbench.plan import AUPRO_LIMITS, Cell
from adbench.select.file import CRITERION, Choice, Curve, HeldOut, Point
from adbench.select.pseudo import PseudoSet, pseudo_set, recipe_digest
from adbench.select.steps import Step
from adbench.select.study import Metrics, Study, choose, read_point
from adbench.store import files
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.claims import ClaimWatch
from adbench.store.model_files import publish_model, read_model_report
from adbench.store.predictions import PredictionChunks, chunk_bounds

if TYPE_CHECKING:
    from adbench.cell.settings import Settings


class SearchReporter(Protocol):
    """Hears what happens; prints it or not."""

    def cell_started(self, cell: Cell, number: int, total: int) -> None: ...

    def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None: ...

    def point_finished(self, cell: Cell, metrics: Metrics, number: int, total: int) -> None: ...


def search(study: Study, settings: Settings, reporter: SearchReporter) -> Choice:
    """Choose one value after the other; finished points are read, not made again.

    Raises:
        MethodError: the method failed on a point, which is named.
        UsageError: another process works on the same search.
        DataError, StoreError: an image cannot be read, or nothing be written.
    """
    claim = ClaimWatch().try_claim(study.folder)
    if claim is None:
        raise UsageError(
            f"another process searches {study.cell.title} in {study.results}: wait for it and run "
            "the same command again, which then reads what it found, or give another --results"
        )
    try:
        _sweep(study.folder)
        return _Search(study, settings, reporter).run()
    finally:
        claim.release()


class _Search:
    def __init__(self, study: Study, settings: Settings, reporter: SearchReporter) -> None:
        self.study, self.settings, self.reporter = study, settings, reporter
        self.cell = study.cell
        self.total = sum(len(step.values) for step in study.steps)
        self.number = 0
        self._sets: dict[Geometry, PseudoSet] = {}

    def run(self) -> Choice:
        chosen: dict[str, Any] = {}
        curves: list[Curve] = []
        for step in self.study.steps:
            points = list(self._points(step, chosen))
            best = choose([point.mean(CRITERION) for point in points])
            chosen[step.name] = step.values[best]
            curves.append(
                Curve(
                    name=step.name,
                    holding=dict(step.holding),
                    points=tuple(points),
                    chosen=points[best].value,
                )
            )
        return self._choice(self.study.candidate(chosen), curves)

    def _points(self, step: Step, chosen: Mapping[str, Any]) -> Iterator[Point]:
        for value in step.values:
            tried = self.study.candidate({**chosen, **step.holding, step.name: value})
            own = tried.canonical()
            yield Point(value=own[step.name], hyperparameters=own, metrics=self._metrics(tried))

    def _metrics(self, tried: Hyperparameters) -> Metrics:
        """Of one point, from disk or made now."""
        self.number += 1
        path = self.study.point_path(tried)
        kept = read_point(path)
        if kept is not None:
            return kept
        cell = replace(self.cell, hyperparameters=tried)
        self.reporter.cell_started(cell, self.number, self.total)
        try:
            metrics = self._evaluate(tried)
        except AdbenchError:
            raise
        except (Exception, SystemExit) as error:  # a method may raise anything
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise MethodError(
                f"{cell.title} failed: {what}; leave the value out with --grid, or see the "
                "traceback of `adbench run` with these settings"
            ) from error
        files.write_json(path, {"metrics": metrics})
        shutil.rmtree(self._predictions(tried), ignore_errors=True)
        self.reporter.point_finished(cell, metrics, self.number, self.total)
        return metrics

    def _evaluate(self, tried: Hyperparameters) -> Metrics:
        from adbench.cell.scoring import score_categories

        pseudo = self._pseudo_set(self.cell.method(tried).geometry)
        bounds = chunk_bounds(pseudo.images.categories)
        chunks = PredictionChunks(self._predictions(tried), bounds)
        progress = self.reporter.cell_progress
        for done in predict_missing(lambda: self._fitted(tried), pseudo.images, chunks):
            progress("predict", done, len(pseudo.images))
        progress("score", 0, 1)
        return score_categories(pseudo.samples, chunks, pseudo.masks, AUPRO_LIMITS)

    def _predictions(self, tried: Hyperparameters) -> Path:
        return self.study.folder / "predictions" / self.study.point_path(tried).stem

    def _fitted(self, tried: Hyperparameters) -> Method:
        """The method with these hyper-parameters, on a model that may serve others too."""
        fitting = self.study.fitting(tried)
        folder = self.study.fit_path(fitting)
        checkpoint = FileCheckpoint(folder / "checkpoint.pt", self.settings.checkpoint_seconds)
        context = Context(
            device=self.settings.device,
            precision=self.settings.precision,
            seed=self.cell.seed,
            checkpoint=checkpoint,
            cache=self.settings.cache,
            progress=self.reporter.cell_progress,
            category_cards=self.cell.category_cards(),
        )
        if read_model_report(folder / "model") is None:
            method = self.cell.method(fitting)
            method.fit(self._load(self.study.split[0], method.geometry), context)
            report = {
                "protocol": method.protocol(),
                "diagnostics": method.diagnostics(),
                "timing": {"seconds": checkpoint.seconds()},
            }
            publish_model(method, report, folder / "model")
            (folder / "checkpoint.pt").unlink(missing_ok=True)
        return self.cell.method(tried).load(folder / "model", context)

    def _pseudo_set(self, geometry: Geometry) -> PseudoSet:
        if geometry not in self._sets:
            normals = self._load(self.study.split[1], geometry)
            self._sets[geometry] = pseudo_set(normals, self.cell.seed, self.settings.cache)
        return self._sets[geometry]

    def _load(self, samples: list[Sample], geometry: Geometry) -> Images:
        from adbench.data.images import load_images

        return load_images(self.cell.data.root, samples, geometry, self.settings.cache)

    def _choice(self, chosen: Hyperparameters, curves: list[Curve]) -> Choice:
        cell = self.cell
        pseudo = self._pseudo_set(cell.method(chosen).geometry)
        return Choice(
            method=cell.method.card.name,
            code=dict(method_code(cell.method).modules),
            preset=cell.preset,
            variant=cell.variant,
            hyperparameters=chosen.canonical(),
            dataset=cell.data.name,
            dataset_version=cell.data.dataset.card.version,
            categories=cell.categories,
            scope=cell.scope,
            seed=cell.seed,
            limit=cell.data.limit,
            train_sha256=cell.data.digest(cell.categories, "train"),
            recipe=recipe_digest(),
            held_out_fraction=self.study.fraction,
            held_out={c: self._held_out(c, pseudo) for c in cell.categories},
            curves=tuple(curves),
        )

    def _held_out(self, category: str, pseudo: PseudoSet) -> HeldOut:
        fitted, normals = (
            [s.path for s in part if s.category == category] for part in self.study.split
        )
        labels = [s.label for s in pseudo.samples if s.category == category]
        return HeldOut(
            fitted=len(fitted),
            normals=len(normals),
            synthetic=sum(labels),
            faint=pseudo.faint[category],
            normal_ids_sha256=hashlib.sha256("\n".join(sorted(normals)).encode()).hexdigest(),
        )


def _sweep(folder: Path) -> None:
    """Remove what killed writers left; only the owner of the claim may call this."""
    for path in folder.rglob(".*.tmp"):
        if not path.name.startswith(".claim."):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

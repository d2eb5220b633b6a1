"""All figures of a results folder: which are drawn, from what, and what is left out and why.

figures/
  <dataset>-<category>.png, .pdf                   contact sheet
  <dataset>-<category>-<method>-steps.png, .pdf    what a method computes on its way
  curves/<dataset>-<category>.png, .pdf            ROC, precision-recall, PRO
  histograms/<dataset>-<category>.png, .pdf        scores of normal and anomalous images
  latency/<dataset>-<scope>-<device>.png, .pdf     accuracy against latency
  ranks/<scope>-<metric>.png, .pdf                 critical-difference diagram
  gallery/<dataset>-<category>.json                for the HTML report
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.errors import AdbenchError
from adbench.figures import gallery
from adbench.figures.critical_difference import critical_difference_figure, ranking
from adbench.figures.curves import Curve, pixel_curves
from adbench.figures.latency import latency_figure, settings
from adbench.figures.maps import KeptMaps
from adbench.figures.names import file_part, labeller
from adbench.figures.panels import curves_figure, curves_of, histogram_figure
from adbench.figures.sheets import Column, columns_of, contact_sheet
from adbench.figures.steps import shows_steps, steps_sheet
from adbench.figures.style import drawing, save
from adbench.figures.subjects import Subject, subjects_of_outcomes
from adbench.machine.devices import Precision, choose_device, choose_precision
from adbench.plan import Cell
from adbench.report.tables import TITLES
from adbench.store.folders import Store
from adbench.store.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adbench.data.cache import DiskCache

RANKED = ("image_auroc", "aupro@0.3")


@dataclass(frozen=True)
class Workshop:
    """Where figures come from and go to, and what predicts for those of a prediction's steps."""

    results: Path
    cache: DiskCache
    requested_device: str = "auto"

    @property
    def folder(self) -> Path:
        """Where they are written."""
        return self.results / "figures"

    @cached_property
    def device(self) -> str:
        """The device that predicts; torch is imported only when one is needed."""
        return choose_device(self.requested_device)

    @property
    def precision(self) -> Precision:
        """Of that device."""
        return choose_precision(self.device)


@dataclass
class Drawn:
    """The files written, and in one sentence each what could not be drawn."""

    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draw(records: Sequence[Record], subjects: Sequence[Subject], workshop: Workshop) -> Drawn:
    """Draw everything that these records, and those with pictures among them, allow."""
    drawn = Drawn()
    with drawing():
        for dataset, category, group in categories_of(records):
            _Category(dataset, category, group, subjects, workshop, drawn).draw()
        _draw_latency(records, workshop, drawn)
        _draw_ranks(records, workshop, drawn)
    drawn.notes = list(dict.fromkeys(drawn.notes))
    return drawn


def write_contact_sheets(
    outcomes: Sequence[tuple[Cell, Record]], store: Store, folder: Path
) -> list[Path]:
    """The contact sheets alone, for each category of which a finished cell kept its maps."""
    subjects = subjects_of_outcomes(outcomes)
    written: list[Path] = []
    with drawing():
        for dataset, category, group in categories_of([s.record for s in subjects]):
            columns = kept_columns(group, subjects, category, store.root, [])
            if columns:
                stem = f"{file_part(dataset)}-{file_part(category)}"
                written += save(contact_sheet(columns), folder / stem)
    return written


def categories_of(records: Sequence[Record]) -> Iterator[tuple[str, str, dict[str, Record]]]:
    """(data set, category, label -> record) of each category, one seed, the lowest, a method."""
    done = [record for record in records if record.status == "done"]
    label = labeller(done)
    groups: dict[tuple[str, str], dict[str, Record]] = {}
    for record in sorted(done, key=lambda r: int(r.identity["seed"])):
        for category in record.identity["categories"]:
            key = (record.identity["dataset"], category)
            groups.setdefault(key, {}).setdefault(label(record), record)
    places = {label(record): place for place, record in reversed(list(enumerate(done)))}
    for (dataset, category), group in groups.items():
        yield dataset, category, dict(sorted(group.items(), key=lambda item: places[item[0]]))


def kept_columns(
    group: dict[str, Record], subjects: Sequence[Subject], category: str, results: Path,
    notes: list[str],
) -> list[Column]:  # fmt: skip
    """The methods of a category that kept maps of the same images as the first of them.

    Says in `notes` which others did not.
    """
    columns: list[Column] = []
    for label, record in group.items():
        for subject in (s for s in subjects if s.record is record):
            maps = KeptMaps(results, record)
            try:
                columns += columns_of([(label, subject, maps)], category) if maps.kept else []
            except AdbenchError as error:
                notes.append(f"{category}: {error}")
    same = [c for c in columns if set(c.images.ids) == set(columns[0].images.ids)]
    notes += [
        f"{category}: {c.label} saw other images than {same[0].label}, so it is not on its sheet"
        for c in columns
        if c not in same
    ]
    return same


class _Category:
    """The figures of one category."""

    def __init__(
        self, dataset: str, category: str, group: dict[str, Record],
        subjects: Sequence[Subject], workshop: Workshop, drawn: Drawn,
    ) -> None:  # fmt: skip
        self.name = f"{dataset}: {category}"
        self.stem = f"{file_part(dataset)}-{file_part(category)}"
        self.category, self.group = category, group
        self.subjects, self.workshop, self.drawn = subjects, workshop, drawn

    def draw(self) -> None:
        folder = self.workshop.folder
        results = self.workshop.results
        columns = kept_columns(self.group, self.subjects, self.category, results, self.drawn.notes)
        pixel: dict[str, dict[str, Curve]] = {}
        if columns:
            sheet = save(contact_sheet(columns), folder / self.stem)
            self.drawn.paths += sheet
            steps = list(self._steps(columns))
            pixel = {c.label: self._pixel_curves(c) for c in columns}
            files = {"sheet": sheet[0].name, "steps": steps}
            self.drawn.paths.append(
                gallery.write(folder, gallery.entry(columns, self.category, files, pixel))
            )
        curves = curves_of(self.group, self.category, pixel)
        if curves:
            figure = curves_figure(self.group, self.category, curves, self._title())
            self.drawn.paths += save(figure, folder / "curves" / self.stem)
        else:
            self.drawn.notes.append(
                f"{self.name}: no curve, as there are no two kinds of test images"
            )
        figure = histogram_figure(self.group, self.category, self._title())
        self.drawn.paths += save(figure, folder / "histograms" / self.stem)

    def _title(self) -> str:
        seeds = sorted({record.identity["seed"] for record in self.group.values()})
        return f"{self.name}, seed {', '.join(map(str, seeds))}"

    def _steps(self, columns: Sequence[Column]) -> Iterator[dict[str, str]]:
        for column in columns:
            try:
                if not shows_steps(column.subject):
                    continue
                shop = self.workshop
                figure = steps_sheet(column, shop.results, shop.device, shop.precision, shop.cache)
            except AdbenchError as error:
                self.drawn.notes.append(f"{self.name}: no steps of {column.label}: {error}")
                continue
            stem = f"{self.stem}-{file_part(column.label.replace(' ', '-'))}-steps"
            written = save(figure, shop.folder / stem)
            self.drawn.paths += written
            yield {"method": column.label, "file": written[0].name}

    def _pixel_curves(self, column: Column) -> dict[str, Curve]:
        from adbench.data.images import load_masks

        subject = column.subject
        protocol = subject.record.protocol
        samples = subject.samples()
        labelled = [sample.has_pixel_labels for sample in samples]
        if not any(labelled):
            return {}
        masks = load_masks(
            subject.data.root,
            samples,
            subject.geometry,
            rule=protocol["mask_rule"],
            threshold=protocol["mask_threshold"],
            cache=self.workshop.cache,
        ).pixels

        def chunks() -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
            for start, maps in column.maps.of(self.category):
                own = labelled[start : start + len(maps)]
                rows: Any = slice(None) if all(own) else own
                yield maps[rows], masks[start : start + len(maps)][rows]

        return {kind: curve.thinned() for kind, curve in pixel_curves(chunks).items()}


def _draw_latency(records: Sequence[Record], workshop: Workshop, drawn: Drawn) -> None:
    found: list[Any] = settings(records)
    if not found:
        drawn.notes.append(
            "no plot of accuracy against latency: no cell was timed on an idle machine; "
            "adbench run with --overwrite timing measures again"
        )
    for setting in found:
        figure = latency_figure(records, setting)
        if figure is None:
            drawn.notes.append(
                f"{setting.dataset}: no plot of accuracy against latency on {setting.device}: no "
                "method was timed undisturbed on all of its categories"
            )
            continue
        parts = (setting.dataset, setting.scope, setting.device)
        stem = "-".join(file_part(part) for part in parts)
        drawn.paths += save(figure, workshop.folder / "latency" / stem)


def _draw_ranks(records: Sequence[Record], workshop: Workshop, drawn: Drawn) -> None:
    for scope in sorted({record.identity["scope"] for record in records}):
        own = [record for record in records if record.identity["scope"] == scope]
        for metric in RANKED:
            found = ranking(own, metric)
            if isinstance(found, str):
                drawn.notes.append(
                    f"no critical-difference diagram of {TITLES[metric]}, {scope}: {found}"
                )
                continue
            figure = critical_difference_figure(found, metric)
            stem = f"{scope}-{file_part(metric)}"
            drawn.paths += save(figure, workshop.folder / "ranks" / stem)

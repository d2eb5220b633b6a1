"""All figures of a results folder: which are drawn, from what, and what is left out and why.

figures/
  <dataset>-<category>.png, .pdf                   contact sheet
  <dataset>-<category>-<method>-steps.png, .pdf    what a method computes on its way
  curves/<dataset>-<category>.png, .pdf            ROC, precision-recall, PRO
  histograms/<dataset>-<category>.png, .pdf        scores of normal and anomalous images
  latency/<dataset>-<scope>-<device>.png, .pdf     accuracy against latency
  training/<dataset>-<category>-along.png, .pdf    score along each training (run --snapshots)
  training/<dataset>-<category>-anew.png, .pdf     score at parts of the steps (run --budgets)
  ranks/<scope>-<metric>.png, .pdf                 critical-difference diagram
  gallery/<dataset>-<category>.json                for the HTML report
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.errors import AdbenchError
from adbench.figures import gallery
from adbench.figures.cases import image_scores
from adbench.figures.critical_difference import critical_difference_figure, ranking
from adbench.figures.curves import Curve, curves_figure, curves_of, histogram_figure, pixel_curves
from adbench.figures.latency import latency_figure, settings
from adbench.figures.names import categories_of, file_part
from adbench.figures.pictures import Column, KeptMaps, Subject
from adbench.figures.sheets import contact_sheet, shows_steps, steps_sheet
from adbench.figures.style import drawing, save
from adbench.figures.trainings import of_category, training_figure
from adbench.machine.devices import choose_device, choose_precision
from adbench.metrics.table import titles
from adbench.store.pixel_statistics import labelled_pixels
from adbench.store.points import ALONG, ALONG_CAVEAT, ANEW, along, anew
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from adbench.data.cache import DiskCache

RANKED = ("image_auroc", "aupro@0.3")


@dataclass
class Workshop:
    """Where figures come from and go to, and what predicts for those of a prediction's steps.

    `paths` are the files written, `notes` in one sentence each what could not be drawn.
    """

    results: Path
    cache: DiskCache
    requested_device: str = "auto"
    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def device(self) -> str:
        """The device that predicts; torch is imported only when one is needed."""
        return choose_device(self.requested_device)

    def save(self, figure: Figure, *parts: str, below: str = "") -> str:
        """Write a figure under a name of these parts; gives the name of the picture."""
        stem = "-".join(map(file_part, parts))
        written = save(figure, self.results / "figures" / below / stem)
        self.paths += written
        return written[0].name

    def draw(self, records: Sequence[Record], subjects: Sequence[Subject]) -> None:
        """Draw everything that these records, and those with pictures among them, allow; of shorter
        trainings (`--budgets`) what is said of them alone."""
        whole = [record for record in records if record.budget is None]
        with drawing():
            for dataset, category, group in categories_of(whole):
                self._category(dataset, category, group, subjects)
            self._trainings(records)
            self._latency(whole)
            self._ranks(whole)
        self.notes = list(dict.fromkeys(self.notes))

    def _category(
        self, dataset: str, category: str, group: Mapping[str, Record], subjects: Sequence[Subject]
    ) -> None:
        columns = self._columns(category, group, subjects)
        pixel = {c.label: self._pixel_curves(c, category) for c in columns}
        if columns:
            sheet = self.save(contact_sheet(columns), dataset, category)
            steps = list(self._steps(columns, dataset, category))
            entry = gallery.entry(columns, category, {"sheet": sheet, "steps": steps}, pixel)
            self.paths.append(gallery.write(self.results / "figures", entry))
        seeds = sorted({record.identity["seed"] for record in group.values()})
        title = f"{dataset}: {category}, seed {', '.join(map(str, seeds))}"
        curves = curves_of(group, category, pixel)
        if curves:
            figure = curves_figure(group, category, curves, title)
            self.save(figure, dataset, category, below="curves")
        else:
            self.notes.append(
                f"{dataset}: {category}: no curve, as there are no two kinds of test images"
            )
        figure = histogram_figure(group, category, title)
        self.save(figure, dataset, category, below="histograms")

    def _columns(
        self, category: str, group: Mapping[str, Record], subjects: Sequence[Subject]
    ) -> list[Column]:
        """The methods that kept maps of the same images as the first of them that did."""
        columns: list[Column] = []
        for label, record in group.items():
            for subject in (s for s in subjects if s.record is record):
                maps = KeptMaps(self.results, record)
                try:
                    if maps.kept:
                        scale, images = maps.scale(category), image_scores(record, category)
                        columns.append(Column(label, subject, maps, scale, images))
                except AdbenchError as error:
                    self.notes.append(f"{category}: {error}")
        same = [c for c in columns if set(c.images.ids) == set(columns[0].images.ids)]
        self.notes += [
            f"{category}: {c.label} saw other images than {same[0].label}, so it is not on its "
            "sheet"
            for c in columns
            if c not in same
        ]
        return same

    def _steps(
        self, columns: Sequence[Column], dataset: str, category: str
    ) -> Iterator[dict[str, str]]:
        for column in columns:
            try:
                if not shows_steps(column.subject):
                    continue
                precision = choose_precision(self.device)
                figure = steps_sheet(column, self.results, self.device, precision, self.cache)
            except AdbenchError as error:
                self.notes.append(f"{dataset}: {category}: no steps of {column.label}: {error}")
                continue
            name = column.label.replace(" ", "-")
            yield {
                "method": column.label,
                "file": self.save(figure, dataset, category, name, "steps"),
            }

    def _pixel_curves(self, column: Column, category: str) -> dict[str, Curve]:
        samples = column.subject.samples()
        if not any(sample.has_pixel_labels for sample in samples):
            return {}
        masks = column.subject.masks(samples, self.cache)
        chunks = partial(labelled_pixels, samples, category, column.maps.chunks, masks)
        return {kind: curve.thinned() for kind, curve in pixel_curves(chunks).items()}

    def _trainings(self, records: Sequence[Record]) -> None:
        kinds = {
            "along": (f"{ALONG}: {ALONG_CAVEAT}", along(records)),
            "anew": (ANEW, anew(records)),
        }
        for name, (title, trainings) in kinds.items():
            for dataset, category, _ in categories_of(records):
                figure = training_figure(
                    of_category(trainings, dataset, category),
                    category,
                    f"{dataset}: {category}, {title}",
                )
                if figure is not None:
                    self.save(figure, dataset, category, name, below="training")

    def _latency(self, records: Sequence[Record]) -> None:
        found = settings(records)
        if not found:
            self.notes.append(
                "no plot of accuracy against latency: no cell was timed on an idle machine; "
                "adbench run with --overwrite timing measures again"
            )
        for setting in found:
            figure = latency_figure(records, setting)
            if figure is not None:
                self.save(figure, *setting, below="latency")
            else:
                self.notes.append(
                    f"{setting.dataset}: no plot of accuracy against latency on {setting.device}: "
                    "no method was timed undisturbed on all of its categories"
                )

    def _ranks(self, records: Sequence[Record]) -> None:
        for scope in sorted({record.identity["scope"] for record in records}):
            own = [record for record in records if record.identity["scope"] == scope]
            for metric in RANKED:
                found = ranking(own, metric)
                if isinstance(found, str):
                    title = titles()[metric]
                    self.notes.append(
                        f"no critical-difference diagram of {title}, {scope}: {found}"
                    )
                else:
                    figure = critical_difference_figure(found, metric)
                    self.save(figure, scope, metric, below="ranks")

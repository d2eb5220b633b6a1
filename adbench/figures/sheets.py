"""Sheets of pictures: of telling images of a category the input, the ground truth and every
method's map, or what one method computes on its way to a map."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.contracts import Context, Images, Method
from adbench.errors import StoreError
from adbench.figures.cases import describe, extreme_cases
from adbench.figures.pictures import Column, Scale, Subject
from adbench.figures.style import COLOURMAP, CONTOUR, folded, new_figure
from adbench.plan import told_of
from adbench.store.folders import CellFolder
from adbench.store.model_files import read_model_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from adbench.machine.devices import Precision

TILE = 1.41  # inches, with the gap to the next one
_GAP = 0.043  # of a tile


class PictureGrid:
    """A figure of square pictures; call inside `style.drawing()`.

    Pictures share one field of view, that of an image without centre crop cut down to `margin` at
    each side: what a method cropped away stays blank beside what others saw.
    """

    def __init__(
        self, rows: Sequence[str], columns: Sequence[str], note: str, margin: float
    ) -> None:
        self.figure: Figure = new_figure(TILE * len(columns), TILE * len(rows))
        self._margin = margin
        # One pair of axes for the whole sheet, one unit a tile: a pair per picture takes seconds.
        self._axes = axes = self.figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0), autoscale_on=False, aspect="equal")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=7.5)
        middle = (1 - _GAP) / 2
        axes.set_xticks([i + middle for i in range(len(columns))], list(map(_title, columns)))
        axes.set_yticks([i + middle for i in range(len(rows))], list(map(_lines, rows)))
        lines = "\n".join(textwrap.wrap(note, int((TILE * len(columns) + 1) * 17)))
        axes.text(-0.75, len(rows) + 0.1, lines, va="top", color="0.25", size=7)

    def picture(
        self, row: int, column: int, values: NDArray[Any], margin: float, **options: Any
    ) -> tuple[float, float, float, float]:
        """Show uint8 (H, W, 3) or a map (H, W), which lost `margin` of its side at each end; gives
        the left, right, top and bottom of it."""
        side = 1 - _GAP
        inset = side * (margin - self._margin) / (1 - 2 * self._margin)
        left, right = column + inset, column + side - inset
        top, bottom = row + inset, row + side - inset
        self._axes.imshow(
            values, extent=(left, right, bottom, top), interpolation="nearest", **options
        )
        return left, right, top, bottom

    def mask(self, row: int, column: int, mask: NDArray[Any] | None, margin: float) -> None:
        """Show ground truth, anomalous white; of an image without a mask, that it has none."""
        if mask is None:
            self._axes.text(column + 0.5, row + 0.5, "no mask", ha="center", va="center", size=7.5)
        else:
            self.picture(row, column, mask, margin, cmap="gray", vmin=0, vmax=1)

    def map(self, row: int, column: int, values: NDArray[Any], scale: Scale, margin: float) -> None:
        """Show a map in its method's colours, with the contour at its threshold."""
        colours: dict[str, Any] = {"cmap": COLOURMAP, "vmin": scale.low, "vmax": scale.high}
        extent = self.picture(row, column, values, margin, **colours)
        level = scale.threshold
        # matplotlib warns of a level that the map never crosses.
        if level is not None and values.min() < level <= values.max():
            self._axes.contour(
                values, levels=[level], extent=extent, colors=[CONTOUR], linewidths=0.7
            )


def _title(text: str) -> str:
    """A column's title, broken before its options where it is too long for one line."""
    parts = text.split("\n")
    return _lines("\n".join(p if len(p) <= 22 else p.replace("[", "\n[", 1) for p in parts))


def _lines(text: str) -> str:
    return "\n".join(folded(part, 22) for part in text.split("\n"))


def widest(columns: Sequence[Column]) -> Column:
    """The column whose method saw most of the image, and that in the most pixels."""
    return max(columns, key=lambda c: (-c.subject.margin, c.subject.geometry.size))


def contact_sheet(columns: Sequence[Column]) -> Figure:
    """Best, median and worst images by the first method's score; call inside `drawing()`."""
    first, view = columns[0], widest(columns).subject
    cases = extreme_cases(first.images)
    titles = ["input", "ground truth", *(c.title for c in columns)]
    grid = PictureGrid(describe(first.images, cases), titles, _note(first), view.margin)
    ids = [first.images.ids[case.index] for case in cases]
    for row, image_id in enumerate(ids):
        grid.picture(row, 0, view.image(image_id), view.margin)
        grid.mask(row, 1, view.mask(image_id), view.margin)
    for place, column in enumerate(columns, start=2):
        for row, values in enumerate(column.maps_of(ids)):
            grid.map(row, place, values, column.scale, column.subject.margin)
    return grid.figure


def _note(first: Column) -> str:
    """What a reader must know of how the sheet was made."""
    record = first.subject.record
    smoke = "SMOKE preset: the scores mean nothing. " if record.preset == "smoke" else ""
    return (
        f"{smoke}Images chosen by the score of {first.label}, seed {record.identity['seed']}; best "
        "is the highest score of a defect and the lowest of a normal image. Each method has one "
        "colour scale for the category (numbers in its title): median to 99.9th percentile of its "
        "map values. Contour: the threshold of the pixel F1-max, computed on these very test "
        "images, so it is for display only."
    )


def shows_steps(subject: Subject) -> bool:
    """Whether the method has anything to show; raises `AdbenchError` for a missing plug-in."""
    return type(subject.build()).intermediates is not Method.intermediates


def steps_sheet(
    column: Column, results: Path, device: str, precision: Precision, cache: Any
) -> Figure:
    """Input, the method's intermediates, its map and the ground truth; call inside `drawing()`.

    Of the best, median and worst anomalous image and the median normal one. Raises `StoreError`
    where the model was not kept.
    """
    subject, images = column.subject, column.images
    every = extreme_cases(images)
    cases = [c for c in every if images.labels[c.index] or c.role.startswith("median")] or every
    ids = [images.ids[case.index] for case in cases]
    shown = _intermediates(subject, ids, results, device, precision, cache)
    ranges = _ranges(shown)
    titles = [
        f"{name}\n{ranges[name][0]:.3g} to {ranges[name][1]:.3g}" if name in ranges else name
        for name in shown
    ]
    titles = ["input", *titles, column.title.replace(column.label, "map", 1), "ground truth"]
    note = f"{column.label}, step by step. {_note(column)}"
    grid = PictureGrid(describe(images, cases), titles, note, subject.margin)
    for row, (image_id, values) in enumerate(zip(ids, column.maps_of(ids), strict=True)):
        grid.picture(row, 0, subject.image(image_id), subject.margin)
        for place, (name, pictures) in enumerate(shown.items(), start=1):
            colours: dict[str, Any] = {}
            if name in ranges:
                colours = {"cmap": COLOURMAP, "vmin": ranges[name][0], "vmax": ranges[name][1]}
            grid.picture(row, place, pictures[row], subject.margin, **colours)
        grid.map(row, len(shown) + 1, values, column.scale, subject.margin)
        grid.mask(row, len(shown) + 2, subject.mask(image_id), subject.margin)
    return grid.figure


def _intermediates(
    subject: Subject, ids: list[str], results: Path, device: str, precision: Precision, cache: Any
) -> dict[str, NDArray[Any]]:
    import numpy as np

    from adbench.store.checkpoint import FileCheckpoint

    record = subject.record
    folder = CellFolder(results, record.keys)
    if read_model_report(folder.model) is None:
        raise StoreError(
            f"{record.identity['method']} on {record.identity['dataset']}: the model was not kept, "
            "so its steps cannot be drawn; run without --no-keep-model, with --overwrite all"
        )
    context = Context(
        device=device,
        precision=precision,
        seed=record.identity["seed"],
        checkpoint=FileCheckpoint(folder.checkpoint, float("inf")),
        cache=cache,
        category_cards=told_of(subject.data.dataset.card, record.identity["categories"]),
    )
    method = subject.build().load(folder.model, context)
    category_of = dict(zip(record.images["id"], record.images["category"], strict=True))
    pixels = np.stack([subject.image(image_id) for image_id in ids])
    return method.intermediates(Images(pixels, tuple(ids), tuple(category_of[i] for i in ids)))


def _ranges(shown: dict[str, NDArray[Any]]) -> dict[str, tuple[float, float]]:
    """The colour range of each map; names that differ in numbers alone (steps) share theirs."""
    family = {name: re.sub(r"[\d.]+", "#", name) for name, v in shown.items() if v.ndim == 3}
    ranges = {}
    for name, own in family.items():
        alike = [shown[other] for other, theirs in family.items() if theirs == own]
        low, high = float(min(v.min() for v in alike)), float(max(v.max() for v in alike))
        ranges[name] = (low, high if high > low else low + 1.0)
    return ranges

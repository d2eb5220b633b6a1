"""What a method computes on its way to a map, for people to look at: one sheet a method."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from adbench.contracts import Context, Images, Method
from adbench.errors import StoreError
from adbench.figures.cases import Case, ImageScores, describe, extreme_cases
from adbench.figures.grid import COLOURMAP, PictureGrid, scale_title
from adbench.figures.sheets import Column, sheet_note
from adbench.plan import told_of
from adbench.store.folders import CellFolder
from adbench.store.model_files import read_model_report

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from adbench.figures.subjects import Subject
    from adbench.machine.devices import Precision


def shows_steps(subject: Subject) -> bool:
    """Whether the method has anything to show; raises `AdbenchError` for a missing plug-in."""
    return type(subject.build()).intermediates is not Method.intermediates


def steps_sheet(column: Column, results: Path, device: str, precision: Precision,
                cache: Any) -> Figure:  # fmt: skip
    """Input, the method's intermediates, its map and the ground truth; call inside `drawing()`.

    Raises `StoreError` where the model was not kept.
    """
    subject = column.subject
    cases = _cases(column.images)
    ids = [column.images.ids[case.index] for case in cases]
    shown = _intermediates(subject, ids, results, device, precision, cache)
    ranges = _ranges(shown)
    titles = [
        f"{name}\n{ranges[name][0]:.3g} to {ranges[name][1]:.3g}" if name in ranges else name
        for name in shown
    ]
    grid = PictureGrid(
        describe(column.images, cases),
        ["input", *titles, scale_title("map", column.scale), "ground truth"],
        f"{column.label}, step by step. " + sheet_note(column),
        subject.margin,
    )
    for row, (image_id, values) in enumerate(zip(ids, column.maps_of(ids), strict=True)):
        grid.picture(row, 0, subject.image(image_id), subject.margin)
        for place, (name, pictures) in enumerate(shown.items(), start=1):
            grid.picture(row, place, pictures[row], subject.margin, **_colours(name, ranges))
        grid.map(row, len(shown) + 1, values, column.scale, subject.margin)
        grid.mask(row, len(shown) + 2, subject.mask(image_id), subject.margin)
    return grid.figure


def _cases(images: ImageScores) -> list[Case]:
    """Best, median and worst anomalous image and the median normal one."""
    cases = extreme_cases(images)
    return [c for c in cases if images.labels[c.index] or c.role.startswith("median")] or cases


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
    own = record.identity["categories"]
    context = Context(
        device=device,
        precision=precision,
        seed=record.identity["seed"],
        checkpoint=FileCheckpoint(folder.checkpoint, float("inf")),
        cache=cache,
        category_cards=told_of(subject.data.dataset.card, own),
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


def _colours(name: str, ranges: dict[str, tuple[float, float]]) -> dict[str, Any]:
    if name not in ranges:
        return {}
    return {"cmap": COLOURMAP, "vmin": ranges[name][0], "vmax": ranges[name][1]}

"""Contact sheets: input, ground truth and each method's map, per category, from kept maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench import atomic
from adbench.contracts import NORMAL, Sample
from adbench.plan import Cell
from adbench.predictions import PredictionChunks, chunk_bounds
from adbench.records import Record
from adbench.store import Store

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MAX_ROWS = 6


@dataclass(frozen=True)
class _Column:
    """One method's maps on one category's chosen images, with the category's colour scale."""

    title: str
    maps: list[NDArray[np.float32]]
    low: float
    high: float


def write_contact_sheets(
    outcomes: Sequence[tuple[Cell, Record]], store: Store, folder: Path
) -> list[Path]:
    """One PNG per data set and category for which a finished cell kept its maps.

    Rows are the median-scored image of each defect (by the first method) and of the normals. A
    method's colours run from its median over the category's maps to their 99.9th percentile, so
    rows of one sheet can be compared; two methods' colours cannot.
    """
    groups: dict[tuple[str, str], list[tuple[Cell, Record]]] = {}
    for cell, record in outcomes:
        if record.status == "done" and store.cell(cell).predictions.is_dir():
            for category in cell.categories:
                groups.setdefault((cell.data.name, category), []).append((cell, record))
    written = []
    for (dataset, category), group in groups.items():
        seed = group[0][0].seed
        path = folder / f"{dataset}-{category}.png"
        _write(_sheet([(c, r) for c, r in group if c.seed == seed], category, store), path)
        written.append(path)
    return written


def _sheet(group: Sequence[tuple[Cell, Record]], category: str, store: Store) -> Figure:
    from matplotlib.figure import Figure

    first_cell, first_record = group[0]
    samples = first_cell.data.split([category], "test")
    rows = _choose(samples, first_record, category)
    columns = [_column(cell, category, rows, store) for cell, _ in group]
    width = 2 + len(columns)
    figure = Figure(figsize=(1.7 * width, 1.7 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), width, squeeze=False)
    for line, index in enumerate(rows):
        sample = samples[index]
        image, mask = _input(first_cell, sample)
        _show(axes[line][0], image)
        axes[line][0].set_ylabel(sample.defect, fontsize=8)
        _show(axes[line][1], mask, cmap="gray", vmin=0, vmax=1)
        for axis, column in zip(axes[line][2:], columns, strict=True):
            _show(axis, column.maps[line], cmap="inferno", vmin=column.low, vmax=column.high)
    for axis, title in zip(axes[0], ["input", "mask", *(c.title for c in columns)], strict=True):
        axis.set_title(title, fontsize=8)
    return figure


def _choose(samples: Sequence[Sample], record: Record, category: str) -> list[int]:
    """Indices of the median-scored image of each defect, normals last."""
    scores = [
        float(score)
        for score, own in zip(record.images["score"], record.images["category"], strict=True)
        if own == category
    ]
    defects = sorted({s.defect for s in samples}, key=lambda d: (d == NORMAL, d))
    chosen = []
    for defect in defects[: MAX_ROWS - 1] + defects[-1:] * (len(defects) >= MAX_ROWS):
        members = [i for i, s in enumerate(samples) if s.defect == defect]
        own = sorted(members, key=scores.__getitem__)
        chosen.append(own[len(own) // 2])
    return chosen


def _column(cell: Cell, category: str, rows: Sequence[int], store: Store) -> _Column:
    import numpy as np

    everything = cell.data.split(cell.categories, "test")
    bounds = chunk_bounds([s.category for s in everything])
    chunks = PredictionChunks(store.cell(cell).predictions, bounds)
    maps = np.concatenate(
        [chunks.read(b).maps for b in bounds if everything[b[0]].category == category]
    )
    low, high = np.quantile(maps, [0.5, 0.999])
    variant = f"\n{cell.variant}" if cell.variant else ""
    title = f"{cell.method.card.title}{variant}"
    return _Column(title, [maps[i] for i in rows], float(low), float(high))


def _input(cell: Cell, sample: Sample) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    from adbench.images import decode_image, decode_mask, prepare_image, resize_mask

    geometry = cell.build().geometry
    root = cell.data.root
    image = prepare_image(decode_image(root / sample.path), geometry)
    if sample.mask_path is None:
        return image, np.zeros(image.shape[:2], bool)
    threshold = cell.data.dataset.card.mask_threshold
    mask = decode_mask(root / sample.mask_path, threshold)
    return image, resize_mask(mask, geometry, "area_max")


def _show(axis: Any, values: NDArray[Any], **options: Any) -> None:
    axis.imshow(values, interpolation="nearest", **options)
    axis.set_xticks([])
    axis.set_yticks([])


def _write(figure: Figure, path: Path) -> None:
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)

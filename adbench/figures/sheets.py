"""Contact sheets: input, ground truth and every method's map of telling images of a category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adbench.figures.cases import ImageScores, describe, extreme_cases, image_scores
from adbench.figures.grid import PictureGrid, scale_title
from adbench.figures.maps import KeptMaps, Scale
from adbench.figures.subjects import Subject

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One method on one category: where its maps are and what their colours mean."""

    label: str
    subject: Subject
    maps: KeptMaps
    scale: Scale
    images: ImageScores

    def maps_of(self, ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Its maps of these images, in that order."""
        row_of = dict(zip(self.images.ids, self.images.rows, strict=True))
        found = self.maps.at([row_of[image_id] for image_id in ids])
        return [found[row_of[image_id]] for image_id in ids]

    def score_of(self, image_id: str) -> float:
        """Its score of this image."""
        return self.images.scores[self.images.ids.index(image_id)]


def columns_of(subjects: Sequence[tuple[str, Subject, KeptMaps]], category: str) -> list[Column]:
    """A column for each (label, subject, maps); reads the maps once for their scale.

    Raises `StoreError` for damaged maps.
    """
    return [
        Column(label, subject, maps, maps.scale(category), image_scores(subject.record, category))
        for label, subject, maps in subjects
    ]


def widest(columns: Sequence[Column]) -> Column:
    """The column whose method saw most of the image, and that in the most pixels."""
    return max(columns, key=lambda c: (-c.subject.margin, c.subject.geometry.size))


def contact_sheet(columns: Sequence[Column]) -> Figure:
    """Best, median and worst images by the first method's score; call inside `drawing()`."""
    first = columns[0]
    cases = extreme_cases(first.images)
    view = widest(columns).subject
    grid = PictureGrid(
        describe(first.images, cases),
        ["input", "ground truth", *(scale_title(c.label, c.scale) for c in columns)],
        sheet_note(first),
        view.margin,
    )
    ids = [first.images.ids[case.index] for case in cases]
    show_inputs(grid, ids, view)
    for position, column in enumerate(columns, start=2):
        for row, values in enumerate(column.maps_of(ids)):
            grid.map(row, position, values, column.scale, column.subject.margin)
    return grid.figure


def show_inputs(grid: PictureGrid, ids: Sequence[str], view: Subject) -> None:
    """Fill the first two columns: the image and the ground truth."""
    for row, image_id in enumerate(ids):
        grid.picture(row, 0, view.image(image_id), view.margin)
        grid.mask(row, 1, view.mask(image_id), view.margin)


def sheet_note(first: Column) -> str:
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

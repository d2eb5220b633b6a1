"""`adbench predict`: files are decoded, scored, drawn and written down, some at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adbench.apply.fitted import FittedCell, square_of
from adbench.apply.inputs import NewImage
from adbench.apply.pictures import Painter, Targets, targets, view_of
from adbench.apply.table import UNREADABLE, PredictionTable, Row, rows_of
from adbench.data.decode import plain_image
from adbench.errors import DataError
from adbench.machine.threads import in_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Progress = Callable[[int, int], None]
"""Called with how many images are done, and of how many."""


@dataclass
class Summary:
    """What came of PATH: how many rows of each verdict, how many of them were there before, and
    what is wrong with which files."""

    verdicts: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    problems: list[str] = field(default_factory=list)
    last: Row | None = None

    @property
    def images(self) -> int:
        return self.verdicts.total()


class _Seen(NamedTuple):
    """An image as the method and as people see it, or what is wrong with it."""

    image: NewImage
    square: NDArray[np.uint8] | None = None
    view: Image.Image | None = None
    problem: str = ""


class _Scored(NamedTuple):
    seen: _Seen
    row: Row
    map: NDArray[np.float32] | None = None


def predict_files(
    cell: FittedCell,
    images: Sequence[NewImage],
    source: Path,
    out: Path,
    *,
    alpha: float,
    maps: bool,
    progress: Progress,
) -> Summary:
    """Write `out`/predictions.csv and, with `maps`, two files an image; what is there stays.

    Files that are no images get a row that says so. Memory does not grow with their number beyond
    that of their names. Raises `StoreError` where `out` refuses, `MethodError` as `predict` does.
    """
    table, summary = PredictionTable(out, cell, source), Summary()
    places = targets([image.name for image in images], out) if maps else {}
    with table.claimed():
        kept = table.resume(images, alpha, partial(_is_drawn, places))
        summary.reused = len(kept)
        summary.verdicts.update(row.verdict for row in kept.values())
        summary.last = next(reversed(kept.values()), None)
        left = [image for image in images if image.name not in kept]
        progress(len(kept), len(images))
        with table.growing() as add:
            for scored in _drawn(cell, left, places, alpha):
                add(scored.row)
                summary.verdicts[scored.row.verdict] += 1
                summary.problems += [scored.seen.problem] if scored.seen.problem else []
                summary.last = scored.row
                progress(summary.images, len(images))
    return summary


def _is_drawn(places: dict[str, Targets], name: str) -> bool:
    return all(path.is_file() for path in places.get(name, ()))


def _drawn(
    cell: FittedCell, images: Sequence[NewImage], places: dict[str, Targets], alpha: float
) -> Iterator[_Scored]:
    """Each image once all of it is written but its row. Threads decode what comes next and write
    what is done, while this one predicts."""
    painter = Painter(cell.geometry, cell.map_ends)

    def draw(scored: _Scored) -> _Scored:
        if places and scored.map is not None and scored.seen.view is not None:
            painter.write(scored.seen.view, scored.map, places[scored.seen.image.name])
        return scored

    seen = in_threads(partial(_look, cell, bool(places)), images)
    return in_threads(draw, _scored(cell, seen, alpha))


def _look(cell: FittedCell, with_view: bool, image: NewImage) -> _Seen:
    try:
        with plain_image(image.path) as picture:
            view = view_of(picture) if with_view else None
            return _Seen(image, square_of(picture, cell.geometry), view)
    except DataError as error:
        return _Seen(image, problem=str(error))
    except MemoryError:
        return _Seen(image, problem=f"{image.path}: there is not enough memory to decode it")


def _scored(cell: FittedCell, seen: Iterator[_Seen], alpha: float) -> Iterator[_Scored]:
    batch: list[_Seen] = []
    for one in seen:
        if one.problem:
            yield _Scored(one, Row(one.image.name, None, None, UNREADABLE))
            continue
        batch.append(one)
        if len(batch) == cell.method.batch_size:
            yield from _together(cell, batch, alpha)
            batch = []
    if batch:
        yield from _together(cell, batch, alpha)


def _together(cell: FittedCell, batch: Sequence[_Seen], alpha: float) -> Iterator[_Scored]:
    import numpy as np

    names = [one.image.name for one in batch]
    pixels = np.stack([one.square for one in batch if one.square is not None])
    scores, maps = cell.score(pixels, names)
    # As short as it can be told from other float32 numbers.
    rows = rows_of(cell, names, [float(str(score)) for score in scores], alpha)
    for one, row, values in zip(batch, rows, maps, strict=True):
        yield _Scored(one, row, values)

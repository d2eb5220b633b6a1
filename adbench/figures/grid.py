"""A sheet of pictures: rows with a label, columns with a title, a note below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adbench.figures.maps import Scale
from adbench.figures.style import folded, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

TILE, GAP = 1.35, 0.06  # inches
_LABELS, _EDGE = 1.05, 0.1
_LINE = 0.135  # height of a line of text
COLOURMAP = "inferno"


class PictureGrid:
    """A figure of square pictures; call inside `style.drawing()`.

    Pictures share one field of view, that of an image without centre crop cut down to `margin` at
    each side: what a method cropped away stays blank beside what others saw.
    """

    def __init__(
        self, rows: Sequence[str], columns: Sequence[str], note: str, margin: float = 0.0
    ) -> None:
        titles = [_folded_title(title) for title in columns]
        head = max(title.count("\n") + 1 for title in titles) * _LINE + 0.1
        width = _LABELS + len(columns) * (TILE + GAP) + _EDGE
        lines = textwrap.wrap(note, int(width * 17))
        foot = len(lines) * _LINE + 0.12
        height = head + len(rows) * (TILE + GAP) + foot
        self.figure: Figure = new_figure(width, height)
        self._margin = margin
        self._top = height - head
        # One pair of axes in inches for the whole sheet: a pair per picture takes seconds.
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.axis("off")
        self._axes.set(xlim=(0, width), ylim=(0, height), autoscale_on=False, aspect="equal")
        for column, title in enumerate(titles):
            middle = self._corner(0, column)[0] + TILE / 2
            self._text(middle, self._top + 0.05, title, ha="center", va="bottom")
        for row, label in enumerate(rows):
            text = "\n".join(folded(part, 22) for part in label.split("\n"))
            self._text(_LABELS - 0.08, self._corner(row, 0)[1] + TILE / 2, text, ha="right",
                       va="center")  # fmt: skip
        self._text(_EDGE, 0.06, "\n".join(lines), va="bottom", color="0.25", size=7)

    def picture(
        self, row: int, column: int, values: NDArray[Any], margin: float = 0.0, **options: Any
    ) -> None:
        """Show uint8 (H, W, 3) or a map (H, W), which lost `margin` of its side at each end."""
        left, right, low, high = self._extent(row, column, margin)
        self._axes.imshow(
            values, extent=(left, right, low, high), interpolation="nearest", **options
        )

    def mask(self, row: int, column: int, mask: NDArray[Any] | None, margin: float = 0.0) -> None:
        """Show ground truth, anomalous white; of an image without a mask, that it has none."""
        if mask is None:
            left, bottom = self._corner(row, column)
            self._text(left + TILE / 2, bottom + TILE / 2, "no mask", ha="center", va="center")
            return
        self.picture(row, column, mask, margin, cmap="gray", vmin=0, vmax=1)

    def map(
        self, row: int, column: int, values: NDArray[Any], scale: Scale, margin: float = 0.0
    ) -> None:
        """Show a map in its method's colours, with the contour at its threshold."""
        self.picture(row, column, values, margin, cmap=COLOURMAP, vmin=scale.low, vmax=scale.high)
        level = scale.threshold
        # matplotlib warns of a level that the map never crosses.
        if level is not None and values.min() < level <= values.max():
            left, right, low, high = self._extent(row, column, margin)
            self._axes.contour(
                values,
                levels=[level],
                extent=(left, right, high, low),  # a contour's rows go up, an image's down
                colors=["#56F0F0"],
                linewidths=0.7,
            )

    def _corner(self, row: int, column: int) -> tuple[float, float]:
        """Left and bottom of a tile, in inches."""
        return _LABELS + column * (TILE + GAP), self._top - (row + 1) * (TILE + GAP) + GAP

    def _extent(self, row: int, column: int, margin: float) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a picture within its tile, in inches."""
        left, bottom = self._corner(row, column)
        inset = TILE * (margin - self._margin) / (1 - 2 * self._margin)
        return left + inset, left + TILE - inset, bottom + inset, bottom + TILE - inset

    def _text(self, x: float, y: float, text: str, size: float = 7.5, **options: Any) -> None:
        self._axes.text(x, y, text, fontsize=size, **options)


def _folded_title(title: str) -> str:
    lines = [
        folded(part, 22) for line in title.split("\n")
        for part in (line if len(line) <= 22 else line.replace("[", "\n[", 1)).split("\n")
    ]  # fmt: skip
    return "\n".join(lines)


def scale_title(label: str, scale: Scale) -> str:
    """A column's title: the method and what its colours span."""
    return f"{label}\n{scale.low:.3g} to {scale.high:.3g}"

"""What becomes of small defects where images are much larger than what is seen of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from adbench.contracts import Sample
from adbench.errors import DataError

MUCH_LARGER = 3.0
"""Of the sides; benchmarks shrink theirs two to four times."""
_DEFECT = 20
_LOOKED_AT = 16


def shrunk(width: int, height: int, side: int) -> str | None:
    """How small a defect becomes in images of this size, in pixels, that are resized to a square of
    `side`; None where they are not much larger."""
    factor = max(width, height) / side
    if factor < MUCH_LARGER:
        return None
    left = _DEFECT / factor
    becomes = f"{left:.0f}" if left >= 1 else "less than 1"
    return (
        f"images of {width} x {height} pixels at {side} x {side}, {factor:.1f} times smaller: a "
        f"defect of {_DEFECT} pixels becomes {becomes}"
    )


def largest_size(root: Path, categories: Iterable[Sequence[Sample]]) -> tuple[int, int] | None:
    """Width and height in pixels of the largest of a few images of each category, by their headers;
    None where none can be read."""
    from adbench.data.decode import image_size

    sizes = []
    for own in categories:
        for sample in own[:: max(1, len(own) // _LOOKED_AT)]:
            with contextlib.suppress(DataError, OSError):  # the cell that needs it says why
                sizes.append(image_size(root / sample.path))
    return max(sizes, key=max, default=None)

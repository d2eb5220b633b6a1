"""What the set holds: categories, defects, numbers of images, and each picture's file name.

Nothing here draws; the card and the generator both read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

VERSION = "1"
"""Part of the folder's name and of the seeds. Raise it with any change to what is drawn."""

MARKER = "adbench-synthetic.json"
"""The file that says that a folder is ours, and which version."""

TRAIN_GOOD, TEST_GOOD = 16, 6

STRENGTHS = (1.0, 0.55, 0.25)
"""Of the pictures of one defect, in turn: obvious, middling, subtle."""


@dataclass(frozen=True)
class Category:
    """A category, and the defects that make sense for it."""

    kind: Literal["object", "texture"]
    defects: tuple[str, ...]


CATEGORIES: dict[str, Category] = {
    "flange": Category("object", ("misplaced", "missing", "rust", "scratch")),
    "gear": Category("object", ("hole", "misplaced", "missing", "rust")),
    "bracket": Category("object", ("bend", "misplaced", "missing", "scratch")),
    "cover": Category("object", ("hole", "misplaced", "missing", "scratch")),
    "perforated": Category("texture", ("bend", "misplaced", "missing", "rust")),
    "sheet": Category("texture", ("bend", "hole", "rust", "scratch")),
}


@dataclass(frozen=True)
class Picture:
    """One picture to draw. `address` seeds all that is random in it; paths are POSIX."""

    category: str
    address: tuple[int, ...]
    path: str
    mask_path: str | None = None
    defect: str | None = None
    strength: float = 0.0


def pictures(category: str) -> Iterator[Picture]:
    """All pictures of one category, training images first."""
    own = (int(VERSION), list(CATEGORIES).index(category))
    for i in range(TRAIN_GOOD):
        yield Picture(category, (*own, 0, i), f"{category}/train/good/{i:03d}.png")
    for i in range(TEST_GOOD):
        yield Picture(category, (*own, 1, i), f"{category}/test/good/{i:03d}.png")
    for number, defect in enumerate(CATEGORIES[category].defects):
        for i, strength in enumerate(STRENGTHS):
            yield Picture(
                category,
                (*own, 2 + number, i),
                f"{category}/test/{defect}/{i:03d}.png",
                f"{category}/ground_truth/{defect}/{i:03d}_mask.png",
                defect,
                strength,
            )

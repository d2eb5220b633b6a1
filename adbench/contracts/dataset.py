"""What a data set is: a card, a way to find its root, and a table with one row an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from adbench.contracts.cards import DatasetCard, Split

NORMAL = "good"
"""The `defect` of every normal image, whatever its folder is called."""


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """One row of a data set's table: one image. Paths are POSIX and relative to the root."""

    category: str
    split: Split
    defect: str
    path: str
    mask_path: str | None
    label: int
    """0 normal, 1 anomalous; taken from the folder, never from the mask."""

    @property
    def has_pixel_labels(self) -> bool:
        """Whether each pixel's label is known; not so of an anomalous image without a mask."""
        return self.label == 0 or self.mask_path is not None


class Dataset(ABC):
    """A data set: a card, a way to find its root, and a table with one row an image.

    Implementations never write into the user's folder, pair masks by stem (never by position),
    and take labels from folders.
    """

    card: ClassVar[DatasetCard]

    @abstractmethod
    def find_root(self, data_root: Path | None) -> Path:
        """The folder that holds the categories, searched under `data_root` or in it.

        Raises `DataError` that names the home page, licence, expected tree and next command.
        """

    @abstractmethod
    def recognise_layout(self, root: Path) -> str:
        """The name of the layout found at `root`, for instance "mvtec" or "visa-raw"."""

    @abstractmethod
    def available_categories(self, root: Path) -> tuple[str, ...]:
        """Names of the categories present at `root`, in the card's order."""

    @abstractmethod
    def samples(self, root: Path, categories: Sequence[str]) -> list[Sample]:
        """All images of these categories, sorted; reads folders and split files, no image.

        A defect image may have no mask: it counts in image metrics and in no pixel metric. Raises
        `DataError` when a category is absent, or masks that the card promises are.
        """

"""What a data set is: a card, a way to find its root, and a table with one row an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class Problem:
    """One flaw of one file. With the severity "error" the category cannot be used."""

    severity: Literal["error", "warning", "note"]
    check: str
    message: str
    path: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """One category as it lies on the disk.

    Attributes:
        samples: its images; a defect image without a mask has `mask_path` None here.
        problems: in the order in which they were met.
        missing: images of the original release that are not here, without file extension;
            empty where the data set's names are not known.
        extra: images that are here but not in the original release, likewise.
        renamed: path here to path in the original release, for the paths that differ.
    """

    samples: Sequence[Sample]
    problems: Sequence[Problem] = ()
    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


class Dataset(ABC):
    """A data set: a card, a way to find its root, and a table with one row an image.

    Implementations never write into the user's folder, pair masks by stem (never by position),
    and take labels from folders.
    """

    card: DatasetCard
    """Of the class, but where a path makes the data set."""

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

    def inspect(self, root: Path, category: str) -> Inspection:
        """One present category with all that can be said of its names; opens no image."""
        samples = self.samples(root, [category])
        return Inspection(samples, unmasked(samples))

    def overlooked(self, root: Path) -> Sequence[Problem]:
        """Folders at `root` that look like a category and are none, as warnings."""
        return ()

    def normal_masks(self, root: Path, samples: Sequence[Sample]) -> Mapping[str, str]:
        """These normal images to files that lie where their masks would."""
        return {}

    def split_rule(self, root: Path, categories: Sequence[str]) -> str | None:
        """How the split of these categories was drawn, where nobody has given one: in the
        protocol."""
        return None

    def folders(self, root: Path) -> Sequence[Path]:
        """The folders that are the data set's own, into which nothing is ever written."""
        return (root,)

    def place_words(self, root: Path) -> Sequence[str]:
        """The options by which a command finds it again."""
        return ("--data-root", str(root))


def unmasked(samples: Sequence[Sample]) -> list[Problem]:
    """What to say of anomalous images without a mask, where masks need not be."""
    paths = [s.path for s in samples if not s.has_pixel_labels]
    if len(paths) == sum(s.label for s in samples) > 0:
        message = f"no masks: none of the {len(paths)} defect images has one, so pixel metrics are "
        return [Problem("warning", "no mask", f"{message}undefined", paths[0])]
    what = "has no mask; it counts in image metrics only"
    return [Problem("warning", "no mask", f"{path} {what}", path) for path in paths]

"""Data sets that a path makes: a card without a release behind it, and what all of them share."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field

from adbench.contracts import CategoryCard, DatasetCard, Inspection, Problem, Sample, Split
from adbench.datasets.folder_dataset import FolderDataset
from adbench.datasets.listing import (
    below,
    is_folder,
    read_image_folder,
    stem,
    unused_images,
)
from adbench.datasets.own.arrangement import (
    LAYOUTS,
    SPLIT,
    VISA,
    Arrangement,
    Normals,
    arrange,
    masks_folders,
)
from adbench.datasets.own.draw import SPLIT_RULE
from adbench.datasets.own.reading import Place, Reading, read_category
from adbench.datasets.visa import SPLIT_FILE, VisA, one_class_split
from adbench.errors import DataError, UsageError

TREE = """\
good/*.jpg
bad/*.jpg, or a folder for each defect
masks/bad/*.png (where there are any)
"""


class OwnCard(DatasetCard):
    """A card that is made for a path: its name is the folder's, whatever that is like."""

    name: str = Field(pattern=r"^[\w.-]+$")


def own_card(path: Path, name: str) -> OwnCard:
    """The card of the images at `path`."""
    return OwnCard(
        name=name, title=path.name or name, licence="your own", page="-", citation="",
        layout=TREE, directory_names=(), categories={},
    )  # fmt: skip


def own_name(path: Path, taken: Sequence[str]) -> str:
    """What the images at `path` are called: as their folder, or the table without its extension,
    with _ for what selectors and file names could not hold.

    A name that a registered data set has gets `own_` before it: their numbers are not the same's.
    """
    own = path.stem if path.is_file() else path.name
    name = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", own)).strip("_") or "data"
    return f"own_{name}" if name in taken else name


class OwnFolder(FolderDataset):
    """A folder of images: a category, or one folder for each category.

    Attributes:
        path: the folder, absolute.
        normals: which folders in it are of normal images.
        masks: the folder of all masks, absolute; None: those that are called so.
    """

    def __init__(
        self, path: Path, name: str, normal: Sequence[str] = (), masks: Path | None = None
    ) -> None:
        self.path, self.card = path, own_card(path, name)
        self.normals = Normals.of(normal)
        self.masks = None if masks is None else _find_masks(masks, path)
        self._said = [text for n in normal for text in ("--normal", n)]
        self._said += [] if masks is None else ["--masks", str(masks)]
        self._readings: dict[str, Reading] = {}

    @cached_property
    def root(self) -> Path:
        """What paths are relative to: the folder, or where masks lie elsewhere what holds both."""
        if self.masks is None or self.masks.is_relative_to(self.path):
            return self.path
        return Path(os.path.commonpath([self.path, self.masks]))

    @cached_property
    def arrangement(self) -> Arrangement:
        """Its categories; raises `DataError` where it is not arranged in a known way."""
        return arrange(self.root, self._base, self.card.name, self.normals)

    @property
    def _base(self) -> str:
        return _relative(self.path, self.root)

    def find_root(self, data_root: Path | None) -> Path:
        """The folder; `data_root` does not matter. Raises `DataError`."""
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder; expected a folder of images or a table")
        return self.root if self.arrangement.places else self.path

    def layout_at(self, root: Path) -> str | None:
        return self.arrangement.layout

    def available_categories(self, root: Path) -> tuple[str, ...]:
        return tuple(self.arrangement.places)

    def has_category(self, root: Path, category: str) -> bool:
        return category in self.arrangement.places

    def inspect(self, root: Path, category: str) -> Inspection:
        return self._read(category).inspection

    def overlooked(self, root: Path) -> list[Problem]:
        """How the folder was understood, and what in it is no category."""
        places = self.arrangement.places
        words = " and ".join(LAYOUTS[name] for name in self.arrangement.layout.split(" and "))
        what = f"read as {words}"
        if self._base in places.values():
            return [Problem("note", "layout", what, self._base)]
        used = {*places, *masks_folders(root, self._base), "split_csv"}
        expected = "a category has a folder of normal images and one for each defect"
        listed = ", ".join(list(places)[:6]) + ", ..." * (len(places) > 6)
        note = Problem("note", "layout", f"{what}: categories {listed}", self._base)
        return [note, *unused_images(root, self._base, used, expected)]

    def normal_masks(self, root: Path, samples: Sequence[Sample]) -> dict[str, str]:
        found: dict[str, str] = {}
        for category in dict.fromkeys(s.category for s in samples):
            found |= self._read(category).normal_masks
        return {s.path: found[s.path] for s in samples if s.path in found}

    def split_rule(self, root: Path, categories: Sequence[str]) -> str | None:
        return SPLIT_RULE if any(self._read(c).drawn for c in categories) else None

    def folders(self, root: Path) -> tuple[Path, ...]:
        return (self.path,) if self.masks is None else (self.path, self.masks)

    def place_words(self, root: Path) -> list[str]:
        return self._said

    def _way_out(self, data_root: str) -> str:
        return f"To see what is there: {self._verify(data_root)}"

    def _read(self, category: str) -> Reading:
        if category not in self._readings:
            place = self._place(category)
            self._readings[category] = read_category(self.root, place, self.normals)
        return self._readings[category]

    def _place(self, category: str) -> Place:
        folder, layout = self.arrangement.places[category], self.arrangement.layouts[category]
        is_whole = folder == self._base
        masks = None if self.masks is None else _relative(self.masks, self.root)
        if masks is None and not is_whole and not masks_folders(self.root, folder):
            beside = [below(self._base, f) for f in masks_folders(self.root, self._base)]
            masks = next((m for m in beside if is_folder(self.root / m / category)), None)
        if masks is not None and not is_whole and is_folder(self.root / masks / category):
            masks = below(masks, category)
        released = self._released(folder) if layout == VISA else {}
        return Place(category, folder, layout in SPLIT, masks, released)

    def _released(self, folder: str) -> dict[str, Split]:
        """The 1-class split that a file beside the categories lists, or that of VisA's own."""
        place = self.root / folder
        card = VisA.card.categories.get(place.name)
        if os.path.lexists(place.parent / SPLIT_FILE):
            return one_class_split(place.parent, place.name, card or CategoryCard())[0]
        if card is None:
            return {}
        split, _ = one_class_split(place.parent, place.name, card)
        here = {stem(path) for path in read_image_folder(place, "Data/Images/Normal").images}
        return split if here <= set(split) else {}


def _find_masks(given: Path, path: Path) -> Path:
    """`--masks DIR`: a folder in the data set's, or as any path; raises `UsageError`."""
    found = [p for p in (path / given, given) if is_folder(p)]
    if not found:
        raise UsageError(
            f"--masks {given}: no such folder, neither in {path} nor here; expected the folder "
            "that holds the masks, called as the images"
        )
    folder = Path(os.path.abspath(found[0]))
    if path.is_relative_to(folder):
        raise UsageError(
            f"--masks {given}: it holds the images {path}; expected a folder of masks alone, in it "
            "or elsewhere"
        )
    return folder


def _relative(folder: Path, root: Path) -> str:
    """The path below `root`, "" for the root itself."""
    return "" if folder == root else folder.relative_to(root).as_posix()

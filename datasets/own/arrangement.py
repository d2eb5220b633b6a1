"""How a folder of one's own is arranged, told by the names of its folders alone: no image is opened
and nothing below the second level is listed, so that a whole disk is refused at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from adbench.datasets.folder_words import IMAGES, MASKS, TEST, TRAIN, is_normal_name, word
from adbench.datasets.listing import IMAGE_SUFFIXES, below, composed, entries, list_folders
from adbench.errors import DataError, UsageError

PLAIN = "plain"
VISA = "visa-raw"
SPLIT = {"mvtec": "the layout of MVTec AD", "btad": "the layout of BTAD",
         "train-test": "folders train and test"}  # fmt: skip
LAYOUTS = {PLAIN: "plain folders", VISA: "the layout of VisA", **SPLIT}
"""What is recognised, in words; those in `SPLIT` say which images train."""
_LOCO = frozenset({"logicalanomalies", "structuralanomalies"})
_HERE = "."


class Normals(NamedTuple):
    """Which folders are of normal images: those that `--normal` names, else those of usual names.

    "." stands for images that lie in no folder of their own.
    """

    given: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Normals:
        """From what was typed: `good`, `good/` and `parts/good` are one folder."""
        return cls(tuple(composed(os.path.basename(t.rstrip("/")) or _HERE) for t in texts))

    def has(self, folder: str) -> bool:
        """Whether a folder of this name is; "" is no folder of their own."""
        if self.given:
            return composed(folder or _HERE) in self.given
        return is_normal_name(folder)


@dataclass(frozen=True)
class Arrangement:
    """Each category's place below the root ("" for the root itself), and each one's layout."""

    places: Mapping[str, str]
    layouts: Mapping[str, str]

    @property
    def layout(self) -> str:
        """The layouts' names."""
        return " and ".join(dict.fromkeys(self.layouts.values()))


def arrange(root: Path, base: str, name: str, normals: Normals) -> Arrangement:
    """The categories of the folder `base` below `root`: itself, called `name`, or its folders.

    Raises:
        DataError: no layout is recognised, or one that cannot be used.
        UsageError: `--normal` names a folder that is nowhere.
    """
    own = _layout(root, base, normals)
    if own is not None:
        places, layouts = {name: base}, {name: own}
    else:
        folders = list_folders(root / base)
        found = {f: _layout(root, below(base, f), normals) for f in folders}
        layouts = {folder: layout for folder, layout in found.items() if layout is not None}
        places = {folder: below(base, folder) for folder in layouts}
    _require_given(root, [*places.values(), base], normals)
    if not places:
        raise DataError(_unrecognised(root / base))
    return Arrangement(places, layouts)


def masks_folders(root: Path, place: str) -> list[str]:
    """Folders at `place` that are called as folders of masks are."""
    return [f for f in list_folders(root / place) if word(f) in MASKS]


def _layout(root: Path, place: str, normals: Normals) -> str | None:
    """Of one category at `place`; None where there is none."""
    folders = list_folders(root / place)
    train = [f for f in folders if word(f) in TRAIN]
    for test in (f for f in folders if word(f) in TEST):
        loco = [f for f in list_folders(root / place / test) if word(f) in _LOCO]
        if loco:
            raise DataError(_refused_loco(root / place / test / loco[0]))
    for split in train:
        inside = list_folders(root / place / split)
        normal = [f for f in inside if normals.has(f)]
        if normal:
            return "btad" if word(normal[0]) == "ok" else "mvtec"
        if not inside and num_images(root / place / split):
            return "train-test"
    images = [f for f in folders if word(f) in IMAGES]
    if _any_normal(root, [place, *(below(place, f) for f in images)], normals):
        return PLAIN
    if _any_normal(root, [below(place, "Data", "Images")], normals):
        return VISA
    if _HERE in normals.given and num_images(root / place):
        return PLAIN
    return None


def _any_normal(root: Path, places: Iterable[str], normals: Normals) -> bool:
    return any(normals.has(f) for place in places for f in list_folders(root / place))


def num_images(folder: Path) -> int:
    """How many files in a folder itself are images by their names."""
    names = (e.name for e in entries(folder) if not e.is_dir(follow_symlinks=False))
    return sum(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in names)


def _require_given(root: Path, places: Iterable[str], normals: Normals) -> None:
    inside = ("", "train", "test", "images", "Data/Images")
    known = {
        composed(folder): folder
        for place in places
        for part in inside
        for folder in list_folders(root / below(place, part))
    }
    for name in normals.given:
        if name != _HERE and name not in known:
            found = ", ".join(f"{f}/" for f in sorted(known.values())[:8]) or "no folder"
            raise UsageError(
                f"--normal {name}: no folder of that name is in {root}; found {found}: give one "
                "of these, or . for images that lie in no folder of their own"
            )


def _unrecognised(folder: Path) -> str:
    folders, count = list_folders(folder), num_images(folder)
    more = f" and {len(folders) - 6} more" if len(folders) > 6 else ""
    listed = ", ".join(f"{f}/" for f in folders[:6]) + more
    images = f"{count} image{'s' * (count != 1)}"
    if folders:
        found = f"found {listed}" + (f" and {images} beside them" if count else "")
        way_out = "rename it, or say which it is with --normal NAME"
        way_out += " (--normal . for the images beside them)" * bool(count)
    elif count:
        found = f"found {images} and no folder"
        way_out = "make these folders, or if all images are normal say so with --normal ."
    else:
        found = f"found {'no image' if entries(folder) else 'an empty folder'}"
        way_out = "give the folder that holds them"
    return (
        f"{folder} has no folder of normal images: {found}; expected one called good, ok or "
        "normal, and others for anomalous images, bad or one for each defect (or train/good and "
        f"test/<defect>): {way_out}"
    )


def _refused_loco(defect: Path) -> str:
    return (
        f"{defect.parent.parent} is in the layout of MVTec LOCO AD ({defect.name}/), which is not "
        "read: its images have several masks each, with saturation thresholds, for a metric of its "
        "own (sPRO) that adbench does not have. For image metrics alone, list its files in a table "
        "without masks: columns path, label, split"
    )

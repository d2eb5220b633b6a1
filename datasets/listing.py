"""What a category's folders hold, problems included: images, masks and how they pair.

Nothing here raises for a missing mask or the like: flaws become `Problem`s, so that a run can
stop at the first and `adbench data verify` can show all. Nothing here opens an image.
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from adbench.contracts import Sample
from adbench.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MASK_SUFFIX = "_mask"
"""What MVTec's layout adds to an image's stem to name its mask."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One flaw of one file. With the severity "error" the category cannot be used."""

    severity: Literal["error", "warning"]
    check: str
    message: str
    path: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """One category as it lies on the disk.

    Attributes:
        samples: its images, sorted; a defect image without a mask has `mask_path` None here.
        problems: in the order in which they were met.
        missing: images of the original release that are not here, without file extension;
            empty where the data set's names are not known.
        extra: images that are here but not in the original release, likewise.
        renamed: path here to path in the original release, for the paths that differ.
    """

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


def stem(path: str) -> str:
    """The file name without its extension."""
    return PurePosixPath(path).stem


def without_suffix(path: str) -> str:
    """The path without the file's extension."""
    return PurePosixPath(path).with_suffix("").as_posix()


def list_images(root: Path, folder: str, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[str]:
    """Image paths in `folder`, relative to `root`, sorted; none where the folder is absent.

    Extensions match in any case. Hidden files are left out: macOS archives carry a `._NAME.png`
    beside each image, which is no image.
    """
    accepted = frozenset(suffixes)
    return [
        f"{folder}/{name}"
        for name in _names(root / folder, folders=False)
        if os.path.splitext(name)[1].lower() in accepted
    ]


def list_folders(folder: Path) -> list[str]:
    """Names of the visible folders in `folder`, sorted; none where it is absent."""
    return _names(folder, folders=True)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False, not an error, where it may not be looked at."""
    return os.path.isdir(path)


def _names(folder: Path, *, folders: bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                e.name
                for e in entries
                if not e.name.startswith((".", "__MACOSX"))
                and (_is_folder(e) if folders else _is_file(e))
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}); expected a folder of images: "
            "check its permissions"
        ) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link that leads nowhere: an image that was lost, say, or not
    fetched with the others, must fail by its name and never be passed over."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return True


def pair_masks(
    images: Sequence[str], masks: Sequence[str], folder: str
) -> tuple[dict[str, str], list[Problem]]:
    """Each image's mask by stem: `STEM_mask.*` or `STEM.*`, never by position.

    Args:
        images: paths of defect images.
        masks: paths of the masks in `folder`.
        folder: where the masks should be, for messages.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for mask in masks:
        by_stem[stem(mask)].append(mask)
    pairs: dict[str, str] = {}
    owner: dict[str, str] = {}
    problems: list[Problem] = []
    for image in images:
        found = by_stem[stem(image) + MASK_SUFFIX] + by_stem[stem(image)]
        problem = _pairing_problem(image, found, owner, folder)
        for mask in found:
            owner.setdefault(mask, image)
        if problem is None:
            pairs[image] = found[0]
        else:
            problems.append(problem)
    for mask in masks:
        if mask not in owner:
            problems.append(Problem("warning", "stray mask", f"{mask} belongs to no image", mask))
    return pairs, problems


def _pairing_problem(
    image: str, found: Sequence[str], owner: Mapping[str, str], folder: str
) -> Problem | None:
    if not found:
        wanted = f"{folder}/{stem(image)}{MASK_SUFFIX}.png or {stem(image)}.png"
        what = f"has no mask: looked for {wanted} (or another image extension)"
    elif len(found) > 1:
        what = f"has {len(found)} masks, {' and '.join(found)}: expected one, remove the other"
    elif found[0] in owner:
        what = f"and {owner[found[0]]} share the mask {found[0]}: expected one mask an image"
    else:
        return None
    return Problem("error", "mask", f"{image} {what}", image)


def same_stem(images: Sequence[str]) -> list[Problem]:
    """A warning for each image beside another of the same folder and stem.

    A copy that was converted without removing the originals (BTAD's .bmp) counts twice.
    """
    first: dict[str, str] = {}
    problems = []
    for image in images:
        other = first.setdefault(without_suffix(image), image)
        if other != image:
            message = f"{image} has the name of {other} but another extension: one image twice?"
            problems.append(Problem("warning", "same name", message, image))
    return problems


def numbered(folder: str, count: int, digits: int, skip: Iterable[int] = ()) -> set[str]:
    """The first `count` numbers that are not in `skip`, as paths in `folder` without extension."""
    left_out = set(skip)
    numbers = [n for n in range(count + len(left_out)) if n not in left_out]
    return {f"{folder}/{n:0{digits}d}" for n in numbers[:count]}

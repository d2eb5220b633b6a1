"""What a category's folders hold, problems included: images, masks and how they pair.

Nothing here raises for a missing mask or the like: flaws become `Problem`s, so that a run can
stop at the first and `adbench data verify` can show all. Nothing here opens an image.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from adbench.contracts import Sample
from adbench.errors import DataError

MASK_SUFFIX = "_mask"
"""What MVTec's layout adds to an image's stem to name its mask."""
NO_MASK = "no mask"
"""The check of a defect image without a mask."""


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


def list_folders(folder: Path) -> list[str]:
    """Names of the visible folders in `folder`, sorted; none where it is absent."""
    return [e.name for e in entries(folder) if _is_folder(e)]


def entries(folder: Path, *, hidden: bool = False) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name; nothing where it is absent or no folder.

    Raises `DataError` for one that cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            shown = [e for e in found if hidden or not is_hidden(e.name)]
            return sorted(shown, key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}); expected a folder of images: "
            "check its permissions"
        ) from None


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False, not an error, where it may not be looked at."""
    return os.path.isdir(path)


def is_hidden(name: str) -> bool:
    """Whether a name is left out: macOS archives carry a `._NAME.png` beside each image."""
    return name.startswith((".", "__MACOSX"))


def composed(name: str) -> str:
    """The name in the Unicode form in which names are compared: macOS decomposes accents."""
    return unicodedata.normalize("NFC", name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def pair_masks(
    images: Sequence[str], masks: Sequence[str], folder: str
) -> tuple[dict[str, str], list[Problem]]:
    """Each image's mask by name: `STEM_mask.*` or `STEM.*`, never by position.

    In sub-folders the mask has the image's place below its own folder; where nothing does, a
    mask with the image's stem alone is taken, if no other image has it.

    Args:
        images: paths of defect images, of a folder that lies as deep as `folder`.
        masks: paths of the masks in `folder`.
        folder: where the masks should be, for messages.
    """
    depth = folder.count("/") + 1
    found = _by_name(images, masks, lambda path: _below(path, depth))
    taken = {mask for own in found.values() for mask in own}
    lone = [image for image in images if not found[image]]
    found |= _by_name(lone, [m for m in masks if m not in taken], stem)
    pairs: dict[str, str] = {}
    owner: dict[str, str] = {}
    problems: list[Problem] = []
    for image in images:
        problem = _pairing_problem(image, found[image], owner, folder, _below(image, depth))
        for mask in found[image]:
            owner.setdefault(mask, image)
        if problem is None:
            pairs[image] = found[image][0]
        else:
            problems.append(problem)
    for mask in masks:
        if mask not in owner:
            problems.append(Problem("warning", "stray mask", f"{mask} belongs to no image", mask))
    return pairs, problems


def _below(path: str, depth: int) -> str:
    """The path below the folder of this depth, without the file's extension."""
    return without_suffix(path.split("/", depth)[depth])


def _by_name(
    images: Sequence[str], masks: Sequence[str], name: Callable[[str], str]
) -> dict[str, list[str]]:
    """The masks that have each image's name, those with the suffix first."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for mask in masks:
        by_name[composed(name(mask))].append(mask)
    return {
        image: by_name.get(own + MASK_SUFFIX, []) + by_name.get(own, [])
        for image in images
        for own in (composed(name(image)),)
    }


def _pairing_problem(
    image: str, found: Sequence[str], owner: Mapping[str, str], folder: str, name: str
) -> Problem | None:
    if not found:
        wanted = f"{folder}/{name}{MASK_SUFFIX}.png or {stem(image)}.png"
        message = f"{image} has no mask: looked for {wanted} (or another image extension)"
        return Problem("error", NO_MASK, message, image)
    if len(found) > 1:
        more = f" and {len(found) - 3} more" * (len(found) > 3)
        names = " and ".join(found[:3]) + more
        what = f"has {len(found)} masks, {names}: expected one, remove the other"
    elif found[0] in owner:
        what = f"and {owner[found[0]]} share the mask {found[0]}: expected one mask an image"
    else:
        return None
    return Problem("error", "mask", f"{image} {what}", image)


def odd_names(images: Sequence[str]) -> list[Problem]:
    """A warning for each image beside another of the same folder and stem, or named as its mask.

    A copy that was converted without removing the originals (BTAD's .bmp) counts twice, and a
    mask among the images as an image.
    """
    names = {composed(without_suffix(image)): image for image in images}
    return [*_same_stem(images), *_masks_among(images, names)]


def _masks_among(images: Sequence[str], names: Mapping[str, str]) -> list[Problem]:
    problems = []
    for image in images:
        name = composed(without_suffix(image))
        other = names.get(name.removesuffix(MASK_SUFFIX))
        if other is not None and other != image and name.endswith(MASK_SUFFIX):
            message = (
                f"{image} is named like the mask of {other}, but counts as an image: if it is a "
                "mask, move it to where masks lie"
            )
            problems.append(Problem("warning", "mask name", message, image))
    return problems


def _same_stem(images: Sequence[str]) -> list[Problem]:
    first: dict[str, str] = {}
    problems = []
    for image in images:
        other = first.setdefault(composed(without_suffix(image)), image)
        if other != image:
            message = f"{image} has the name of {other} but another extension: one image twice?"
            problems.append(Problem("warning", "same name", message, image))
    return problems


def numbered(folder: str, count: int, digits: int, skip: Iterable[int] = ()) -> set[str]:
    """The first `count` numbers that are not in `skip`, as paths in `folder` without extension."""
    left_out = set(skip)
    numbers = [n for n in range(count + len(left_out)) if n not in left_out]
    return {f"{folder}/{n:0{digits}d}" for n in numbers[:count]}

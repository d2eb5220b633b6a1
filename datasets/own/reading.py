"""One category of folders of one's own: which image is what, by the names of the folders it is in.

A folder of masks may lie beside the images' folders, in them, or elsewhere; a mask is found by what
its path and its image's have in common.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adbench.contracts import NORMAL, Inspection, Problem, Sample, Split
from adbench.contracts.dataset import unmasked
from adbench.datasets.folder_words import (
    IMAGES,
    MASKS,
    TEST,
    TRAIN,
    VALIDATION,
    is_anomalous_name,
    word,
)
from adbench.datasets.listing import composed, read_image_folder, stem
from adbench.datasets.masks import MASK_SUFFIX, NO_MASK, odd_names, pair_masks
from adbench.datasets.own.arrangement import Normals
from adbench.datasets.own.draw import draw_problem, drawn_for_test, two_normals
from adbench.errors import DataError

_MASKS_OF = re.compile(r"(.+)[-_. ](?:masks?|gt|ground[-_ ]?truth)", re.IGNORECASE)


class Place(NamedTuple):
    """Where one category lies, relative to the root.

    Attributes:
        name: the category's.
        folder: "" for the root itself.
        has_splits: whether its folders train and test say which image is in which.
        masks: the folder that alone holds its masks, or None: those that are called so.
        released: split of normal images by stem, where a file lists it.
    """

    name: str
    folder: str
    has_splits: bool
    masks: str | None = None
    released: Mapping[str, Split] = {}


class Reading(NamedTuple):
    """Attributes:
    inspection: the category with all its problems.
    normal_masks: normal images to their masks.
    drawn: whether the split was drawn.
    """

    inspection: Inspection
    normal_masks: Mapping[str, str]
    drawn: bool


class _File(NamedTuple):
    """An image or mask. `label` is its first folder that says what it shows, `deeper` those below,
    `name` what an image and its mask share."""

    path: str
    split: str
    label: str
    deeper: tuple[str, ...]
    is_mask: bool
    name: str


def read_category(root: Path, place: Place, normals: Normals) -> Reading:
    """Read and sort all files of one category; opens none.

    Raises `DataError` where two folders could be the normal ones.
    """
    files, problems = _listed(root, place, normals)
    masks = [f for f in files if f.is_mask]
    normal, anomalous, unused = _sorted(files, place, normals)
    labels = {f.label for f in normal}
    if len(labels) > 1 and not (place.has_splits or normals.given):
        raise DataError(two_normals(root / place.folder, labels))
    splits, flaws, drawn = _splits(normal, place)
    pairs, of_normals, mask_flaws = _pair(anomalous, normal, masks, place)
    samples = [
        *(Sample(place.name, s, NORMAL, path, None, 0) for path, s in splits.items()),
        *(Sample(place.name, "test", _defect(f), f.path, pairs.get(f.path), 1) for f in anomalous),
    ]
    problems += [*flaws, *mask_flaws, *_unused(unused, place), *unmasked(samples)]
    problems += [*odd_names([s.path for s in samples]), *_of_defects(anomalous, normals)]
    if not place.has_splits:
        problems.append(_understood(normal, anomalous, masks, place))
    return Reading(Inspection(tuple(sorted(samples)), tuple(problems)), of_normals, drawn)


# ------------------------------------------------------------------------------ what a file is


def _listed(root: Path, place: Place, normals: Normals) -> tuple[list[_File], list[Problem]]:
    """All files of the category and of a folder of masks elsewhere, and what is wrong there."""
    found = read_image_folder(root, place.folder)
    problems, files = [*found.problems], _files(found.images, place, normals)
    if place.masks is not None and not _is_below(place.masks, place.folder):
        elsewhere = read_image_folder(root, place.masks)
        problems += elsewhere.problems
        files += [_file(path, place, set(), normals) for path in elsewhere.images]
    return files, [p for p in problems if p.check != "sub-folder"]


def _sorted(
    files: Sequence[_File], place: Place, normals: Normals
) -> tuple[list[_File], list[_File], list[_File]]:
    """Normal and anomalous images, and those that are neither."""
    kinds: dict[str, list[_File]] = defaultdict(list)
    in_train = any(f.split == "train" and normals.has(f.label) for f in files)
    for file in files:
        if not file.is_mask:
            kinds[_kind(file, place, normals, in_train)].append(file)
    return kinds["normal"], kinds["anomalous"], kinds["unused"]


def _files(paths: Sequence[str], place: Place, normals: Normals) -> list[_File]:
    folders = {composed(part).casefold() for path in paths for part in path.split("/")[:-1]}
    files = [_file(path, place, folders, normals) for path in paths]
    if place.masks is not None:
        return files
    images = {f.name for f in files if not f.is_mask}
    return [f._replace(is_mask=True) if _is_beside(f.name, images) else f for f in files]


def _is_beside(name: str, images: Collection[str]) -> bool:
    """Whether it is called as the mask of an image in its own folder."""
    return name.endswith(MASK_SUFFIX) and name.removesuffix(MASK_SUFFIX) in images


def _file(path: str, place: Place, folders: Collection[str], normals: Normals) -> _File:
    """`folders` are all folders' names: `bad_masks` holds masks where there is a `bad`."""
    is_mask = place.masks is not None and _is_below(path, place.masks)
    start = place.masks if is_mask and place.masks is not None else place.folder
    *names, _ = path.removeprefix(f"{start}/" if start else "").split("/")
    rest: list[str] = []
    is_called_mask = False
    for name, after in zip(names, [*names, ""][1:], strict=True):
        owner = _MASKS_OF.fullmatch(name)
        if normals.given and normals.has(name):  # whatever else it could mean
            rest.append(name)
        elif word(name) in MASKS:
            is_called_mask = True
        elif owner is not None and composed(owner[1]).casefold() in folders:
            is_called_mask = True
            rest.append(owner[1])
        elif word(name) not in IMAGES and not (name == "Data" and word(after) in IMAGES | MASKS):
            rest.append(name)
    split = _split_of(rest[0]) if rest and (place.has_splits or is_mask or is_called_mask) else ""
    rest = rest[1:] if split else rest
    if place.masks is None:
        is_mask = is_called_mask
    elif is_called_mask and not is_mask:
        split = "unused"
    shared = composed("/".join([*rest, stem(path)])).casefold()
    return _File(path, split, rest[0] if rest else "", tuple(rest[1:]), is_mask, shared)


def _split_of(folder: str) -> str:
    words = {"train": TRAIN, "test": TEST, "validation": VALIDATION}
    return next((split for split, known in words.items() if word(folder) in known), "")


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _kind(file: _File, place: Place, normals: Normals, in_train: bool) -> str:
    """normal, anomalous or unused; `in_train`: whether train has a folder for normal images."""
    is_normal = normals.has(file.label)
    if file.split == "train" and not file.label and not in_train:
        return "normal"
    if file.split in (("train", "test") if place.has_splits else ("",)):
        if is_normal:
            return "normal"
        return "anomalous" if file.label and file.split != "train" else "unused"
    return "unused"


def _defect(file: _File) -> str:
    """The folder's name; of one that says no more than `bad`, that of the folder in it."""
    return file.deeper[0] if file.deeper and is_anomalous_name(file.label) else file.label


# ------------------------------------------------------------------------------------- splits


def _splits(normals: Sequence[_File], place: Place) -> tuple[dict[str, Split], list[Problem], bool]:
    """Path to split of each normal image that is used, what to say of it, and whether it was
    drawn."""
    found: dict[str, Split]
    if place.has_splits:
        found = {f.path: "train" if f.split == "train" else "test" for f in normals}
        return found, [], False
    if place.released:
        listed = {f.path: place.released.get(stem(f.path)) for f in normals}
        lost = [path for path, split in listed.items() if split is None]
        message = "is not in the 1-class split of the data set"
        flaws = [Problem("error", "split", f"{path} {message}", path) for path in lost]
        return {path: split for path, split in listed.items() if split}, flaws, False
    start = len(place.folder) + 1 if place.folder else 0
    drawn = drawn_for_test([f.path[start:] for f in normals])
    told = draw_problem(place.name, len(normals), len(drawn), place.folder)
    found = {f.path: "test" if f.path[start:] in drawn else "train" for f in normals}
    return found, [told], True


# -------------------------------------------------------------------------------------- masks


def _pair(
    anomalous: Sequence[_File], normals: Sequence[_File], masks: Sequence[_File], place: Place
) -> tuple[dict[str, str], dict[str, str], list[Problem]]:
    """Masks of anomalous and of normal images, and what is wrong with them."""
    # Masks that lie flat in one folder have no label in their names: they are no normal image's.
    by_name = {f.name: f.path for f in normals if f.label and f.split != "train"}
    owners = {m.path: _owner(m.name, by_name) for m in masks}
    of_normals = {image: mask for mask, image in owners.items() if image is not None}
    rest = [m.path for m in masks if owners[m.path] is None]
    names = {f.path: f.name for f in (*anomalous, *masks)}
    where = place.masks if place.masks is not None else place.folder or "the masks' folder"
    images = [f.path for f in anomalous]
    pairs, flaws = pair_masks(images, rest, where, names.__getitem__)
    problems = [p for p in flaws if p.check != NO_MASK]
    if rest and images and not pairs and not any(p.severity == "error" for p in problems):
        message = (
            f"none of {len(rest)} mask{'s' * (len(rest) > 1)} has the name of an anomalous image "
            f"({rest[0]} belongs to no image, {images[0]} has no mask); expected "
            f"{stem(images[0])}{MASK_SUFFIX}.png or {stem(images[0])}.png: rename them, or pair "
            "them in a table of files (adbench data table)"
        )
        problems = [Problem("error", "mask names", message, rest[0])]
    return pairs, of_normals, problems


def _owner(mask: str, images: Mapping[str, str]) -> str | None:
    return images.get(mask.removesuffix(MASK_SUFFIX)) or images.get(mask)


# ------------------------------------------------------------------------------- what is said


def _unused(files: Sequence[_File], place: Place) -> list[Problem]:
    """One warning a folder."""
    counts: dict[str, int] = defaultdict(int)
    for file in files:
        counts[file.path.rpartition("/")[0]] += 1
    expected = (
        "normal images train, in train, and all are tested that lie in folders of test"
        if place.has_splits
        else "images lie in a folder for normal ones and one for each defect"
    )
    return [
        Problem("warning", "unused", f"{where} {_held(count)}, not used: {expected}", folder)
        for folder, count in counts.items()
        for where in (folder or "the folder itself",)
    ]


def _held(count: int) -> str:
    return f"holds {count} image{'s' * (count != 1)}"


def _understood(
    normals: Sequence[_File], anomalous: Sequence[_File], masks: Sequence[_File], place: Place
) -> Problem:
    """Which folders were taken for what: a guess by their names."""
    said = [
        ", ".join(f"{label or '.'}/ ({count})" for label, count in sorted(counts.items())) or "none"
        for counts in (Counter(f.label for f in files) for files in (normals, anomalous))
    ]
    message = f"normal images: {said[0]}; anomalous: {said[1]}; masks: {len(masks)}"
    return Problem("note", "folders", message, place.folder)


def _of_defects(files: Sequence[_File], normals: Normals) -> list[Problem]:
    """A folder that counts as a defect, though its name says normal, since `--normal` said so."""
    labels = dict.fromkeys(f.label for f in files if Normals().has(f.label))
    message = f"counts as a defect, as --normal {' '.join(normals.given)} says"
    return [Problem("warning", "normal folder", f"{label}/ {message}", label) for label in labels]

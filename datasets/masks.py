"""Images and their masks: how they pair by name, and what is said of images that have none.

Where a card promises masks, one that is missing is damage, and an error. Elsewhere it need not be:
many data sets have labels of images only, or masks of some defects. Such images count in image
metrics and are left out of pixel metrics, which is said once, however many they are. Where the mask
of a normal image would lie there should be no file, or an empty one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from adbench.contracts import Problem
from adbench.datasets.listing import composed, read_image_folder, stem, without_suffix

MASK_SUFFIX = "_mask"
"""What MVTec's layout adds to an image's stem to name its mask."""

NO_MASK = "no mask"
"""The check of a defect image without a mask."""


def pair_masks(
    images: Sequence[str],
    masks: Sequence[str],
    folder: str,
    name_of: Callable[[str], str] | None = None,
) -> tuple[dict[str, str], list[Problem]]:
    """Each image's mask by name: `STEM_mask.*` or `STEM.*`, never by position.

    In sub-folders the mask has the image's place below its own folder; where nothing does, a
    mask with the image's stem alone is taken, if no other image has it.

    Args:
        images: paths of defect images, of a folder that lies as deep as `folder`.
        masks: paths of the masks in `folder`.
        folder: where the masks should be, for messages.
        name_of: a path to what an image and its mask have in common, where that is not their
            place below folders of one depth.
    """
    name_of = name_of or partial(_below, depth=folder.count("/") + 1)
    found = _by_name(images, masks, name_of)
    taken = {mask for own in found.values() for mask in own}
    lone = [image for image in images if not found[image]]
    found |= _by_name(lone, [m for m in masks if m not in taken], stem)
    pairs: dict[str, str] = {}
    owner: dict[str, str] = {}
    problems: list[Problem] = []
    for image in images:
        problem = _pairing_problem(image, found[image], owner, folder, name_of(image))
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


@dataclass(frozen=True)
class DefectFolder:
    """One folder of defect images.

    Attributes:
        name: of the folder below `test`.
        truth: of the folder below `ground_truth`, perhaps in another Unicode form.
        images: their paths.
        masks: image to mask, where there is exactly one.
        problems: without those of images that have no mask.
        unmasked: those.
    """

    name: str
    truth: str
    images: Sequence[str]
    masks: Mapping[str, str]
    problems: list[Problem]
    unmasked: list[Problem]


def read_defect_folder(root: Path, category: str, name: str, truth: str) -> DefectFolder:
    """The folder `test/NAME` of a category, and its masks in `ground_truth/TRUTH`."""
    where = f"{category}/ground_truth/{truth}"
    images = read_image_folder(root, f"{category}/test/{name}")
    masks = read_image_folder(root, where)
    pairs, flaws = pair_masks(images.images, masks.images, where)
    # That masks lie in sub-folders, too, needs no saying.
    own = [*images.problems, *(p for p in masks.problems if p.severity != "note")]
    own += [p for p in flaws if p.check != NO_MASK]
    unmasked = [p for p in flaws if p.check == NO_MASK]
    return DefectFolder(name, truth, images.images, pairs, own, unmasked)


def unmasked_problems(
    category: str, folders: Sequence[DefectFolder], *, promised: bool, normal: str
) -> list[Problem]:
    """What to say of the images without a mask.

    Args:
        category: its name.
        folders: all its folders of defect images.
        promised: whether the card says that every one has a mask.
        normal: what a folder of normal images is called, should one of these be one.
    """
    if promised:
        return [problem for own in folders for problem in own.unmasked]
    lacking = [own for own in folders if own.unmasked]
    if lacking and not any(own.masks for own in folders):
        count = sum(len(own.unmasked) for own in lacking)
        message = (
            f"no masks: none of the {count} defect images has one in {category}/ground_truth, so "
            "pixel metrics are undefined"
        )
        return [Problem("warning", NO_MASK, message, f"{category}/ground_truth")]
    problems = []
    for own in lacking:
        if own.masks:
            for p in own.unmasked:
                message = f"{p.message}; it counts in image metrics only"
                problems.append(Problem("warning", NO_MASK, message, p.path))
            continue
        folder = f"{category}/test/{own.name}"
        message = (
            f"none of the {len(own.unmasked)} images in {folder} has a mask, while other defects "
            f"have: they count in image metrics only; if they are normal, rename the folder to "
            f"{normal}"
        )
        problems.append(Problem("warning", "no mask in folder", message, folder))
    return problems


def masks_of_normals(
    root: Path, images: Iterable[str], folder_of: Callable[[str], str]
) -> dict[str, str]:
    """Normal images to such files, by stem; images without one are left out.

    Args:
        root: the folder that paths are relative to.
        images: paths of normal images.
        folder_of: the folder of an image to the one where its masks would be.
    """
    listed: dict[str, dict[str, str]] = {}
    found = {}
    for image in images:
        folder = folder_of(PurePosixPath(image).parent.as_posix())
        if folder not in listed:
            listed[folder] = {stem(path): path for path in read_image_folder(root, folder).images}
        for name in (stem(image) + MASK_SUFFIX, stem(image)):
            mask = listed[folder].get(name)
            if mask is not None and mask != image:
                found[image] = mask
                break
    return found

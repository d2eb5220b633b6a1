"""Folders of defect images with their masks, and what is said of images that have none.

Where a card promises masks, one that is missing is damage, and an error. Elsewhere it need not be:
many data sets have labels of images only, or masks of some defects. Such images count in image
metrics and are left out of pixel metrics, which is said once, however many they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adbench.datasets.image_folder import read_image_folder
from adbench.datasets.listing import NO_MASK, Problem, pair_masks


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

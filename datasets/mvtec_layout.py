"""MVTec AD's folder layout, which most industrial data sets copy, and one's own can.

A data set of one's own is a class with a card; without categories on the card, each folder that
holds a `train/good` is one:

    class Screws(MVTecLayout):
        card = DatasetCard(
            name="screws", title="Our screws", licence="internal", page="-", citation="",
            layout=MVTEC_TREE, directory_names=("screws",), categories={},
        )
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from adbench.contracts import NORMAL, Sample
from adbench.datasets.folder_dataset import FolderDataset
from adbench.datasets.listing import (
    Inspection,
    Problem,
    is_folder,
    list_folders,
    list_images,
    numbered,
    pair_masks,
    same_stem,
    without_suffix,
)
from adbench.datasets.normal_masks import masks_of_normals

MVTEC_TREE = """\
<category>/train/good/000.png
<category>/test/good/000.png
<category>/test/<defect>/000.png
<category>/ground_truth/<defect>/000_mask.png
"""

_NORMAL_FOLDERS = ("good", "ok")


class MVTecLayout(FolderDataset):
    """`<category>/{train/good, test/good, test/<defect>, ground_truth/<defect>}`.

    A mask is `STEM_mask.*` or `STEM.*` for the image `STEM.*`.
    """

    layouts: ClassVar[Mapping[str, str]] = {"mvtec": NORMAL}
    """Name of a layout to its folder of normal training images; tried in order."""

    digits: ClassVar[int | None] = None
    """Width of file numbers, where the release numbers each folder from zero without gaps."""

    def layout_at(self, root: Path) -> str | None:
        candidates = list(self._candidates(root))
        for layout, normal in self.layouts.items():
            if any(is_folder(root / c / "train" / normal) for c in candidates):
                return layout
        return None

    def has_category(self, root: Path, category: str) -> bool:
        layout = self.layout_at(root)
        if layout is None:
            return False
        return is_folder(root / category / "train" / self.layouts[layout])

    def inspect(self, root: Path, category: str) -> Inspection:
        normal = self.layouts[self.layout_at(root) or self.recognise_layout(root)]
        train = list_images(root, f"{category}/train/{normal}")
        samples = [Sample(category, "train", NORMAL, p, None, 0) for p in train]
        problems = same_stem(train)
        if not train:
            folder = f"{category}/train/{normal}"
            problems.append(Problem("error", "train", f"{folder} holds no image", folder))
        for folder in list_folders(root / category / "test"):
            rows, flaws = _test_folder(root, category, folder)
            samples += rows
            problems += flaws
        return self.compared(category, samples, problems)

    def normal_masks(self, root: Path, samples: Sequence[Sample]) -> dict[str, str]:
        """Normal test images to files that lie where their masks would."""
        images = [s.path for s in samples if s.split == "test"]
        return masks_of_normals(root, images, lambda f: f.replace("/test/", "/ground_truth/", 1))

    def compared(self, category: str, samples: list[Sample], problems: list[Problem]) -> Inspection:
        """The inspection of these samples, with what differs from the release by name."""
        renamed = self.release_paths(samples)
        found = {without_suffix(renamed.get(s.path, s.path)) for s in samples}
        expected = self.release_names(category)
        if expected is None:
            expected = found
        return Inspection(
            samples=tuple(sorted(samples)),
            problems=tuple(problems),
            missing=tuple(sorted(expected - found)),
            extra=tuple(sorted(found - expected)),
            renamed=renamed,
        )

    def release_paths(self, samples: list[Sample]) -> dict[str, str]:
        """Path here to path in the original release, for images and masks that were moved."""
        return {}

    def release_names(self, category: str) -> set[str] | None:
        """Image paths of the original release without extension, or None where not known."""
        card = self.card.categories.get(category)
        if self.digits is None or card is None:
            return None
        counts = {
            "train/good": card.train_good or 0,
            "test/good": card.test_good or 0,
            **{f"test/{defect}": count for defect, count in card.defects.items()},
        }
        folders = (numbered(f"{category}/{f}", n, self.digits) for f, n in counts.items())
        return set().union(*folders)


def _test_folder(root: Path, category: str, folder: str) -> tuple[list[Sample], list[Problem]]:
    """Rows and problems of one folder of test images."""
    images = list_images(root, f"{category}/test/{folder}")
    if folder in _NORMAL_FOLDERS:
        rows = [Sample(category, "test", NORMAL, p, None, 0) for p in images]
        return rows, same_stem(images)
    where = f"{category}/ground_truth/{folder}"
    pairs, problems = pair_masks(images, list_images(root, where), where)
    rows = [Sample(category, "test", folder, p, pairs.get(p), 1) for p in images]
    return rows, same_stem(images) + problems

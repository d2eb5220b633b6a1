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

from adbench.contracts import NORMAL, Inspection, Problem, Sample, Split
from adbench.datasets.folder_dataset import FolderDataset
from adbench.datasets.folder_words import is_normal_name
from adbench.datasets.listing import (
    composed,
    is_folder,
    list_folders,
    numbered,
    read_image_folder,
    unused_images,
    without_suffix,
)
from adbench.datasets.masks import (
    DefectFolder,
    masks_of_normals,
    odd_names,
    read_defect_folder,
    unmasked_problems,
)
from adbench.errors import DataError

MVTEC_TREE = """\
<category>/train/good/000.png
<category>/test/good/000.png
<category>/test/<defect>/000.png
<category>/ground_truth/<defect>/000_mask.png
"""


class MVTecLayout(FolderDataset):
    """`<category>/{train/good, test/good, test/<defect>, ground_truth/<defect>}`.

    A mask is `STEM_mask.*` or `STEM.*` for the image `STEM.*`. Sub-folders are read too.
    """

    layouts: ClassVar[Mapping[str, str]] = {"mvtec": NORMAL}
    """Name of a layout to its folder of normal training images; tried in order."""

    digits: ClassVar[int | None] = None
    """Width of file numbers, where the release numbers each folder from zero without gaps."""

    spellings: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Per category, what copies call a defect's folder to what the release calls it."""

    def layout_at(self, root: Path) -> str | None:
        candidates = list(self._candidates(root))
        for layout, normal in self.layouts.items():
            if any(is_folder(root / c / "train" / normal) for c in candidates):
                return layout
        if any(self._normal_folders(root, c, "train") for c in candidates):
            return next(iter(self.layouts))
        return None

    def has_category(self, root: Path, category: str) -> bool:
        layout = self.layout_at(root)
        if layout is None:
            return False
        if is_folder(root / category / "train" / self.layouts[layout]):
            return True
        return bool(self._normal_folders(root, category, "train"))

    def overlooked(self, root: Path) -> list[Problem]:
        return [
            Problem("warning", "categories", f"{c} is not used as a category: {found}", c)
            for c in self._candidates(root)
            if not self.has_category(root, c) and (found := self._misfit(root, c))
        ]

    def contents(self, folder: Path) -> str:
        whole = folder.absolute()
        if self._normal_folders(whole.parent, whole.name, "train"):
            return f"it is a category itself, give the folder that it lies in, {whole.parent}"
        candidates = self._candidates(folder) if is_folder(folder) else ()
        misfits = filter(None, (self._misfit(folder, c) for c in candidates))
        return next(misfits, None) or super().contents(folder)

    def _misfit(self, root: Path, category: str) -> str | None:
        """What stands in a category's `train` instead of normal images, where it has one."""
        found = self._folders(root, category, "train")
        if not found:
            return None
        more = " and more" * (len(found) > 4)
        return (
            f"{category}/train holds {', '.join(f'{f}/' for f in found[:4])}{more}, "
            f"expected {next(iter(self.layouts.values()))}/"
        )

    def inspect(self, root: Path, category: str) -> Inspection:
        normal = self.layouts[self.layout_at(root) or self.recognise_layout(root)]
        samples, problems = self._train(root, category, normal)
        tested, flaws = self._test(root, category, normal)
        return self.compared(category, samples + tested, problems + flaws)

    def _train(self, root: Path, category: str, normal: str) -> tuple[list[Sample], list[Problem]]:
        where = f"{category}/train"
        folders = self._normal_folders(root, category, "train")
        samples, problems = _normal_samples(root, category, "train", folders, normal)
        if not samples:
            folder = f"{where}/{normal if normal in folders else (*folders, normal)[0]}"
            problems.append(Problem("error", "train", f"{folder} holds no image", folder))
        expected = f"adbench trains on {where}/{normal}"
        return samples, problems + unused_images(root, where, folders, expected)

    def _test(self, root: Path, category: str, normal: str) -> tuple[list[Sample], list[Problem]]:
        normals = self._normal_folders(root, category, "test")
        samples, problems = _normal_samples(root, category, "test", normals, normal)
        truths = list_folders(root / category / "ground_truth")
        place_of = {composed(self._released(category, f)): f for f in truths}
        defects: list[DefectFolder] = []
        for folder in list_folders(root / category / "test"):
            if folder in normals:
                continue
            defect = self._released(category, folder)
            own = read_defect_folder(root, category, folder, place_of.get(composed(defect), folder))
            samples += [
                Sample(category, "test", defect, p, own.masks.get(p), 1) for p in own.images
            ]
            problems += odd_names(own.images) + own.problems
            defects.append(own)
        card = self.card.categories.get(category)
        promised = card is not None and card.test_anomalous is not None
        problems += unmasked_problems(category, defects, promised=promised, normal=normal)
        return samples, problems + self._unused(root, category, normals, defects)

    def _unused(
        self, root: Path, category: str, normals: Sequence[str], defects: Sequence[DefectFolder]
    ) -> list[Problem]:
        """Images beside the folders of test images and masks, and beside the parts."""
        tested = {*normals, *(own.name for own in defects)}
        truths = self._normal_folders(root, category, "ground_truth")
        masked = {*truths, *(own.truth for own in defects)}
        of_test = "test images lie in folders, one a defect and one for normal ones"
        of_truth = f"masks lie in folders called as those of {category}/test"
        of_parts = "adbench reads train, test and ground_truth"
        return [
            *unused_images(root, f"{category}/test", tested, of_test),
            *unused_images(root, f"{category}/ground_truth", masked, of_truth),
            *unused_images(root, category, ("train", "test", "ground_truth"), of_parts),
        ]

    def _released(self, category: str, folder: str) -> str:
        """What the release calls a defect's folder."""
        return self.spellings.get(category, {}).get(folder, folder)

    def _folders(self, root: Path, category: str, split: str) -> list[str]:
        """Folders of one split; none where one may not look."""
        try:
            return list_folders(root / category / split)
        except DataError:
            return []

    def _normal_folders(self, root: Path, category: str, split: str) -> list[str]:
        """Folders of normal images, whatever they are called."""
        folders = self._folders(root, category, split)
        return [f for f in folders if f in self.layouts.values() or is_normal_name(f)]

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
        normal = next(iter(self.layouts.values()))
        moved = {}
        for s in samples:
            for path in filter(None, (s.path, s.mask_path)):
                category, part, folder, name = path.split("/", 3)
                own = self._released(category, folder) if s.label else normal
                if own != folder:
                    moved[path] = f"{category}/{part}/{own}/{name}"
        return moved

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


def _normal_samples(
    root: Path, category: str, split: Split, folders: Sequence[str], normal: str
) -> tuple[list[Sample], list[Problem]]:
    """Rows and problems of the folders of normal images of one split."""
    samples: list[Sample] = []
    problems: list[Problem] = []
    for name in folders:
        folder = f"{category}/{split}/{name}"
        found = read_image_folder(root, folder)
        samples += [Sample(category, split, NORMAL, p, None, 0) for p in found.images]
        problems += [*odd_names(found.images), *found.problems]
        if found.images and name not in (normal, "good", "ok"):
            message = f"the images in {folder} are taken for normal, as if in {split}/{normal}"
            problems.append(Problem("note", "normal folder", message, folder))
    return samples, problems

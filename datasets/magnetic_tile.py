"""MTD: surface defects of magnetic tiles (Huang, Qiu and Yuan, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adbench.contracts import NORMAL, Inspection, Problem, Sample, Split
from adbench.datasets.cards import load_card
from adbench.datasets.folder_dataset import FolderDataset
from adbench.datasets.listing import is_folder, list_folders, read_image_folder, stem, unused_images
from adbench.datasets.masks import odd_names, pair_masks

_NORMAL_FOLDER = "MT_Free"
_TRAIN_FRACTION = 0.8
_TILES = (".jpg", ".jpeg")


class MagneticTile(FolderDataset):
    """MTD as published: `MT_<Kind>/Imgs/NAME.jpg` with the mask `NAME.png` beside it.

    One category. Of the defect-free tiles 80 % train, by a permutation that never changes; the
    rest and all defects are tested.
    """

    card = load_card("magnetic_tile")

    def layout_at(self, root: Path) -> str | None:
        return "magnetic-tile" if is_folder(root / _NORMAL_FOLDER / "Imgs") else None

    def has_category(self, root: Path, category: str) -> bool:
        return self.layout_at(root) is not None

    def inspect(self, root: Path, category: str) -> Inspection:
        samples: list[Sample] = []
        problems: list[Problem] = []
        for folder in list_folders(root):
            if not folder.startswith("MT_"):
                continue
            expected = f"tiles lie in {folder}/Imgs as .jpg, masks as .png"
            found = read_image_folder(root, f"{folder}/Imgs")
            problems += [*found.problems, *unused_images(root, folder, ("Imgs",), expected)]
            images = [p for p in found.images if _suffix(p) in _TILES]
            masks = [p for p in found.images if _suffix(p) == ".png"]
            problems += odd_names(images)
            for path in sorted({*found.images} - {*images, *masks}):
                message = f"{path} is not used: {expected}"
                problems.append(Problem("warning", "unused", message, path))
            if folder == _NORMAL_FOLDER:
                splits = _splits(len(images))
                rows = zip(images, splits, strict=True)
                samples += [Sample(category, split, NORMAL, p, None, 0) for p, split in rows]
                continue
            defect = folder.removeprefix("MT_").lower()
            pairs, flaws = pair_masks(images, masks, f"{folder}/Imgs")
            samples += [Sample(category, "test", defect, p, pairs.get(p), 1) for p in images]
            problems += flaws
        if not any(s.split == "train" for s in samples):
            folder = f"{_NORMAL_FOLDER}/Imgs"
            problems.append(Problem("error", "train", f"{folder} holds too few images", folder))
        return Inspection(tuple(sorted(samples)), tuple(problems))

    def normal_masks(self, root: Path, samples: Sequence[Sample]) -> dict[str, str]:
        """Normal images to the files beside them that would be their masks; all are empty."""
        files = read_image_folder(root, f"{_NORMAL_FOLDER}/Imgs").images
        by_stem = {stem(path): path for path in files if _suffix(path) == ".png"}
        return {s.path: by_stem[stem(s.path)] for s in samples if stem(s.path) in by_stem}


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


def _splits(count: int) -> list[Split]:
    """The split of each defect-free tile, in the order of sorted names. Fixed, never seeded."""
    import numpy as np

    train = set(np.random.default_rng(0).permutation(count)[: int(_TRAIN_FRACTION * count)])
    return ["train" if number in train else "test" for number in range(count)]

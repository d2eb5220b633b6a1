"""VisA: twelve objects (Zou et al., 2022), in any of the three layouts found in the wild."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adbench.contracts import NORMAL, Sample
from adbench.datasets.cards import load_card
from adbench.datasets.image_folder import read_image_folder, unused_images
from adbench.datasets.listing import (
    Inspection,
    Problem,
    is_folder,
    list_folders,
    numbered,
    odd_names,
    pair_masks,
)
from adbench.datasets.mvtec_layout import MVTecLayout
from adbench.datasets.normal_masks import masks_of_normals
from adbench.datasets.visa_split import SPLIT_FILE, normal_names, one_class_split
from adbench.errors import DataError

DEFECT = "anomaly"
"""The one defect of every category, whatever the layout calls it."""

_RAW = "visa-raw"
_NORMAL = "Data/Images/Normal"
_ANOMALY = "Data/Images/Anomaly"
_MASKS = "Data/Masks/Anomaly"
_USED = {
    "": ("Data",),
    "Data": ("Images", "Masks"),
    "Data/Images": ("Normal", "Anomaly"),
    "Data/Masks": ("Anomaly",),
}
"""What the archive holds in each folder of a category."""


class VisA(MVTecLayout):
    """VisA with its 1-class split.

    Layouts: `visa-raw` (the archive as it is), `visa-1cls` (as the authors' script arranges it:
    `good` and `bad`), `visa-ok-ko` (the same with `ok` and `ko`). The 2-class splits are another
    task, with anomalies in training, and are refused.
    """

    card = load_card("visa")
    layouts = {"visa-1cls": "good", "visa-ok-ko": "ok"}

    def layout_at(self, root: Path) -> str | None:
        if any(is_folder(root / c / _NORMAL) for c in self.card.categories):
            return _RAW
        return super().layout_at(root)

    def has_category(self, root: Path, category: str) -> bool:
        if self.layout_at(root) == _RAW:
            return is_folder(root / category / _NORMAL)
        return super().has_category(root, category)

    def recognise_layout(self, root: Path) -> str:
        """The layout's name; raises `DataError` for none, and for a 2-class split."""
        layout = super().recognise_layout(root)
        for category in self.card.categories if layout != _RAW else ():
            folders = [f"{category}/train/{f}" for f in list_folders(root / category / "train")]
            filled = [f for f in folders if read_image_folder(root, f).images]
            if len(filled) > 1:
                raise DataError(
                    f"{root} holds training images in {' and '.join(filled)}: that is a 2-class "
                    "split of VisA; expected the 1-class split. Point --data-root at the archive "
                    f"as it is, or arrange it with {SPLIT_FILE}"
                )
        return layout

    def inspect(self, root: Path, category: str) -> Inspection:
        if self.layout_at(root) == _RAW:
            return self._inspect_raw(root, category)
        found = super().inspect(root, category)
        samples = tuple(replace(s, defect=DEFECT) if s.label else s for s in found.samples)
        return replace(found, samples=samples)

    def normal_masks(self, root: Path, samples: Sequence[Sample]) -> dict[str, str]:
        if self.layout_at(root) != _RAW:
            return super().normal_masks(root, samples)
        paths = [s.path for s in samples]
        return masks_of_normals(root, paths, lambda f: f.replace("/Images/", "/Masks/", 1))

    def release_names(self, category: str) -> set[str] | None:
        card = self.card.categories[category]
        normal = {f"{category}/{_NORMAL}/{name}" for name in normal_names(card)}
        return normal | numbered(f"{category}/{_ANOMALY}", card.test_anomalous or 0, 3)

    def release_paths(self, samples: list[Sample]) -> dict[str, str]:
        moved = {}
        for s in samples:
            folder = _ANOMALY if s.label else _NORMAL
            moved[s.path] = f"{s.category}/{folder}/{Path(s.path).name}"
            if s.mask_path is not None:
                moved[s.mask_path] = f"{s.category}/{_MASKS}/{Path(s.mask_path).name}"
        return moved

    def _inspect_raw(self, root: Path, category: str) -> Inspection:
        normal = read_image_folder(root, f"{category}/{_NORMAL}")
        anomalous = read_image_folder(root, f"{category}/{_ANOMALY}")
        masks = read_image_folder(root, f"{category}/{_MASKS}")
        split, notes = one_class_split(root, category, self.card.categories[category])
        pairs, problems = pair_masks(anomalous.images, masks.images, f"{category}/{_MASKS}")
        problems += [*notes, *normal.problems, *anomalous.problems, *masks.problems]
        samples = [Sample(category, "test", DEFECT, p, pairs.get(p), 1) for p in anomalous.images]
        for path in normal.images:
            name = Path(path).stem
            if name in split:
                samples.append(Sample(category, split[name], NORMAL, path, None, 0))
            else:
                message = f"{path} is not in the 1-class split ({SPLIT_FILE})"
                problems.append(Problem("error", "split", message, path))
        if not any(s.split == "train" for s in samples):
            folder = f"{category}/{_NORMAL}"
            problems.append(Problem("error", "train", f"{folder} holds no training image", folder))
        problems += odd_names([*normal.images, *anomalous.images]) + _unused(root, category)
        return self.compared(category, samples, problems)


def _unused(root: Path, category: str) -> list[Problem]:
    """Images beside those that the archive holds."""
    problems = []
    for place, used in _USED.items():
        expected = f"VisA has {' and '.join(used)} there"
        folder = f"{category}/{place}" if place else category
        problems += unused_images(root, folder, used, expected)
    return problems

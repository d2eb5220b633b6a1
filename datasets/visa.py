"""VisA: twelve objects (Zou et al., 2022), in any of the three layouts found in the wild.

Which normal images train is the data set's own 1-class split, which the archive lists in
`split_csv/1cls.csv`. Where that file is absent the split is computed: the list equals, for all
twelve categories, the sorted names shuffled by Python's generator with seed 998, of which the first
`train_good` train. The card's digest of the training paths proves it each time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from adbench.contracts import NORMAL, CategoryCard, Inspection, Problem, Sample, Split
from adbench.datasets.cards import load_card
from adbench.datasets.listing import (
    is_folder,
    list_folders,
    numbered,
    read_image_folder,
    stem,
    unused_images,
)
from adbench.datasets.masks import masks_of_normals, odd_names, pair_masks
from adbench.datasets.mvtec_layout import MVTecLayout
from adbench.datasets.text_files import read_text
from adbench.errors import DataError, shortened

SPLIT_FILE = "split_csv/1cls.csv"
_SEED = 998
_COLUMNS = ("object", "split", "label", "image", "mask")
_VALUES = {"split": ("train", "test"), "label": ("normal", "anomaly")}


def one_class_split(
    root: Path, category: str, card: CategoryCard
) -> tuple[dict[str, Split], list[Problem]]:
    """Stem of each normal image of a category to its split, and notes about the split file.

    Raises:
        DataError: the split file at `root` cannot be read or is another split, or there is none
            and the computed split is not the card's.
    """
    file = root / SPLIT_FILE
    if os.path.lexists(file):
        return _read(file, category)
    return _computed(category, card), []


def _read(file: Path, category: str) -> tuple[dict[str, Split], list[Problem]]:
    split: dict[str, Split] = {}
    lines: dict[str, int] = {}
    notes: list[Problem] = []
    for line, row in _rows(file):
        image = row["image"]
        if row["split"] == "train" and row["label"] != "normal":
            raise DataError(
                f"{file} trains on anomalies (line {line}: {shortened(image)}): that is a 2-class "
                "split; expected the archive's own 1cls.csv. Restore it, or remove the file: the "
                "1-class split is then computed"
            )
        if "\\" in image and not notes:
            message = f"{SPLIT_FILE}: the backslashes of line {line} are read as slashes"
            notes.append(Problem("note", "split", message, SPLIT_FILE))
        path = image.replace("\\", "/")
        if path.startswith("/") or ".." in path.split("/") or not PurePosixPath(path).name:
            raise _unreadable(file, f"line {line} has the image {shortened(image)!r}")
        if PurePosixPath(path).parent.name.lower() in {*_VALUES["label"]} - {row["label"]}:
            what = f"line {line} calls {shortened(path)} {row['label']}"
            raise _unreadable(file, what)
        if row["object"] != category or row["label"] != "normal":
            continue
        first = lines.setdefault(stem(path), line)
        if first != line:
            raise _unreadable(file, f"lines {first} and {line} are of one image, {path}")
        split[stem(path)] = "train" if row["split"] == "train" else "test"
    return split, notes


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by its columns' names, with the number of its last line."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not set(_COLUMNS) <= set(header):
            found = shortened(", ".join(header)) or "nothing"
            raise _unreadable(file, f"line 1 names the columns {found}")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise _unreadable(
                    file, f"line {reader.line_num} has {len(row)} of {len(header)} columns"
                )
            named = dict(zip(header, (value.strip() for value in row), strict=True))
            for column, valid in _VALUES.items():
                if named[column] not in valid:
                    found = f"{column} {shortened(named[column])!r}, not {' or '.join(valid)}"
                    raise _unreadable(file, f"line {reader.line_num} has the {found}")
            yield reader.line_num, named
    except csv.Error as error:
        raise _unreadable(file, f"line {reader.line_num}: {error}") from None


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except ValueError as error:
        raise _unreadable(file, str(error)) from None


def _unreadable(file: Path, why: str) -> DataError:
    return DataError(
        f"{file} cannot be read ({why}); expected columns {', '.join(_COLUMNS)} as UTF-8 text, "
        "with paths relative to the data set. Restore it from the archive, or remove it: the "
        "1-class split is then computed"
    )


def _computed(category: str, card: CategoryCard) -> dict[str, Split]:
    num_train = card.train_good or 0
    names = normal_names(card)
    random.Random(_SEED).shuffle(names)
    paths = sorted(f"{category}/Data/Images/Normal/{name}.JPG" for name in names[:num_train])
    if hashlib.sha256("\n".join(paths).encode()).hexdigest() != card.train_paths_sha256:
        raise DataError(
            f"the 1-class split of {category} cannot be computed with this version of Python; "
            f"put {SPLIT_FILE} of the VisA archive beside the category folders"
        )
    return {name: "train" if i < num_train else "test" for i, name in enumerate(names)}


def normal_names(card: CategoryCard) -> list[str]:
    """Stems of all normal images of a category: numbered from zero, as wide as their count."""
    count = (card.train_good or 0) + (card.test_good or 0)
    return [f"{number:0{len(str(count))}d}" for number in range(count)]


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

"""Which of VisA's normal images train: the data set's own 1-class split.

The archive lists it in `split_csv/1cls.csv`. Where that file is absent the split is computed:
the list equals, for all twelve categories, the sorted names shuffled by Python's generator with
seed 998, of which the first `train_good` train. The card's digest of the training paths proves
it each time.
"""

from __future__ import annotations

import csv
import hashlib
import random
from pathlib import Path

from adbench.contracts import CategoryCard, Split
from adbench.datasets.listing import stem
from adbench.errors import DataError

SPLIT_FILE = "split_csv/1cls.csv"
_SEED = 998


def one_class_split(root: Path, category: str, card: CategoryCard) -> dict[str, Split]:
    """Stem of each normal image of a category to its split.

    Raises:
        DataError: the split file at `root` cannot be read or is another split, or there is none
            and the computed split is not the card's.
    """
    file = root / SPLIT_FILE
    return _read(file, category) if file.is_file() else _computed(category, card)


def _read(file: Path, category: str) -> dict[str, Split]:
    split: dict[str, Split] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                train = row["split"] == "train"
                if train and row["label"] != "normal":
                    raise DataError(
                        f"{file} trains on anomalies ({row['image']}): that is a 2-class split; "
                        "expected the archive's own 1cls.csv. Restore it, or remove the file: "
                        "the 1-class split is then computed"
                    )
                if row["object"] == category and row["label"] == "normal":
                    split[stem(row["image"])] = "train" if train else "test"
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file} cannot be read ({type(error).__name__}: {error}); expected columns object, "
            "split, label, image, mask. Restore it from the archive, or remove it"
        ) from None
    return split


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

"""Which of VisA's normal images train: the data set's own 1-class split.

The archive lists it in `split_csv/1cls.csv`. Where that file is absent the split is computed:
the list equals, for all twelve categories, the sorted names shuffled by Python's generator with
seed 998, of which the first `train_good` train. The card's digest of the training paths proves
it each time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from adbench.contracts import CategoryCard, Split
from adbench.datasets.listing import Problem, stem
from adbench.errors import DataError, shortened
from adbench.store.regular_files import open_regular

SPLIT_FILE = "split_csv/1cls.csv"
_SEED = 998
_COLUMNS = ("object", "split", "label", "image", "mask")
_VALUES = {"split": ("train", "test"), "label": ("normal", "anomaly")}
_MOST_BYTES = 64_000_000


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
    """The file's text; of a regular file only, since a pipe would wait for ever."""
    try:
        with open_regular(file) as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or type(error).__name__) from None
    if len(content) > _MOST_BYTES:
        raise _unreadable(file, f"it has more than {_MOST_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(file, f"line {line} is not UTF-8: save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _unreadable(file, f"line {line} holds a null byte: save it as UTF-8")
    return text


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

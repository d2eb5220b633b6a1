"""Training images only: a data set without its test half, and the normals that are set aside."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

from adbench.contracts import Sample
from adbench.data.selection import DataSelection, choose_categories, refuse_unknown
from adbench.errors import DataError, UsageError
from adbench.registry import load_dataset
from adbench.selectors import parse_dataset
from adbench.store.files import digest
from adbench.text import counted

FRACTION = 0.1
"""Of each category's training images; the paper does not say."""
MIN_HELD_OUT = 10
"""Fewer give an AUROC too coarse to choose by; but half of the images are always trained on."""
MIN_TRAINING = 4
"""Two to cut from and paste onto, two to learn from."""


def training_selection(
    text: str, data_root: Path | None, *, limit: int | None, index_folder: Path
) -> DataSelection:
    """Resolve `NAME[:CATEGORY,...]` to training images; no test image is in what comes back.

    File names of the test half are listed, as the data set's table has them, and forgotten;
    none of its files is opened.

    Raises:
        UsageError: an impossible limit, or a name that nothing has.
        DataError: the data set or a category is missing, or has too few training images.
    """
    if limit is not None and limit < MIN_TRAINING:
        raise UsageError(f"--limit {limit}: expected {MIN_TRAINING} or more training images")
    reference, wanted = parse_dataset(text)
    dataset = load_dataset(reference)
    refuse_unknown(dataset, wanted, dataset.card.categories)
    root = dataset.find_root(data_root)
    categories = choose_categories(dataset, dataset.available_categories(root), wanted)
    rows = sorted(s for s in dataset.samples(root, categories) if s.split == "train")
    samples = {c: tuple([s for s in rows if s.category == c][:limit]) for c in categories}
    if not samples:
        raise DataError(f"{dataset.card.name}: no category found in {root}")
    for category, own in samples.items():
        if len(own) < MIN_TRAINING:
            found = counted(len(own), "training image")
            raise DataError(
                f"{dataset.card.name}:{category} has {found} under {root}; "
                f"choosing on held-out ones needs {MIN_TRAINING} or more: add some, or select "
                f"other categories with --dataset {reference}:CATEGORY,..."
            )
    return DataSelection(
        reference=reference,
        dataset=dataset,
        root=root,
        layout=dataset.recognise_layout(root),
        categories=categories,
        complete=wanted is not None or set(dataset.card.categories) <= set(categories),
        samples=samples,
        limit=limit,
        quick_findings=(),
        index_folder=index_folder,
    )


def split_normals(
    samples: Sequence[Sample], fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Normals to fit on and normals held out, category by category, each in the given order.

    Of a category's N images max(ceil(fraction N), 10) are held out, at most half. Which ones is a
    function of the seed, the category and the names alone.

    Args:
        samples: training images, `MIN_TRAINING` or more of each category.
        fraction: in (0, 0.5].
        seed: of the choice.
    """
    fitted: list[Sample] = []
    held_out: list[Sample] = []
    for category in dict.fromkeys(s.category for s in samples):
        own = [s for s in samples if s.category == category]
        count = min(max(math.ceil(fraction * len(own)), MIN_HELD_OUT), len(own) // 2)
        names = sorted(s.path for s in own)
        drawn = set(random.Random(digest([seed, "held-out", category])).sample(names, count))
        fitted += [s for s in own if s.path not in drawn]
        held_out += [s for s in own if s.path in drawn]
    return fitted, held_out

"""The pseudo-validation set as a data selection: normals are held out from the training images,
and these, and the same with fragments of each other, are its test images.

A fragment is cut from one normal image with a random mask and pasted, with hard edges, onto
another one of the same category; the pasted pixels are the ground truth (LafitE, section 3.4).
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adbench.code_digest import modules_digest
from adbench.contracts import NORMAL, Geometry, Images, Sample
from adbench.data.cache import DiskCache
from adbench.data.findings import Finding
from adbench.data.images import MaskRule, Masks
from adbench.data.selection import DataSelection, find_categories
from adbench.errors import DataError, UsageError
from adbench.registry import NOTHING_SAID, OwnWords
from adbench.select.shapes import random_mask
from adbench.store.files import digest
from adbench.text import counted

FRACTION = 0.1
"""Of each category's training images to hold out; the paper does not say."""
MIN_HELD_OUT = 10
"""Fewer give an AUROC too coarse to choose by; but half of the images are always trained on."""
MIN_TRAINING = 4
"""Two to cut from and paste onto, two to learn from."""
PER_NORMAL = 2
"""Synthetic anomalies per held-out normal."""
MAX_FRAGMENTS = 2
"""An anomaly has one to so many fragments."""
MIN_CHANGE = 0.03
"""Mean absolute change of RGB, in [0, 1], inside a fragment: background pasted on background is
no anomaly."""
TRIES = 50
"""Fragments drawn until one changes enough; else the one that changes most is taken."""
DEFECT = "fragment"

Pixels = NDArray[np.uint8]


class PseudoSet(NamedTuple):
    """Test images and their ground truth, category by category, normals first.

    `faint`: per category, synthetic images with a fragment that changes less than `MIN_CHANGE`.
    """

    images: Images
    masks: Masks
    faint: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class PseudoData(DataSelection):
    """The held-out normals of `source` and what is made of them as its test images.

    Attributes:
        source: all normals.
        fraction: of each category's normals that is held out.
        seed: of the choice and of the fragments.
    """

    source: DataSelection
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Not the data set's own: these are no scores on its test images."""
        return f"{self.source.name}-pseudo"

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """None: doubts are about images that nobody opens here."""
        return ()

    @cached_property
    def _digest_of(self) -> dict[str, str]:
        """Of a synthetic file, what it is made with; what of stands beside it, the normals."""
        known, recipe = self.source._digest_of, recipe_digest()
        test = self.split(self.categories, "test")
        made = {path for s in test for path in (s.path, s.mask_path) if path} - set(known)
        return known | {path: digest([recipe, self.seed, path]) for path in made}

    def images(self, samples: Sequence[Sample], geometry: Geometry, cache: DiskCache) -> Images:
        """As `DataSelection.images`; of test images all of each category."""
        if any(sample.split == "test" for sample in samples):
            return self.made(samples, geometry, cache).images
        return super().images(samples, geometry, cache)

    def masks(
        self, samples: Sequence[Sample], geometry: Geometry, rule: MaskRule, cache: DiskCache
    ) -> Masks:
        """Of all test images of each category; made at the size of the images, so under no rule."""
        return self.made(samples, geometry, cache).masks

    def made(self, samples: Sequence[Sample], geometry: Geometry, cache: DiskCache) -> PseudoSet:
        """The whole set of the categories of these test images."""
        normals = [s for s in samples if s.label == 0]
        return pseudo_set(super().images(normals, geometry, cache), self.seed, cache)


def training_selection(
    text: str,
    data_root: Path | None,
    *,
    limit: int | None,
    index_folder: Path,
    said: OwnWords = NOTHING_SAID,
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
    reference, dataset, root, categories, complete = find_categories(text, data_root, said)
    rows = sorted(s for s in dataset.samples(root, categories) if s.split == "train")
    samples = {c: tuple([s for s in rows if s.category == c][:limit]) for c in categories}
    if not samples:
        raise DataError(f"{dataset.card.name}: no category found in {root}")
    for category, own in samples.items():
        if len(own) < MIN_TRAINING:
            raise DataError(
                f"{dataset.card.name}:{category} has {counted(len(own), 'training image')} under "
                f"{root}; choosing on held-out ones needs {MIN_TRAINING} or more: add some, or "
                f"select other categories with --dataset {reference}:CATEGORY,..."
            )
    return DataSelection(
        reference=reference,
        dataset=dataset,
        root=root,
        layout=dataset.recognise_layout(root),
        categories=categories,
        complete=complete,
        samples=samples,
        limit=limit,
        quick_findings=(),
        index_folder=index_folder,
    )


def pseudo_data(source: DataSelection, fraction: float, seed: int) -> PseudoData:
    """Hold out a part of the normals of each category, and what is made of it."""
    samples = {}
    for category, own in source.samples.items():
        fitted, held_out = split_normals(own, fraction, seed)
        test = [sample for _, _, sample in _rows([(s.category, s.path) for s in held_out])]
        samples[category] = (*fitted, *test)
    kept = {f.name: getattr(source, f.name) for f in fields(source)}
    kept |= {"samples": samples, "source": source, "fraction": fraction, "seed": seed}
    return PseudoData(**kept)


def split_normals(
    samples: Sequence[Sample], fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Normals to fit on and normals held out, category by category, each in the given order.

    Of a category's N images max(ceil(fraction N), 10) are held out, at most half. Which ones is a
    function of the seed, the category and the names alone.
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


def recipe_digest() -> str:
    """Digest of the code that makes the set."""
    return modules_digest(__name__, "adbench.select.shapes")


def pseudo_set(normals: Images, seed: int, cache: DiskCache) -> PseudoSet:
    """Make the set from held-out normals, two or more of each category, or take it from the cache.

    An image's fragments are a function of the seed, its name and its category.
    """
    rows = list(_rows(list(zip(normals.categories, normals.ids, strict=True))))
    size = normals.pixels.shape[1]
    key = digest(["pseudo", recipe_digest(), normals.key, normals.ids, normals.categories, seed])

    def fill(array: NDArray[Any]) -> None:
        for place, (target, number, _) in enumerate(rows):
            pixels = normals.pixels[target]
            if number is None:
                array[place] = (pixels, np.zeros((size, size), bool), False)
            else:
                rng = _generator(seed, normals.ids[target], number)
                array[place] = _with_fragments(pixels, _others(normals, target), rng)

    dtype = f"({size},{size},3)u1,({size},{size})?,?"
    array = cache.array(key, (len(rows),), dtype, fill)
    samples = [sample for _, _, sample in rows]
    regions = np.array([sample.label for sample in samples], np.int32)
    faint = {c: 0 for c in dict.fromkeys(normals.categories)}
    for sample, is_faint in zip(samples, array["f2"], strict=True):
        faint[sample.category] += int(is_faint)
    return PseudoSet(
        Images(array["f0"], tuple(s.path for s in samples), tuple(s.category for s in samples)),
        Masks(array["f1"], regions, regions, ()),
        faint,
    )


def _rows(normals: Sequence[tuple[str, str]]) -> Iterator[tuple[int, int | None, Sample]]:
    """The test images made of (category, name) of each normal: the index of that normal, the
    number of the anomaly or None, and the row of the table."""
    for category in dict.fromkeys(category for category, _ in normals):
        own = [(i, name) for i, (c, name) in enumerate(normals) if c == category]
        yield from ((i, None, Sample(category, "test", NORMAL, name, None, 0)) for i, name in own)
        for number in range(PER_NORMAL):
            for i, name in own:
                made = f"{name}#{DEFECT}-{number}"
                yield i, number, Sample(category, "test", DEFECT, made, f"{made}-mask", 1)


def _others(normals: Images, target: int) -> list[Pixels]:
    """The other images of the target's category."""
    category = normals.categories[target]
    same = [i for i, c in enumerate(normals.categories) if c == category and i != target]
    return [normals.pixels[i] for i in same]


def _generator(seed: int, *purpose: str | int) -> np.random.Generator:
    text = "/".join(map(str, (seed, "fragment", *purpose)))
    return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


def _with_fragments(
    target: Pixels, sources: Sequence[Pixels], rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.bool_], bool]:
    """The image with one or two fragments, where they are, and whether one is faint."""
    pixels, mask, is_faint = target.copy(), np.zeros(target.shape[:2], bool), False
    for _ in range(rng.integers(1, MAX_FRAGMENTS + 1)):
        change = _paste(pixels, mask, sources, rng)
        is_faint |= change < MIN_CHANGE
    return pixels, mask, is_faint


def _paste(
    pixels: Pixels, mask: NDArray[np.bool_], sources: Sequence[Pixels], rng: np.random.Generator
) -> float:
    """Paste one fragment, in place; gives its mean absolute change."""
    best: tuple[float, tuple[slice, slice], NDArray[np.bool_], Pixels] | None = None
    for _ in range(TRIES):
        shape = random_mask(len(pixels), rng)
        source = sources[int(rng.integers(len(sources)))]
        cut = source[_place(shape.shape, len(pixels), rng)]
        place = _place(shape.shape, len(pixels), rng)
        difference = cut[shape].astype(np.float64) - pixels[place][shape]
        change = float(np.abs(difference).mean()) / 255
        if best is None or change > best[0]:
            best = (change, place, shape, cut)
        if change >= MIN_CHANGE:
            break
    assert best is not None
    change, place, shape, cut = best
    pixels[place][shape] = cut[shape]
    mask[place] |= shape
    return change


def _place(shape: tuple[int, ...], size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Where a box of this shape lies wholly inside the image."""
    top, left = (int(rng.integers(size - side + 1)) for side in shape)
    return slice(top, top + shape[0]), slice(left, left + shape[1])

"""The pseudo-validation set: held-out normals, and the same with fragments of each other.

A fragment is cut from one normal image with a random mask and pasted, with hard edges, onto
another one of the same category; the pasted pixels are the ground truth (LafitE, section 3.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbench.code_digest import modules_digest
from adbench.contracts import Images, Sample
from adbench.data.cache import DiskCache
from adbench.data.images import Masks
from adbench.select.shapes import random_mask
from adbench.store.files import digest

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


@dataclass(frozen=True)
class PseudoSet:
    """Images with known labels and masks, category by category, normals first.

    Attributes:
        images: (N, S, S, 3); a synthetic image is named after the normal it was pasted onto.
        samples: N, label 1 and defect "fragment" for the synthetic ones.
        masks: ground truth at side S.
        faint: per category, synthetic images with a fragment that changes less than `MIN_CHANGE`.
    """

    images: Images
    samples: tuple[Sample, ...]
    masks: Masks
    faint: dict[str, int]


def recipe_digest() -> str:
    """Digest of the code that makes the set."""
    return modules_digest(__name__, "adbench.select.shapes", "adbench.select.held_out")


def pseudo_set(normals: Images, seed: int, cache: DiskCache) -> PseudoSet:
    """Make the set from held-out normals, or take it from the cache.

    Args:
        normals: grouped by category, two or more of each.
        seed: of the fragments; an image's are a function of it, its name and its category.
        cache: keyed by the normals, the seed and the recipe.
    """
    rows = list(_rows(normals))
    size = normals.pixels.shape[1]
    key = digest(["pseudo", recipe_digest(), normals.key, normals.ids, normals.categories, seed])

    def fill(array: NDArray[Any]) -> None:
        for place, (target, number) in enumerate(rows):
            pixels = normals.pixels[target]
            if number is None:
                array[place] = (pixels, np.zeros((size, size), bool), False)
            else:
                rng = _generator(seed, normals.ids[target], number)
                array[place] = _with_fragments(pixels, _others(normals, target), rng)

    dtype = f"({size},{size},3)u1,({size},{size})?,?"
    array = cache.array(key, (len(rows),), dtype, fill)
    samples = tuple(_sample(normals, target, number) for target, number in rows)
    counts = np.array([number is not None for _, number in rows], np.int32)
    faint = {c: 0 for c in dict.fromkeys(normals.categories)}
    for sample, is_faint in zip(samples, array["f2"], strict=True):
        faint[sample.category] += int(is_faint)
    return PseudoSet(
        Images(array["f0"], tuple(s.path for s in samples), tuple(s.category for s in samples)),
        samples,
        Masks(array["f1"], counts, counts, ()),
        faint,
    )


def _rows(normals: Images) -> Iterator[tuple[int, int | None]]:
    """(index of the normal, None) and (index of the target, number of the anomaly)."""
    for category in dict.fromkeys(normals.categories):
        own = [i for i, c in enumerate(normals.categories) if c == category]
        yield from ((i, None) for i in own)
        yield from ((i, number) for number in range(PER_NORMAL) for i in own)


def _sample(normals: Images, target: int, number: int | None) -> Sample:
    name, category = normals.ids[target], normals.categories[target]
    if number is None:
        return Sample(category, "train", "good", name, None, 0)
    made = f"{name}#{DEFECT}-{number}"
    return Sample(category, "train", DEFECT, made, f"{made}-mask", 1)


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

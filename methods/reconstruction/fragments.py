"""Normals with a fragment of another normal pasted onto them: anomalies that need no label."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adbench.contracts import Images

COPIES = 2
"""Of each image, each with a fragment of its own."""
AXES = (10 / 224, 80 / 224)
"""Shortest and longest axis of a fragment, in sides of the image; log-uniform between."""
MIN_CHANGE = 0.03 * 255
"""Mean absolute change of RGB levels: background pasted on background is no anomaly."""
TRIES = 50
"""Fragments drawn until one changes enough; else the one that changes most is taken."""


def with_fragments(normals: Images, rng: np.random.Generator) -> Images:
    """`COPIES` of each image, each with an ellipse cut from another image of its category, or from
    itself where there is none, pasted at another place with hard edges."""
    pixels = np.concatenate([np.array(normals.pixels)] * COPIES)
    for place, image in enumerate(pixels):
        target = place % len(normals)
        category = normals.categories[target]
        same = [i for i, name in enumerate(normals.categories) if name == category]
        others = [i for i in same if i != target] or same
        _paste(image, normals.pixels[others], rng)
    names = tuple(f"{name}#{copy}" for copy in range(COPIES) for name in normals.ids)
    return Images(pixels, names, normals.categories * COPIES)


def _paste(image: NDArray[np.uint8], sources: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Paste one fragment onto an image (H, H, 3), in place."""
    size, strongest = len(image), -1.0
    for _ in range(TRIES):
        height, width = np.exp(rng.uniform(math.log(AXES[0]), math.log(AXES[1]), 2)) * size
        mask = _ellipse(height, width)
        place, origin = (_box(mask.shape, size, rng) for _ in range(2))
        cut = sources[rng.integers(len(sources))][origin]
        change = float(np.abs(cut[mask].astype(np.float64) - image[place][mask]).mean())
        if change > strongest:
            strongest, chosen = change, (place, mask, cut)
        if change >= MIN_CHANGE:
            break
    place, mask, cut = chosen
    image[place][mask] = cut[mask]


def _ellipse(height: float, width: float) -> NDArray[np.bool_]:
    """Its mask, cut to the bounding box."""
    rows, columns = (
        np.linspace(-1, 1, max(2, math.ceil(axis)) + 2)[1:-1] for axis in (height, width)
    )
    inside: NDArray[np.bool_] = np.hypot(rows[:, None], columns) <= 1
    return inside


def _box(shape: tuple[int, ...], size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Where a box of this shape lies wholly inside the image."""
    top, left = (int(rng.integers(size - side + 1)) for side in shape)
    return slice(top, top + shape[0]), slice(left, left + shape[1])

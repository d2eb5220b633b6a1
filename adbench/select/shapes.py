"""Random masks of different shapes and sizes, rotated and combined (LafitE, section 3.4).

The paper names no shape and no size. All lengths are in pixels of an image of side 224 and scale
with the side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter

REFERENCE_SIDE = 224
SIDES = (10.0, 80.0)
"""Shortest and longest side of a shape; log-uniform between."""
BAR_WIDTHS = (2.0, 8.0)
MAX_SHAPES = 3
"""A mask is the union of one to so many shapes."""
SPREAD = 20.0
"""How far, along each axis, the centre of a further shape may lie from the first one's."""
MIN_PIXELS = 4
"""A smaller mask is drawn again: on small images a thin bar may fall between the pixels."""

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shape = Callable[[Plane, Plane, float, np.random.Generator], Mask]


def random_mask(size: int, rng: np.random.Generator) -> Mask:
    """A mask cut to its bounding box, bool (h, w), for images of side `size` >= 8 pixels."""
    scale = size / REFERENCE_SIDE
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    while True:
        union = np.zeros((size, size), bool)
        for number in range(rng.integers(1, MAX_SHAPES + 1)):
            spread = SPREAD * scale if number else 0.0
            down, across = rng.uniform(-spread, spread, 2)
            shape = SHAPES[rng.integers(len(SHAPES))]
            union |= shape(*_turned(y - down, x - across, rng), scale, rng)
        if union.sum() >= MIN_PIXELS:
            box: Mask = union[find_objects(union.astype(np.uint8))[0]]
            return box


def rectangle(y: Plane, x: Plane, scale: float, rng: np.random.Generator) -> Mask:
    """Two independent sides."""
    height, width = _side(scale, rng), _side(scale, rng)
    inside: Mask = (np.abs(y) <= height / 2) & (np.abs(x) <= width / 2)
    return inside


def ellipse(y: Plane, x: Plane, scale: float, rng: np.random.Generator) -> Mask:
    """Two independent axes."""
    height, width = _side(scale, rng), _side(scale, rng)
    inside: Mask = np.hypot(2 * y / height, 2 * x / width) <= 1
    return inside


def polygon(y: Plane, x: Plane, scale: float, rng: np.random.Generator) -> Mask:
    """Three to six corners on an ellipse: triangles and other convex polygons."""
    height, width = _side(scale, rng), _side(scale, rng)
    angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 7)))
    corners = np.stack([np.sin(angles) * height / 2, np.cos(angles) * width / 2], axis=1)
    inside = np.ones(y.shape, bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
    return inside


def bar(y: Plane, x: Plane, scale: float, rng: np.random.Generator) -> Mask:
    """Long and thin: a scar."""
    width = max(1.0, rng.uniform(*BAR_WIDTHS) * scale)
    inside: Mask = (np.abs(y) <= width / 2) & (np.abs(x) <= _side(scale, rng) / 2)
    return inside


def blob(y: Plane, x: Plane, scale: float, rng: np.random.Generator) -> Mask:
    """A dome plus smooth noise, thresholded: an irregular outline."""
    side = _side(scale, rng)
    noise = gaussian_filter(rng.standard_normal(y.shape), side / 6, mode="wrap")
    noise /= max(float(noise.std()), 1e-12)
    radius = np.hypot(y, x) / (side / 2)
    inside: Mask = (1 - radius**2 + 0.5 * noise > 0.3) & (radius <= 1.25)
    return inside


SHAPES: tuple[Shape, ...] = (rectangle, ellipse, polygon, bar, blob)


def _side(scale: float, rng: np.random.Generator) -> float:
    low, high = SIDES
    return max(2.0, math.exp(rng.uniform(math.log(low), math.log(high))) * scale)


def _turned(y: Plane, x: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    angle = rng.uniform(0, 2 * math.pi)
    return math.cos(angle) * y - math.sin(angle) * x, math.sin(angle) * y + math.cos(angle) * x

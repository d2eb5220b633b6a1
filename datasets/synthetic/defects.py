"""Damage to surfaces: scratch, hole, rust, dent. Each alters buffers and returns where.

A weight below `_FAINT` is taken as zero, so that the buffers are untouched outside what is
returned and the mask is exact. Missing, misplaced and bent pieces are the parts' own matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from adbench.datasets.synthetic.canvas import (
    FINE,
    SIZE,
    Bools,
    Floats,
    Frame,
    Scene,
    box,
    image_frame,
    ramp,
    sample,
    uniform,
)

_FAINT = 0.12


def scratch(scene: Scene, rng: np.random.Generator, strength: float) -> Bools:
    """One to three curved grooves of bare metal with raised lips."""
    axes = _place(scene, rng, margin=6)
    altered = np.zeros((FINE, FINE), bool)
    level = _level(scene, axes)
    reach, axes = axes.around(60)
    scene, window = scene.window(reach), altered[reach]
    for _ in range(1 + int(rng.integers(0, 3)) if strength > 0.7 else 1):
        curve = uniform(rng, -0.004, 0.004)
        half_length = uniform(rng, 0.8, 1.2) * (10 + 28 * strength)
        half_width = uniform(rng, 0.8, 1.2) * (0.55 + 0.75 * strength)
        stroke = axes.moved(0, uniform(rng, -5, 5), uniform(rng, -0.12, 0.12))
        taper = 1 - stroke.u * stroke.u / (half_length * half_length)
        across = stroke.v - curve * stroke.u * stroke.u
        ragged = 1 + 0.5 * sample("grain", stroke, rng)
        width = np.maximum(half_width * taper * ragged, 0.05)
        groove = np.where(taper > 0, ramp(1.5 - np.abs(across) / width), 0)
        lip = np.where(taper > 0, ramp(1.2 - 1.6 * np.abs(np.abs(across) / width - 1.4)), 0)
        where = ((groove > _FAINT) | (lip > _FAINT)) & _same_surface(scene, level)
        _groove(scene, where, groove, lip, strength)
        window |= where
    return altered


def _groove(scene: Scene, where: Bools, groove: Floats, lip: Floats, strength: float) -> None:
    inside = groove[where]
    scene.height[where] += (0.45 * lip[where] - 1.1 * inside) * (0.35 + 1.1 * strength)
    scene.tone[where] *= 1 + inside * (0.1 + 0.9 * strength)
    scene.gloss[where] += (0.9 - scene.gloss[where]) * inside * 0.8
    scene.bump[where] *= 1 - 0.9 * inside
    scene.rust[where] *= 1 - inside


def hole(scene: Scene, rng: np.random.Generator, strength: float) -> Bools:
    """A ragged, deep pit, as a blow-hole or a stray drill leaves it."""
    axes = _place(scene, rng, margin=9)
    radius = uniform(rng, 0.85, 1.15) * (1.6 + 6.5 * strength)
    stretched = Frame(axes.u * uniform(rng, 0.7, 1.0), axes.v, axes.angle)
    distance = np.sqrt(stretched.u * stretched.u + stretched.v * stretched.v)
    edge = radius * (1 + 0.28 * sample("cloud", axes, rng, 0.25)) - distance
    depth = ramp(edge / (0.8 + 0.25 * radius) + 0.35)
    where = (depth > _FAINT) & (scene.material > 0)
    inside = depth[where]
    scene.height[where] -= inside * (1.5 + 1.1 * radius)
    scene.tone[where] *= 1 - 0.62 * inside
    scene.gloss[where] *= 1 - 0.8 * inside
    scene.bump[where] *= 1 - inside
    return where


def rust(scene: Scene, rng: np.random.Generator, strength: float) -> Bools:
    """A patch of corrosion, solid in its middle and speckled at its border."""
    axes = _place(scene, rng, margin=4)
    radius = uniform(rng, 0.85, 1.2) * (6 + 19 * strength)
    stretched = Frame(axes.u * uniform(rng, 0.55, 1.0), axes.v, axes.angle)
    distance = np.sqrt(stretched.u * stretched.u + stretched.v * stretched.v)
    blotches = sample("cloud", axes, rng, 0.5)
    grain = sample("grain", axes, rng)
    cover = 1.25 - 1.35 * distance / radius + 0.8 * blotches + 0.35 * grain
    weight = ramp(cover * 1.6) * (0.45 + 0.5 * strength)
    weight = np.where(distance < 1.4 * radius, weight, 0)
    where = (weight > _FAINT) & (scene.material > 0)
    scene.rust[where] = weight[where]
    scene.rust_tone[where] = ramp(0.4 + 0.45 * grain + 0.3 * blotches)[where]
    scene.height[where] += (0.35 + 0.4 * grain[where]) * weight[where]
    scene.gloss[where] *= 1 - weight[where]
    return where


def dent(scene: Scene, rng: np.random.Generator, strength: float) -> Bools:
    """Sheet metal bent in or out: a round dent, or a crease when it is strong."""
    axes = _place(scene, rng, margin=20)
    radius = uniform(rng, 0.9, 1.2) * (11 + 17 * strength)
    crease = uniform(rng, 2.0, 3.2) if strength > 0.7 else uniform(rng, 1.0, 1.5)
    u, v = axes.u / (radius * crease), axes.v / radius
    bowl = np.maximum(1 - u * u - v * v, 0)
    profile = bowl * bowl
    where: Bools = profile > 0.03
    sign = -1.0 if rng.random() < 0.65 else 1.0
    lift = (profile - 0.03)[where] * (sign * radius * (0.10 + 0.24 * strength))
    scene.height[where] += lift
    return where


SURFACE: dict[str, Callable[[Scene, np.random.Generator, float], Bools]] = {
    "scratch": scratch,
    "hole": hole,
    "rust": rust,
    "bend": dent,
}
"""Surface damage by defect name. On pieces that can bend, the part bends itself instead."""


def _place(scene: Scene, rng: np.random.Generator, margin: int) -> Frame:
    """Axes on a random spot of metal, at least `margin` pixels inside, at a random angle."""
    metal = (scene.material > 0)[::8, ::8]
    reach = -(-margin // 4)
    inner = metal.copy()
    for axis in (0, 1):
        for shift in (-reach, reach):
            inner &= np.roll(metal, shift, axis)
    image = image_frame()
    inner &= box(image, SIZE / 2 - 24, SIZE / 2 - 24)[::8, ::8] < 0
    spots = np.flatnonzero(inner if inner.any() else metal)
    row, column = divmod(int(spots[int(rng.integers(len(spots)))]), FINE // 8)
    return image.moved(
        4 * column + 2 - SIZE / 2, 4 * row + 2 - SIZE / 2, uniform(rng, 0, 2 * math.pi)
    )


def _level(scene: Scene, axes: Frame) -> float:
    """The height of the surface under the axes' origin."""
    nearest = int(np.argmin(axes.u * axes.u + axes.v * axes.v))
    return float(scene.height.ravel()[nearest])


def _same_surface(scene: Scene, level: float) -> Bools:
    same: Bools = (scene.material > 0) & (np.abs(scene.height - level) < 2.5)
    return same

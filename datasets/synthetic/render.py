"""One picture from its address: category, split, number. The same address, the same bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adbench.datasets.synthetic.canvas import SIZE, Bools, Scene
from adbench.datasets.synthetic.defects import SURFACE
from adbench.datasets.synthetic.modelling import Change
from adbench.datasets.synthetic.parts import BUILDERS
from adbench.datasets.synthetic.shading import draw_light, photograph

HALO = 12
"""Pixels around a mask within which a defect's shadow or reflection may still show."""

_BENDS_ITSELF = frozenset({"bracket"})
"""Categories whose builder knows how to bend the part; the others get a dent."""


def render(
    category: str,
    address: tuple[int, ...],
    defect: str | None = None,
    strength: float = 0.0,
    *,
    twin: bool = False,
) -> tuple[NDArray[np.uint8], Bools]:
    """A picture and the mask of its defect.

    Args:
        category: a key of `BUILDERS`.
        address: integers that seed everything random in this picture.
        defect: its kind, or None for a flawless part.
        strength: 0 subtle to 1 obvious.
        twin: leave the defect out and keep all else; the mask is still the defect's.

    Returns:
        uint8 (SIZE, SIZE, 3) and bool (SIZE, SIZE).
    """
    part, lamp, damage, sensor = (np.random.default_rng([*address, i]) for i in range(4))
    change = Change(
        kind=defect if defect and _made_by_builder(category, defect) else "",
        choice=float(damage.random()),
        strength=strength,
        direction=float(damage.random()) * 2 * math.pi,
    )
    flawless, scene, fine = _scenes(category, part, change, defect, damage)
    image = photograph(flawless if twin else scene, draw_light(lamp), sensor)
    mask: Bools = np.any(fine.reshape(SIZE, 2, SIZE, 2), axis=(1, 3))
    return image, mask


def _scenes(
    category: str,
    part: np.random.Generator,
    change: Change,
    defect: str | None,
    damage: np.random.Generator,
) -> tuple[Scene, Scene, Bools]:
    """The flawless scene, the one with the defect, and where they differ (FINE, FINE)."""
    state = part.bit_generator.state
    flawless = BUILDERS[category](part, change)
    if defect is None:
        return flawless.scene, flawless.scene, flawless.touched
    if not change.kind:
        scene = flawless.scene.copy()
        return flawless.scene, scene, SURFACE[defect](scene, damage, change.strength)
    part.bit_generator.state = state
    altered = BUILDERS[category](part, replace(change, applied=True))
    fine = flawless.touched | altered.touched | _differ(flawless.scene, altered.scene)
    return flawless.scene, altered.scene, fine


def _differ(a: Scene, b: Scene) -> Bools:
    """Where any buffer does."""
    differ: Bools = (a.material != b.material) | (a.height != b.height) | (a.tone != b.tone)
    return differ


def _made_by_builder(category: str, defect: str) -> bool:
    return defect in ("missing", "misplaced") or (defect == "bend" and category in _BENDS_ITSELF)

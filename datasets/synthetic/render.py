"""One picture from its address: category, split, number. The same address, the same bytes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adbench.datasets.synthetic.canvas import Bools
from adbench.datasets.synthetic.defects import SURFACE
from adbench.datasets.synthetic.parts import BUILDERS, Change
from adbench.datasets.synthetic.shading import draw_light, photograph

HALO = 12
"""Pixels around a mask within which a defect's shadow or reflection may still show."""

PIECES = frozenset({"missing", "misplaced"})
"""Defects that a part's builder makes; `bend` is one too where the part has a piece to bend."""

_BENDING_PIECE = frozenset({"bracket"})


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
    part_seed, light_seed, defect_seed, noise_seed = ([*address, i] for i in range(4))
    damage = np.random.default_rng(defect_seed)
    in_builder = defect in PIECES or (defect == "bend" and category in _BENDING_PIECE)
    choice, direction = float(damage.random()), float(damage.random()) * 2 * math.pi
    change = Change(defect or "", choice, strength, direction) if in_builder else Change()

    def build(applied: bool) -> tuple:
        wanted = Change(change.kind, choice, strength, direction, applied)
        return BUILDERS[category](np.random.default_rng(part_seed), wanted)

    model = build(applied=in_builder)
    scene, fine = model.scene, model.touched
    if in_builder:
        flawless = build(applied=False)
        fine = fine | flawless.touched
        scene = flawless.scene if twin else scene
    elif defect is not None:
        flawless_scene = build(applied=False).scene if twin else scene
        fine = SURFACE[defect](scene, damage, strength)
        scene = flawless_scene
    light = draw_light(np.random.default_rng(light_seed))
    image = photograph(scene, light, np.random.default_rng(noise_seed))
    mask = fine.reshape(fine.shape[0] // 2, 2, -1, 2).any(axis=(1, 3))
    return image, mask

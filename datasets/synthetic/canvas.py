"""Where a scene is drawn: coordinates, outlines, textures and the buffers that light falls on.

Lengths are pixels of the finished image, whose centre is the origin; buffers have twice its
resolution. Only integers and the float operations that IEEE 754 defines exactly (+ - * /
and square roots) touch the buffers, in numpy's elementwise form, so that every machine draws
the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SIZE = 256
"""Side of the finished image."""

FINE = 2 * SIZE
"""Side of every buffer."""

TILE = 1024
"""Side of a texture tile, in buffer pixels; a power of two."""

BACKGROUND, STEEL, ALUMINIUM, ZINC, BLACK, BRASS, IRON = range(7)


@dataclass
class Scene:
    """The buffers of one view, (FINE, FINE) each. Light is computed from nothing else.

    Attributes:
        material: uint8, one of the constants above.
        height: of the surface over the table, pixels.
        tone: factor on the material's reflectance, about 1.
        gloss: 0 matt to 1 polished.
        bump: slope of machining marks, across them.
        tangent: direction of machining marks, x and y, a unit vector or zero.
        rust: 0 to 1, coverage; rust_tone: 0 dark to 1 bright.
        background: linear RGB of the table.
    """

    material: NDArray[np.uint8]
    height: Floats
    tone: Floats
    gloss: Floats
    bump: Floats
    tangent: tuple[Floats, Floats]
    rust: Floats
    rust_tone: Floats
    background: tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """Coordinates of one body: (u, v) of every buffer pixel in the body's own axes."""

    u: Floats
    v: Floats
    angle: float

    def moved(self, du: float, dv: float, angle: float = 0.0) -> Frame:
        """The axes of a piece that sits at (du, dv) and is turned by `angle` (radians)."""
        c, s = math.cos(angle), math.sin(angle)
        u, v = self.u - du, self.v - dv
        return Frame(c * u + s * v, c * v - s * u, self.angle + angle)

    def direction(self, du: float, dv: float) -> tuple[float, float]:
        """A direction of this frame in image axes."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return c * du - s * dv, s * du + c * dv


def image_frame() -> Frame:
    """The axes of the image: u to the right, v down."""
    line = (np.arange(FINE, dtype=np.float32) + 0.5) / 2 - SIZE / 2
    u, v = np.meshgrid(line, line)
    return Frame(u, v, 0.0)


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number, as a Python float so that buffers stay float32."""
    return low + (high - low) * float(rng.random())


# -------------------------------------------------------------------------------- outlines
# Signed distances in pixels, negative inside.


def disc(frame: Frame, radius: float) -> Floats:
    """A disc around the frame's origin."""
    return np.sqrt(frame.u * frame.u + frame.v * frame.v) - radius


def box(frame: Frame, half_width: float, half_height: float, corner: float = 0.0) -> Floats:
    """A rectangle with rounded corners around the frame's origin."""
    a = np.abs(frame.u) - (half_width - corner)
    b = np.abs(frame.v) - (half_height - corner)
    outside_a, outside_b = np.maximum(a, 0), np.maximum(b, 0)
    outside = np.sqrt(outside_a * outside_a + outside_b * outside_b)
    return outside + np.minimum(np.maximum(a, b), 0) - corner


def hexagon(frame: Frame, apothem: float) -> Floats:
    """A regular hexagon around the frame's origin."""
    u, v = np.abs(frame.u), np.abs(frame.v)
    return np.maximum(v, u * 0.8660254 + v * 0.5) - apothem


def turns(frame: Frame) -> Floats:
    """Polar angle in whole turns, 0 to 1, by a polynomial good to 2e-6 turns."""
    u, v = np.abs(frame.u), np.abs(frame.v)
    ratio = np.minimum(u, v) / np.maximum(np.maximum(u, v), 1e-6)
    square = ratio * ratio
    # Abramowitz and Stegun 4.4.49; numpy's arctan2 differs between processors.
    poly = 0.1801410 + square * (-0.0851330 + square * 0.0208351)
    angle = ratio * (0.9998660 + square * (-0.3302995 + square * poly)) / (2 * math.pi)
    angle = np.where(v > u, 0.25 - angle, angle)
    angle = np.where(frame.u < 0, 0.5 - angle, angle)
    return np.where(frame.v < 0, 1 - angle, angle)


def ramp(value: Floats) -> Floats:
    """0 below 0, 1 above 1, smooth between."""
    t = np.minimum(np.maximum(value, 0), 1)
    return t * t * (3 - 2 * t)


# -------------------------------------------------------------------------------- textures


@lru_cache(maxsize=16)
def texture(kind: str) -> Floats:
    """A periodic tile (TILE, TILE), mean about 0, nearly all within -1..1.

    Kinds: "streak" (marks along u), "grain" (fine to coarse lumps), "cloud" (soft patches).
    """
    rng = np.random.default_rng([*kind.encode()])
    if kind == "streak":
        sums = sum(_streaks(rng, length) * weight for length, weight in ((24, 0.5), (160, 0.8)))
        return np.asarray(sums, np.float32)
    octaves = {"grain": ((2, 0.35), (4, 0.45), (8, 0.35), (32, 0.25)), "cloud": CLOUD_OCTAVES}
    return np.asarray(sum(_lumps(rng, cell) * w for cell, w in octaves[kind]), np.float32)


CLOUD_OCTAVES = ((16, 0.25), (32, 0.4), (64, 0.6), (128, 0.7))


def _streaks(rng: np.random.Generator, length: int) -> Floats:
    """White noise averaged along rows; integer sums, so exact."""
    white = rng.integers(-128, 128, (TILE, TILE))
    total = np.cumsum(np.concatenate([white, white[:, :length]], axis=1), axis=1)
    return ((total[:, length:] - total[:, :-length]) / (74.0 * math.sqrt(length))).astype("f4") / 2


def _lumps(rng: np.random.Generator, cell: int) -> Floats:
    """Random values on a lattice of `cell` pixels, smoothly interpolated, periodic."""
    lattice = (rng.integers(-128, 128, (TILE // cell, TILE // cell)) / 128).astype(np.float32)
    for axis in (0, 1):
        t = (np.arange(cell, dtype=np.float32) + 0.5) / cell
        t = (t * t * (3 - 2 * t)).reshape(-1, 1) if axis == 0 else t * t * (3 - 2 * t)
        here, there = lattice, np.roll(lattice, -1, axis)
        shape = (TILE, lattice.shape[1]) if axis == 0 else (TILE, TILE)
        near, far = np.expand_dims(here, axis + 1), np.expand_dims(there, axis + 1)
        lattice = (near + (far - near) * t).reshape(shape)
    return lattice


def sample(kind: str, frame: Frame, rng: np.random.Generator, scale: float = 1.0) -> Floats:
    """The tile `kind` laid on a body at a random place, `scale` times as large."""
    du, dv = (int(shift) for shift in rng.integers(0, TILE, 2))
    column = (frame.u * (2 / scale) + (du + TILE)).astype(np.int32) & (TILE - 1)
    row = (frame.v * (2 / scale) + (dv + TILE)).astype(np.int32) & (TILE - 1)
    return texture(kind).ravel()[row * TILE + column]


# ------------------------------------------------------------------------------- modelling


def empty_scene(color: tuple[float, float, float], relief: Floats, tone: Floats) -> Scene:
    """A bare table with its texture as small heights and tones."""
    zero = np.zeros((FINE, FINE), np.float32)
    return Scene(
        material=np.zeros((FINE, FINE), np.uint8),
        height=relief.copy(),
        tone=tone.copy(),
        gloss=zero.copy(),
        bump=zero.copy(),
        tangent=(zero.copy(), zero.copy()),
        rust=zero.copy(),
        rust_tone=zero.copy(),
        background=color,
    )


@dataclass(frozen=True)
class Finish:
    """What a body's surface is made of. `tangent` None: no machining marks."""

    material: int
    gloss: float
    tone: Floats | float = 1.0
    bump: Floats | float = 0.0
    tangent: tuple[Floats | float, Floats | float] | None = None


def add_body(scene: Scene, outline: Floats, top: float, bevel: float, finish: Finish) -> None:
    """Put a body on the scene: `top` is its height over the table, its rim is rounded."""
    inside = outline < 0
    drop = 1 - ramp(-outline[inside] / bevel)
    scene.height[inside] = top - drop * (0.8 * bevel)
    scene.material[inside] = finish.material
    scene.gloss[inside] = finish.gloss
    _assign(scene.tone, inside, finish.tone)
    _assign(scene.bump, inside, finish.bump)
    tangent = finish.tangent or (0.0, 0.0)
    for buffer, value in zip(scene.tangent, tangent, strict=True):
        _assign(buffer, inside, value)


def sink(scene: Scene, outline: Floats, depth: float, bevel: float) -> None:
    """Press a recess into what is there: same material, `depth` lower, with a sloped wall."""
    wall = ramp((bevel / 2 - outline) / bevel)
    scene.height -= depth * wall


def cut(scene: Scene, outline: Floats, table: Scene, chamfer: float = 1.5) -> None:
    """Cut through to the table, with a chamfered rim."""
    rim = (outline < chamfer) & (outline >= 0)
    scene.height[rim] -= (chamfer - outline[rim]) * 0.8
    inside = outline < 0
    for name in ("material", "height", "tone", "gloss", "bump"):
        getattr(scene, name)[inside] = getattr(table, name)[inside]
    for buffer in scene.tangent:
        buffer[inside] = 0


def _assign(buffer: Floats, where: Bools, value: Floats | float) -> None:
    buffer[where] = value[where] if isinstance(value, np.ndarray) else value

"""Where a scene is drawn: coordinates, outlines, textures and the buffers that light falls on.

Lengths are pixels of the finished image, whose centre is the origin; buffers have twice its
resolution. Only integers and the float operations that IEEE 754 defines exactly (+ - * /
and square roots) touch the buffers, in numpy's elementwise form, so that every machine draws
the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""float32 in fact; numpy's stubs lose that beside a Python float."""

Bools = NDArray[np.bool_]
Window = tuple[slice, slice]

SIZE = 256
"""Side of the finished image."""

FINE = 2 * SIZE
"""Side of every buffer."""

TILE = 512
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

    def window(self, where: Window) -> Scene:
        """The same buffers, seen through a window; drawing there draws here."""
        names = ("material", "height", "tone", "gloss", "bump", "rust", "rust_tone")
        views: dict[str, Any] = {name: getattr(self, name)[where] for name in names}
        tangent = (self.tangent[0][where], self.tangent[1][where])
        return replace(self, **views, tangent=tangent)

    def copy(self) -> Scene:
        """Buffers of its own."""
        whole = self.window((slice(None), slice(None)))
        for name, buffer in vars(whole).items():
            if isinstance(buffer, np.ndarray):
                setattr(whole, name, buffer.copy())
        whole.tangent = (self.tangent[0].copy(), self.tangent[1].copy())
        return whole


@dataclass(frozen=True)
class Frame:
    """Coordinates of one body: (u, v) of every buffer pixel in the body's own axes."""

    u: Floats
    v: Floats
    angle: float

    def around(self, radius: float) -> tuple[Window, Frame]:
        """The window that holds all within `radius` of the origin, and the axes in it."""
        coarse = (np.abs(self.u[::8, ::8]) < radius) & (np.abs(self.v[::8, ::8]) < radius)
        rows, columns = np.flatnonzero(coarse.any(axis=1)), np.flatnonzero(coarse.any(axis=0))
        if len(rows) == 0:
            where = (slice(0, 0), slice(0, 0))
        else:
            where = (
                slice(max(8 * int(rows[0]) - 8, 0), 8 * int(rows[-1]) + 9),
                slice(max(8 * int(columns[0]) - 8, 0), 8 * int(columns[-1]) + 9),
            )
        return where, Frame(self.u[where], self.v[where], self.angle)

    def moved(self, du: float, dv: float, angle: float = 0.0) -> Frame:
        """The axes of a piece that sits at (du, dv) and is turned by `angle` (radians)."""
        c, s = math.cos(angle), math.sin(angle)
        u, v = self.u - du, self.v - dv
        return Frame(c * u + s * v, c * v - s * u, self.angle + angle)

    def direction(self, du: float, dv: float) -> tuple[float, float]:
        """A direction of this frame in image axes."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return c * du - s * dv, s * du + c * dv


@cache
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
    outside: Floats = np.sqrt(outside_a * outside_a + outside_b * outside_b)
    outside += np.minimum(np.maximum(a, b), 0) - corner
    return outside


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
    t: Floats = np.minimum(np.maximum(value, 0), 1)
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
    means = (total[:, length:] - total[:, :-length]) / (148.0 * math.sqrt(length))
    tile: Floats = means.astype(np.float32)
    return tile


def _lumps(rng: np.random.Generator, cell: int) -> Floats:
    """Random values on a lattice of `cell` pixels, smoothly interpolated, periodic."""
    lattice: Floats = (rng.integers(-128, 128, (TILE // cell, TILE // cell)) / 128).astype(
        np.float32
    )
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
    if kind == "cloud":  # soft enough for every second pixel
        rows, columns = frame.u.shape
        coarse = _look_up(kind, Frame(frame.u[::2, ::2], frame.v[::2, ::2], 0.0), du, dv, scale)
        return coarse.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
    return _look_up(kind, frame, du, dv, scale)


def _look_up(kind: str, frame: Frame, du: int, dv: int, scale: float) -> Floats:
    column = (frame.u * (2 / scale) + (du + TILE)).astype(np.int32)
    row = (frame.v * (2 / scale) + (dv + TILE)).astype(np.int32)
    column &= TILE - 1
    row &= TILE - 1
    row *= TILE
    row += column
    return texture(kind).ravel().take(row)

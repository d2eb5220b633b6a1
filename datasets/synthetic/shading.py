"""Light: buffers to a photograph. A key light with cast shadows, a softbox room, a camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbench.datasets.synthetic.canvas import FINE, SIZE, Floats, Scene, ramp, uniform

# Per material: background, steel, aluminium, zinc, black oxide, brass, cast iron.
_TINT = np.array(
    [
        [1.0, 1.0, 1.0],
        [0.60, 0.595, 0.59],
        [0.74, 0.745, 0.76],
        [0.70, 0.68, 0.62],
        [0.085, 0.085, 0.09],
        [0.78, 0.60, 0.30],
        [0.36, 0.355, 0.35],
    ],
    np.float32,
)
_RUST_DARK = (0.11, 0.045, 0.022)
_RUST_BRIGHT = (0.42, 0.17, 0.06)

_STRIP = 32
"""Rows of the picture that are lit at a time: their buffers stay in the processor's cache."""


@dataclass(frozen=True)
class Light:
    """The lamp of one picture: unit vector towards it, strength and colour, room brightness."""

    x: float
    y: float
    z: float
    strength: float
    warmth: float
    room: float
    drift: tuple[float, float]
    """How the reflected room changes from one side of the picture to the other."""


def draw_light(rng: np.random.Generator) -> Light:
    """A lamp from the upper left, more or less."""
    azimuth = uniform(rng, -2.75, -1.75)
    elevation = uniform(rng, 0.66, 0.92)
    flat = math.cos(elevation)
    return Light(
        x=flat * math.cos(azimuth),
        y=flat * math.sin(azimuth),
        z=math.sin(elevation),
        strength=uniform(rng, 0.85, 1.15),
        warmth=uniform(rng, -0.04, 0.05),
        room=uniform(rng, 0.85, 1.15),
        drift=(uniform(rng, -0.3, 0.3), uniform(rng, -0.3, 0.3)),
    )


def photograph(scene: Scene, light: Light, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Render a scene: uint8 (SIZE, SIZE, 3). `rng` draws the sensor's noise and nothing else."""
    coarse = _half(scene.height)
    lit, open_sky = _lit(coarse, light), _openness(coarse)
    normal = _normals(scene)
    linear = np.empty((SIZE, SIZE, 3), np.float32)
    for top in range(0, SIZE, _STRIP):
        rows, fine = slice(top, top + _STRIP), slice(2 * top, 2 * (top + _STRIP))
        seen = _Seen(
            scene.window((fine, slice(None))),
            (normal[0][fine], normal[1][fine], normal[2][fine]),
            _double(lit[rows]),
            _double(open_sky[rows]),
            top,
        )
        linear[rows] = _radiance(seen, light)
    return _develop(linear, rng)


@dataclass(frozen=True)
class _Seen:
    """A strip of a scene with all that its own buffers do not tell: (2 * _STRIP, FINE) each."""

    scene: Scene
    normal: tuple[Floats, Floats, Floats]
    lit: Floats
    open_sky: Floats
    top: int


def _radiance(seen: _Seen, light: Light) -> Floats:
    """Linear RGB (_STRIP, SIZE, 3)."""
    scene = seen.scene
    lambert = np.maximum(_towards(seen.normal, (light.x, light.y, light.z)), 0)
    matt = lambert * seen.lit * light.strength + seen.open_sky * (0.34 * light.room)
    diffuse, mirror = _metal(seen, light, lambert)
    is_table = scene.material == 0
    tinted = np.where(is_table, matt, diffuse + 0.85 * mirror) * scene.tone
    white = np.where(is_table, 0, 0.15 * mirror)
    rusty = np.flatnonzero(scene.rust)
    planes = []
    for channel in range(3):
        tint = _TINT[:, channel].copy()
        tint[0] = scene.background[channel]
        color = tint.take(scene.material) * tinted + white
        if len(rusty):
            _cover_with_rust(color, scene, matt, rusty, channel)
        planes.append(_half(color) * (1 + light.warmth * (1 - channel)))
    return np.stack(planes, axis=-1)


def _cover_with_rust(
    color: Floats, scene: Scene, matt: Floats, rusty: NDArray[np.intp], channel: int
) -> None:
    dark, bright = _RUST_DARK[channel], _RUST_BRIGHT[channel]
    here = (dark + (bright - dark) * scene.rust_tone.take(rusty)) * matt.take(rusty)
    weight = scene.rust.take(rusty)
    flat = color.reshape(-1)
    flat[rusty] += (here - flat[rusty]) * weight


def _towards(normal: tuple[Floats, Floats, Floats], to: tuple[float, float, float]) -> Floats:
    towards: Floats = normal[0] * to[0] + normal[1] * to[1] + normal[2] * to[2]
    return towards


def _normals(scene: Scene) -> tuple[Floats, Floats, Floats]:
    """Unit normals of the height field, tilted by the machining marks."""
    dx = np.empty_like(scene.height)
    dy = np.empty_like(scene.height)
    h = scene.height  # slopes by central differences, two buffer pixels = one pixel apart
    dx[:, 1:-1] = h[:, 2:] - h[:, :-2]
    dx[:, 0], dx[:, -1] = dx[:, 1], dx[:, -2]
    dy[1:-1] = h[2:] - h[:-2]
    dy[0], dy[-1] = dy[1], dy[-2]
    tx, ty = scene.tangent
    nx, ny = scene.bump * ty - dx, -(scene.bump * tx) - dy
    length = np.sqrt(nx * nx + ny * ny + 1)
    return nx / length, ny / length, 1 / length


def _metal(seen: _Seen, light: Light, lambert: Floats) -> tuple[Floats, Floats]:
    """Diffuse and mirrored light on metal, before its colour."""
    norm = math.sqrt(light.x**2 + light.y**2 + (light.z + 1) ** 2)
    half = (light.x / norm, light.y / norm, (light.z + 1) / norm)  # the camera looks down
    sharp = _power(np.maximum(_towards(seen.normal, half), 0), 5)  # to the 32nd
    tx, ty = seen.scene.tangent
    along = tx * half[0] + ty * half[1]
    # Grooves spread a highlight across themselves: what counts is how square the half vector
    # stands on the groove (Kajiya and Kay 1989); the factor 2 sharpens the bow tie.
    grooved = _power(np.maximum(1 - 2 * along * along, 0), 3)
    marked = (tx != 0) | (ty != 0)
    highlight = np.where(marked, (0.75 + 0.5 * sharp) * grooved, 0.9 * sharp) + 0.06
    room = _room(seen, light) * np.where(marked, 0.55 + 0.45 * grooved, 1)
    key = seen.lit * light.strength
    diffuse = 0.26 * lambert * key + 0.07 * light.room * seen.open_sky
    mirror = seen.scene.gloss * (0.75 * highlight * key + 0.34 * room * seen.open_sky)
    return diffuse, mirror


def _room(seen: _Seen, light: Light) -> Floats:
    """What a mirror sees of the room: a bright ceiling, a softbox, dark walls."""
    nx, ny, _ = seen.normal
    line = np.linspace(-0.5, 0.5, FINE, dtype=np.float32)
    rows = line[2 * seen.top : 2 * (seen.top + _STRIP), None]
    place = line * light.drift[0] + rows * light.drift[1]
    towards = (nx * light.x + ny * light.y) * 1.4 + place
    softbox = ramp((towards - 0.12) * 5)
    walls = 1 - 0.75 * ramp((nx * nx + ny * ny - 0.15) * 3)
    return light.room * (0.55 + towards * 0.5 + 0.5 * softbox) * walls


def _lit(height: Floats, light: Light) -> Floats:
    """1 in the light, 0 in cast shadow: a march over the height field towards the lamp."""
    flat = math.sqrt(light.x**2 + light.y**2)
    rise = light.z / flat
    reach = 16
    padded = np.pad(height, reach, mode="edge")
    blocked = np.zeros_like(height)
    for step in (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15):
        dx, dy = round(step * light.x / flat), round(step * light.y / flat)
        there = padded[reach + dy : reach + dy + SIZE, reach + dx : reach + dx + SIZE]
        over = (there - height - step * rise) * (1 / (0.7 + 0.16 * step))
        np.maximum(blocked, over, out=blocked)
    return 1 - 0.9 * ramp(blocked)


def _openness(height: Floats) -> Floats:
    """How much of the room a point sees: less in pockets and beside walls."""
    around = height
    for radius in (2, 4):
        around = _box_mean(_box_mean(around, radius, 0), radius, 1)
    return 1 / (1 + 0.35 * np.maximum(around - height, 0))


def _box_mean(values: Floats, radius: int, axis: int) -> Floats:
    """Running mean by a running sum, which adds in the same order everywhere."""
    width = [(0, 0), (0, 0)]
    width[axis] = (radius + 1, radius)
    total = np.cumsum(np.pad(values, width, mode="edge").astype(np.float64), axis=axis)
    span = 2 * radius + 1
    upper = total[span:] if axis == 0 else total[:, span:]
    lower = total[:-span] if axis == 0 else total[:, :-span]
    return ((upper - lower) / span).astype(np.float32)


def _half(values: Floats) -> Floats:
    """Mean of 2 x 2 buffer pixels: (FINE, FINE) to (SIZE, SIZE)."""
    rows = values[::2] + values[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * 0.25


def _double(values: Floats) -> Floats:
    return values.repeat(2, axis=0).repeat(2, axis=1)


def _power(values: Floats, squarings: int) -> Floats:
    for _ in range(squarings):
        values = values * values
    return values


def _develop(linear: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lens, exposure, sensor: linear (SIZE, SIZE, 3) to 8 bits with gamma 2."""
    line = np.linspace(-1, 1, SIZE, dtype=np.float32)
    radius = line[:, None] ** 2 + line[None, :] ** 2
    exposed = _soften(linear) * (1.7 - 0.15 * radius)[:, :, None]
    toned = exposed * (1 + exposed * 0.2) / (1 + exposed * 0.7)
    level = _contrast(np.sqrt(np.maximum(toned, 0))) * 255
    dice = rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    noise = (dice.sum(axis=0, dtype=np.int32) - 510).astype(np.float32) / 148  # about normal
    pixels: NDArray[np.uint8] = np.clip(level + noise * 1.6 + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _contrast(level: Floats) -> Floats:
    """A film's curve: darker shadows, brighter lights, half way to a smooth step."""
    bounded = np.minimum(level, 1)
    return bounded * (0.5 + bounded * (1.5 - bounded))


def _soften(image: Floats) -> Floats:
    """The lens: (1 6 1) / 8 along both axes."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (1, 1)
        wide = np.pad(image, pad, mode="edge")
        before, after = (wide[:-2], wide[2:]) if axis == 0 else (wide[:, :-2], wide[:, 2:])
        image = image * 0.75 + (before + after) * 0.125
    return image

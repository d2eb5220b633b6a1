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
    elevation = uniform(rng, 0.75, 1.0)
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
    nx, ny, nz = _normals(scene)
    open_sky = _openness(scene.height)
    lit = _lit(scene.height, light)
    diffuse, mirror = _metal(scene, light, (nx, ny, nz), lit, open_sky)
    lambert = np.maximum(nx * light.x + ny * light.y + nz * light.z, 0)
    matt = lambert * lit * light.strength + (0.45 * light.room) * open_sky
    is_table = scene.material == 0
    planes = []
    for channel in range(3):
        tint = _TINT[:, channel][scene.material] * scene.tone
        metal = tint * diffuse + (0.15 + 0.85 * tint) * mirror
        table = tint * matt * scene.background[channel]
        color = np.where(is_table, table, metal)
        dark, bright = _RUST_DARK[channel], _RUST_BRIGHT[channel]
        rusty = (dark + (bright - dark) * scene.rust_tone) * matt
        color += (rusty - color) * scene.rust
        planes.append(_half(color) * (1 + light.warmth * (1 - channel)))
    return _develop(np.stack(planes, axis=-1), rng)


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


def _metal(
    scene: Scene,
    light: Light,
    normal: tuple[Floats, Floats, Floats],
    lit: Floats,
    open_sky: Floats,
) -> tuple[Floats, Floats]:
    """Diffuse and mirrored light on metal, before its colour."""
    nx, ny, nz = normal
    half = (light.x, light.y, light.z + 1)  # the camera looks straight down
    norm = math.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    hx, hy, hz = (value / norm for value in half)
    facing = np.maximum(nx * hx + ny * hy + nz * hz, 0)
    sharp = _power(facing, 5)  # to the 32nd
    along = scene.tangent[0] * hx + scene.tangent[1] * hy
    # Fine grooves spread a highlight across themselves (Kajiya and Kay 1989): what counts is
    # how square the half vector stands on the groove. 12 doubles the contrast of that.
    grooved = _power(np.maximum(1 - along * along * 1.6, 0), 3)
    marked = (scene.tangent[0] != 0) | (scene.tangent[1] != 0)
    highlight = np.where(marked, 0.12 + 0.55 * grooved + 0.5 * sharp * grooved, 0.9 * sharp + 0.12)
    lambert = np.maximum(nx * light.x + ny * light.y + nz * light.z, 0)
    room = _room(nx, ny, light)
    key = lit * light.strength
    diffuse = (0.30 * lambert * key + 0.12 * light.room * open_sky) * (1.15 - scene.gloss * 0.5)
    mirror = scene.gloss * (0.62 * highlight * key + 0.45 * room * open_sky)
    return diffuse, mirror


def _room(nx: Floats, ny: Floats, light: Light) -> Floats:
    """What a mirror facing (nx, ny) sees: a bright ceiling, a softbox, dark walls."""
    line = np.linspace(-0.5, 0.5, FINE, dtype=np.float32)
    place = line[None, :] * light.drift[0] + line[:, None] * light.drift[1]
    towards = (nx * light.x + ny * light.y) * 1.4 + place
    softbox = ramp((towards - 0.12) * 5)
    walls = 1 - 0.75 * ramp((nx * nx + ny * ny - 0.15) * 3)
    return light.room * (0.55 + towards * 0.5 + 0.5 * softbox) * walls


def _lit(height: Floats, light: Light) -> Floats:
    """1 in the light, 0 in cast shadow: a march over the height field towards the lamp."""
    flat = math.sqrt(light.x**2 + light.y**2)
    rise = light.z / flat
    reach = 48  # buffer pixels
    padded = np.pad(height, reach, mode="edge")
    blocked = np.zeros_like(height)
    for step in (1, 2, 3, 5, 7, 9, 11, 14, 17, 20, 24, 28, 32):
        dx, dy = round(step * light.x / flat), round(step * light.y / flat)
        there = padded[reach + dy : reach + dy + FINE, reach + dx : reach + dx + FINE]
        over = there - height - 0.5 * step * rise
        np.maximum(blocked, over * (1 / (0.6 + 0.08 * step)), out=blocked)
    return 1 - 0.85 * ramp(blocked)


def _openness(height: Floats) -> Floats:
    """How much of the room a point sees: less in pockets and beside walls."""
    coarse = _half(height)
    around = coarse
    for radius in (2, 4):
        around = _box_mean(_box_mean(around, radius, 0), radius, 1)
    hidden = np.maximum(around - coarse, 0)
    return _double(1 / (1 + 0.32 * hidden))


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
    exposed = _soften(linear) * (1 - 0.09 * radius)[:, :, None] * 1.5
    toned = exposed * (1 + exposed * 0.16) / (1 + exposed * 0.75)
    level = np.sqrt(np.maximum(toned, 0)) * 255
    bytes_ = rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    noise = (bytes_.sum(axis=0, dtype=np.int32) - 510).astype(np.float32) / 148  # about normal
    return np.clip(level + noise * 1.6 + 0.5, 0, 255).astype(np.uint8)


def _soften(image: Floats) -> Floats:
    """The lens: (1 6 1) / 8 along both axes."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (1, 1)
        wide = np.pad(image, pad, mode="edge")
        before, after = (wide[:-2], wide[2:]) if axis == 0 else (wide[:, :-2], wide[:, 2:])
        image = image * 0.75 + (before + after) * 0.125
    return image

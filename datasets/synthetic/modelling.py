"""Bodies on a table: what a builder draws with, and what can be wrong with a piece."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adbench.datasets.synthetic import canvas as c
from adbench.datasets.synthetic.canvas import Bools, Floats, Frame, Scene, ramp, uniform

# Linear RGB of the table, then how strong its fibres, its lumps and its relief are.
_TABLES = {
    "rubber": ((0.055, 0.057, 0.061), 0.0, 0.24, 0.10),
    "felt": ((0.13, 0.165, 0.19), 0.10, 0.22, 0.16),
    "bench": ((0.36, 0.37, 0.34), 0.04, 0.07, 0.03),
    "wood": ((0.40, 0.27, 0.16), 0.18, 0.05, 0.06),
    "dark": ((0.020, 0.019, 0.019), 0.0, 0.2, 0.0),
}


@dataclass(frozen=True)
class Change:
    """What is wrong with a piece.

    Attributes:
        kind: "missing", "misplaced", "bend", or "" for a flawless part.
        choice: 0 to 1, picks the piece.
        strength: 0 subtle to 1 obvious.
        direction: radians, where a misplaced piece went.
        applied: False builds the flawless twin, which still marks the piece.
    """

    kind: str = ""
    choice: float = 0.0
    strength: float = 0.0
    direction: float = 0.0
    applied: bool = False

    def piece(self, count: int) -> int | None:
        """The number of the loose piece concerned, out of `count`."""
        return int(self.choice * count) if self.kind in ("missing", "misplaced") else None

    @property
    def leaves_out(self) -> bool:
        """Whether the piece concerned is not drawn."""
        return self.applied and self.kind == "missing"

    def shift(self, least: float, most: float) -> tuple[float, float]:
        """How far a misplaced piece is off, in pixels; zero for any other."""
        if not self.applied or self.kind != "misplaced":
            return 0.0, 0.0
        far = least + (most - least) * self.strength
        return far * math.cos(self.direction), far * math.sin(self.direction)


@dataclass(frozen=True)
class Finish:
    """What a body's surface is made of. `tangent` None: no machining marks."""

    material: int
    gloss: float
    tone: Floats | float = 1.0
    bump: Floats | float = 0.0
    tangent: tuple[Floats | float, Floats | float] | None = None


@dataclass
class Model:
    """A scene being built, the bare table under it, and the footprint of its changed piece."""

    scene: Scene
    table: Scene
    touched: Bools

    def around(self, axes: Frame, radius: float) -> tuple[Model, Frame]:
        """A window on this model for a small piece: drawing costs what the window has."""
        where, seen = axes.around(radius)
        view = Model(self.scene.window(where), self.table.window(where), self.touched[where])
        return view, seen

    def mark(self, outline: Floats) -> None:
        """Add the inside of `outline` to the footprint."""
        self.touched |= outline < 0

    def add(self, outline: Floats, top: float, bevel: float, finish: Finish) -> None:
        """Put a body here: `top` is its height over the table, its rim is rounded."""
        scene, inside = self.scene, outline < 0
        drop = 1 - ramp(outline * (-1 / bevel))
        np.copyto(scene.height, top - drop * (0.8 * bevel), where=inside)
        scene.material[inside] = finish.material
        np.copyto(scene.gloss, np.float32(finish.gloss), where=inside)
        np.copyto(scene.tone, finish.tone, where=inside, casting="same_kind")
        np.copyto(scene.bump, finish.bump, where=inside, casting="same_kind")
        for buffer, value in zip(scene.tangent, finish.tangent or (0.0, 0.0), strict=True):
            np.copyto(buffer, value, where=inside, casting="same_kind")

    def sink(self, outline: Floats, depth: float, bevel: float) -> None:
        """Press a recess into what is there: `depth` lower, with a sloped wall."""
        self.scene.height -= ramp(0.5 - outline * (1 / bevel)) * depth

    def cut(self, outline: Floats, chamfer: float = 1.5) -> None:
        """Cut through to the table, with a chamfered rim."""
        scene, inside = self.scene, outline < 0
        scene.height -= np.minimum(np.maximum(chamfer - outline, 0), chamfer) * 0.8
        for name in ("material", "height", "tone", "gloss", "bump"):
            np.copyto(getattr(scene, name), getattr(self.table, name), where=inside)
        for buffer in scene.tangent:
            buffer[inside] = 0


def bare_table(rng: np.random.Generator, kind: str) -> Model:
    """A table with its texture and stains, and nothing on it."""
    image = c.image_frame()
    color, fibres, lumps, relief = _TABLES[kind]
    turned = image.moved(0, 0, uniform(rng, -0.06, 0.06))
    grain = c.sample("grain", turned, rng)
    tone = 1 + lumps * grain + 0.10 * c.sample("cloud", image, rng, 2.0)
    if fibres:
        tone += fibres * c.sample("streak", turned, rng, 1.5)
    red, green, blue = (channel * uniform(rng, 0.95, 1.05) for channel in color)
    zero = np.zeros((c.FINE, c.FINE), np.float32)
    table = Scene(
        material=np.zeros((c.FINE, c.FINE), np.uint8),
        height=relief * grain,
        tone=tone,
        gloss=zero,
        bump=zero,
        tangent=(zero, zero),
        rust=zero,
        rust_tone=zero,
        background=(red, green, blue),
    )
    return Model(table.copy(), table, np.zeros((c.FINE, c.FINE), bool))


def laid_down(rng: np.random.Generator, turn: float, shift: float = 5.0) -> Frame:
    """Axes of a part laid down by hand: shifted, turned, a little nearer or farther."""
    axes = c.image_frame().moved(
        uniform(rng, -shift, shift), uniform(rng, -shift, shift), uniform(rng, -turn, turn)
    )
    zoom = 1 / uniform(rng, 0.97, 1.03)
    return Frame(axes.u * zoom, axes.v * zoom, axes.angle)


# -------------------------------------------------------------------------------- finishes


def brushed(axes: Frame, rng: np.random.Generator, material: int, gloss: float) -> Finish:
    """Straight marks along u."""
    marks = c.sample("streak", axes, rng)
    tone = 1 + 0.10 * marks + 0.06 * c.sample("cloud", axes, rng, 1.3)
    cosine, sine = math.cos(axes.angle), math.sin(axes.angle)
    return Finish(material, gloss, tone, 0.16 * marks, (cosine, sine))


def turned(axes: Frame, rng: np.random.Generator, material: int, gloss: float) -> Finish:
    """Marks of a lathe, in circles around the axes' origin."""
    radius = np.maximum(c.disc(axes, 0.0), 0.5)
    groove = np.minimum(radius * 3, c.TILE - 1).astype(np.int32)
    # A column of the streak tile is white noise: one value for each groove.
    marks = c.texture("streak")[:, int(rng.integers(c.TILE))].take(groove)
    tone = 1 + 0.07 * marks + 0.06 * c.sample("cloud", axes, rng, 1.3)
    cosine, sine = math.cos(axes.angle), math.sin(axes.angle)
    tangent = (
        (axes.v * -cosine - axes.u * sine) / radius,
        (axes.u * cosine - axes.v * sine) / radius,
    )
    return Finish(material, gloss, tone, 0.13 * marks, tangent)


def cast(axes: Frame, rng: np.random.Generator, material: int, gloss: float) -> Finish:
    """A rough skin without direction."""
    lumps = c.sample("grain", axes, rng)
    tone = 1 + 0.20 * lumps + 0.08 * c.sample("cloud", axes, rng)
    return Finish(material, gloss, tone)


# ---------------------------------------------------------------------------------- screws


def hex_bolt(model: Model, axes: Frame, top: float, apothem: float, finish: Finish) -> None:
    """A washer and a hexagon head with a rounded chamfer."""
    washer = Finish(finish.material, 0.55)
    model.add(c.disc(axes, apothem * 1.45), top + 1.2, 1.2, washer)
    head = np.maximum(c.hexagon(axes, apothem), c.disc(axes, apothem * 1.10))
    model.add(head, top + 6.0, 1.8, finish)


def socket_screw(model: Model, axes: Frame, top: float, radius: float, finish: Finish) -> None:
    """A cylinder head with a hexagon socket."""
    model.add(c.disc(axes, radius), top + 2.2, 1.6, finish)
    model.sink(c.hexagon(axes, radius * 0.46), 5.0, 0.8)

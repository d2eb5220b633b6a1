"""The parts: how each category is modelled, and which of its pieces can be wrong.

A builder draws everything random from `rng` whether or not it shows, so that a part with a
defect and its flawless twin agree in all else. It marks the footprint of the piece that a
`Change` concerns in `touched`, in its right place or its wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from adbench.datasets.synthetic import canvas as c
from adbench.datasets.synthetic.canvas import Bools, Finish, Floats, Frame, Scene, uniform


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

    def piece(self, kinds: tuple[str, ...], count: int) -> int | None:
        """The number of the piece concerned, or None when the change is of another kind."""
        return int(self.choice * count) if self.kind in kinds else None

    def shift(self, least: float, most: float) -> tuple[float, float]:
        """How far a misplaced piece is off, in pixels; zero for any other."""
        if not self.applied or self.kind != "misplaced":
            return 0.0, 0.0
        far = least + (most - least) * self.strength
        return far * math.cos(self.direction), far * math.sin(self.direction)


@dataclass
class Model:
    """A built scene and the footprint of its changed piece."""

    scene: Scene
    touched: Bools

    def mark(self, outline: Floats) -> None:
        """Add the inside of `outline` to the footprint."""
        self.touched |= outline < 0


def _start(rng: np.random.Generator, table: str) -> tuple[Model, Scene]:
    """A bare table to build on, and a copy of it to show through holes."""
    image = c.image_frame()
    color, streak, lump, relief = {
        "rubber": ((0.060, 0.062, 0.066), 0.0, 0.22, 0.10),
        "felt": ((0.16, 0.19, 0.21), 0.10, 0.22, 0.16),
        "bench": ((0.42, 0.43, 0.40), 0.04, 0.07, 0.03),
        "wood": ((0.46, 0.33, 0.21), 0.16, 0.05, 0.06),
        "dark": ((0.025, 0.024, 0.024), 0.0, 0.2, 0.0),
    }[table]
    turned = image.moved(0, 0, uniform(rng, -0.06, 0.06))
    grain = c.sample("grain", turned, rng)
    cloud = c.sample("cloud", image, rng, 2.0)
    tone = 1 + lump * grain + 0.10 * cloud + streak * c.sample("streak", turned, rng, 1.5)
    color = tuple(channel * uniform(rng, 0.95, 1.05) for channel in color)
    bare = c.empty_scene(color, relief * grain, tone)
    scene = c.empty_scene(color, relief * grain, tone)
    return Model(scene, np.zeros((c.FINE, c.FINE), bool)), bare


def _pose(rng: np.random.Generator, turn: float, shift: float = 5.0) -> Frame:
    """Axes of a part laid down by hand: shifted, turned, a little nearer or farther."""
    image = c.image_frame()
    axes = image.moved(
        uniform(rng, -shift, shift), uniform(rng, -shift, shift), uniform(rng, -turn, turn)
    )
    zoom = uniform(rng, 0.97, 1.03)
    return Frame(axes.u / zoom, axes.v / zoom, axes.angle)


def _brushed(axes: Frame, rng: np.random.Generator, material: int, gloss: float) -> Finish:
    """Straight marks along u."""
    marks = c.sample("streak", axes, rng)
    stain = c.sample("cloud", axes, rng, 1.3)
    tone = 1 + 0.10 * marks + 0.05 * stain
    tangent: tuple[Floats | float, Floats | float] = axes.direction(1.0, 0.0)
    return Finish(material, gloss, tone, 0.16 * marks, tangent)


def _turned(axes: Frame, rng: np.random.Generator, material: int, gloss: float) -> Finish:
    """Marks of a lathe, in circles around the axes' origin."""
    radius = c.disc(axes, 0.0)
    place = np.minimum(radius * 3, c.TILE - 1).astype(np.int32)
    row = int(rng.integers(c.TILE))
    # A column of the streak tile is white noise: one value for each groove.
    marks = c.texture("streak")[:, row][place]
    stain = c.sample("cloud", axes, rng, 1.3)
    safe = np.maximum(radius, 0.5)
    tx, ty = axes.direction(1.0, 0.0), axes.direction(0.0, 1.0)
    a, b = -axes.v / safe, axes.u / safe
    tangent = (a * tx[0] + b * ty[0], a * tx[1] + b * ty[1])
    return Finish(material, gloss, 1 + 0.07 * marks + 0.05 * stain, 0.13 * marks, tangent)


def _cast(axes: Frame, rng: np.random.Generator, material: int, gloss: float) -> Finish:
    """A rough skin without direction; the bump acts along the diagonal."""
    lumps = c.sample("grain", axes, rng)
    stain = c.sample("cloud", axes, rng)
    return Finish(material, gloss, 1 + 0.20 * lumps + 0.08 * stain, 0.35 * lumps, None)


def _hex_bolt(scene: Scene, axes: Frame, top: float, apothem: float, finish: Finish) -> Floats:
    """A washer and a hexagon head with a domed chamfer; returns the footprint."""
    washer = c.disc(axes, apothem * 1.45)
    c.add_body(scene, washer, top + 1.2, 1.2, replace(finish, gloss=0.55))
    head = np.maximum(c.hexagon(axes, apothem), c.disc(axes, apothem * 1.10))
    c.add_body(scene, head, top + 6.0, 1.8, finish)
    return washer


def _socket_screw(scene: Scene, axes: Frame, top: float, radius: float, finish: Finish) -> Floats:
    """A cylinder head with a hexagon socket; returns the footprint."""
    head = c.disc(axes, radius)
    c.add_body(scene, head, top + 2.2, 1.6, finish)
    c.sink(scene, c.hexagon(axes, radius * 0.46), 5.0, 0.8)
    return head


def flange(rng: np.random.Generator, change: Change) -> Model:
    """A turned steel flange with a raised hub and six black bolts."""
    model, table = _start(rng, "rubber")
    scene, axes = model.scene, _pose(rng, math.pi)
    face = _turned(axes, rng, c.STEEL, 0.8)
    c.add_body(scene, c.disc(axes, 99), 9, 2.5, face)
    c.add_body(scene, c.disc(axes, 47), 14, 2.0, replace(face, tone=np.asarray(face.tone) * 1.04))
    c.cut(scene, c.disc(axes, 26), table, 2.5)
    wrong = change.piece(("missing", "misplaced"), 6)
    for i in range(6):
        angle = i * math.pi / 3
        seat = axes.moved(72 * math.cos(angle), 72 * math.sin(angle))
        c.cut(scene, c.disc(seat, 7.5), table)
        spin = uniform(rng, 0, math.pi / 3)
        off = change.shift(3.5, 12) if i == wrong else (0.0, 0.0)
        bolt = seat.moved(*off, spin)
        if i == wrong:
            model.mark(c.disc(seat, 9.0 * 1.45))
        if not (i == wrong and change.kind == "missing" and change.applied):
            print_ = _hex_bolt(scene, bolt, 9, 9.0, Finish(c.BLACK, 0.75))
            if i == wrong:
                model.mark(print_)
    return model


def gear(rng: np.random.Generator, change: Change) -> Model:
    """A cast-iron spur gear with ground teeth, five lightening holes and a brass bushing."""
    model, table = _start(rng, "wood")
    scene, axes = model.scene, _pose(rng, math.pi)
    tooth = change.piece(("missing",), 18)
    steel = _turned(axes, rng, c.STEEL, 0.75)
    outline, gap = _toothed(axes, 18, tooth, change)
    c.add_body(scene, outline, 10, 1.6, steel)
    if tooth is not None:
        model.mark(gap)
    web = np.maximum(c.disc(axes, 70), -c.disc(axes, 37))
    c.sink(scene, web, 4.5, 4.0)
    low = web < -2
    skin = _cast(axes, rng, c.IRON, 0.35)
    scene.material[low] = c.IRON
    scene.gloss[low] = skin.gloss
    scene.tone[low], scene.bump[low] = np.asarray(skin.tone)[low], np.asarray(skin.bump)[low]
    scene.height[low] += 0.35 * np.asarray(skin.bump)[low]
    for i in range(5):
        angle = (i + 0.3) * 2 * math.pi / 5
        lightening = c.disc(axes.moved(53.5 * math.cos(angle), 53.5 * math.sin(angle)), 10)
        c.cut(scene, lightening, table, 2.0)
    seat = axes.moved(*change.shift(3.0, 9.0))
    rim = c.disc(seat, 24)
    c.add_body(scene, rim, 14, 2.0, _turned(seat, rng, c.BRASS, 0.85))
    c.cut(scene, c.disc(seat, 12.5), table, 2.0)
    c.cut(scene, c.box(seat.moved(0, -13), 3.4, 4.5), table, 1.0)
    if change.kind == "misplaced":
        model.mark(rim)
    return model


def _toothed(
    axes: Frame, teeth: int, broken: int | None, change: Change
) -> tuple[Floats, Floats]:
    """Outline of a gear's rim, and the part of one tooth that breaks off."""
    radius = c.disc(axes, 0.0)
    place = c.turns(axes) * teeth
    number = np.minimum(place.astype(np.int32), teeth - 1)
    arc = np.abs(place - number - 0.5) * (2 * math.pi / teeth) * radius
    width = 9.2 - (radius - 86) * 0.27
    tip = np.full_like(radius, 104.0)
    root = np.maximum(radius - 88, arc - 40)
    gap = np.full_like(radius, 1.0)
    if broken is not None:
        stump = 88 + 11 * (1 - change.strength)
        whole = np.maximum(arc - width, radius - 104)
        gap = np.where(number == broken, np.maximum(whole, stump - radius), 1.0)
        if change.applied:
            tip = np.where(number == broken, stump, tip)
    flank = np.maximum(arc - width, radius - tip)
    return np.minimum(np.minimum(flank, radius - 88), root), gap


def bracket(rng: np.random.Generator, change: Change) -> Model:
    """A zinc-plated angle bracket of sheet metal, two slots, three hexagon bolts."""
    model, table = _start(rng, "felt")
    scene, axes = model.scene, _pose(rng, 0.35)
    straight = axes.moved(-52, 52)  # the inner corner of the L
    bent = _bent(straight, change)
    plating = _brushed(bent, rng, c.ZINC, 0.62)
    upright, foot = c.box(straight.moved(0, -52), 30, 86, 9), c.box(bent.moved(58, 0), 92, 30, 9)
    fillet = np.maximum(-c.disc(straight.moved(48, -48), 18), c.box(straight.moved(38, -38), 10, 10))
    outline = np.minimum(np.minimum(upright, foot), fillet)
    c.add_body(scene, outline, 5, 1.4, plating)
    c.sink(scene, c.box(straight.moved(0, -32), 4.5, 22, 4.4), -2.6, 5.0)  # pressed stiffener
    for slot in (
        c.box(straight.moved(0, -88), 6, 16, 6),
        c.box(bent.moved(78, 0), 16, 6, 6),
    ):
        c.cut(scene, slot, table, 1.0)
    if change.kind == "bend":
        model.touched |= (np.abs(_sag(straight, change, always=True)) > 0.75) & (outline < 0)
    seats = (straight.moved(0, 0), straight.moved(0, -120), bent.moved(122, 0))
    wrong = change.piece(("missing", "misplaced"), len(seats))
    for i, seat in enumerate(seats):
        c.cut(scene, c.disc(seat, 7.5), table, 1.0)
        spin = uniform(rng, 0, math.pi / 3)
        off = change.shift(3.5, 11) if i == wrong else (0.0, 0.0)
        bolt = seat.moved(*off, spin)
        if i == wrong:
            model.mark(c.disc(seat, 9.5 * 1.45))
        if not (i == wrong and change.kind == "missing" and change.applied):
            print_ = _hex_bolt(scene, bolt, 5, 9.5, Finish(c.STEEL, 0.75))
            if i == wrong:
                model.mark(print_)
    return model


def _sag(axes: Frame, change: Change, *, always: bool = False) -> Floats:
    """How far the bracket's foot is bent aside: a parabola from the fold on."""
    if change.kind != "bend" or not (change.applied or always):
        return np.zeros_like(axes.u)
    beyond = np.maximum(axes.u - (40 + 25 * change.choice), 0)
    side = 1.0 if change.direction < math.pi else -1.0
    return beyond * beyond * (side * (0.0012 + 0.0028 * change.strength))


def _bent(axes: Frame, change: Change) -> Frame:
    return Frame(axes.u, axes.v - _sag(axes, change), axes.angle)


def cover(rng: np.random.Generator, change: Change) -> Model:
    """A milled aluminium cover, four socket screws, a pocket with a brass name-plate."""
    model, table = _start(rng, "bench")
    scene, axes = model.scene, _pose(rng, 0.3)
    milled = _brushed(axes, rng, c.ALUMINIUM, 0.6)
    c.add_body(scene, c.box(axes, 98, 84, 14), 10, 2.5, milled)
    c.sink(scene, c.box(axes, 66, 50, 10), 4.0, 3.0)
    wrong = change.piece(("missing", "misplaced"), 5)
    for i, (du, dv) in enumerate(((-80, -66), (80, -66), (80, 66), (-80, 66))):
        seat = axes.moved(du, dv)
        c.sink(scene, c.disc(seat, 12), 2.5, 1.5)
        c.cut(scene, c.disc(seat, 5), table, 0.8)
        off = change.shift(2.5, 9) if i == wrong else (0.0, 0.0)
        screw = seat.moved(*off, uniform(rng, 0, math.pi / 3))
        if i == wrong:
            model.mark(c.disc(seat, 10.5))
        if not (i == wrong and change.kind == "missing" and change.applied):
            print_ = _socket_screw(scene, screw, 8, 10.5, Finish(c.BLACK, 0.7))
            if i == wrong:
                model.mark(print_)
    _name_plate(model, axes, rng, change, concerned=wrong == 4)
    return model


def _name_plate(
    model: Model, axes: Frame, rng: np.random.Generator, change: Change, *, concerned: bool
) -> None:
    off = change.shift(3, 12) if concerned else (0.0, 0.0)
    turn = 0.25 * change.strength if concerned and off != (0.0, 0.0) else 0.0
    plate = axes.moved(*off, turn + uniform(rng, -0.01, 0.01))
    finish = _brushed(plate, rng, c.BRASS, 0.7)
    right_place = c.box(axes, 44, 26, 4)
    if concerned:
        model.mark(right_place)
    if concerned and change.kind == "missing" and change.applied:
        return
    outline = c.box(plate, 44, 26, 4)
    c.add_body(model.scene, outline, 8, 1.0, finish)
    for row, (width, height) in enumerate(((30, 3.0), (22, 1.6), (34, 1.6), (16, 1.6))):
        line = c.box(plate.moved(width - 36.0, -15.0 + 10 * row), width, height)
        letters = (c.sample("streak", plate, rng) > -0.25) & (line < 0)
        del letters
        engraved = np.maximum(line, 1.4 - np.abs(_sawtooth(plate.u, 5.5 if row else 8.0)))
        c.sink(model.scene, engraved, 0.8, 0.8)
        model.scene.tone[engraved < 0] *= np.float32(0.45)
    if concerned:
        model.mark(outline)


def _sawtooth(u: Floats, period: float) -> Floats:
    return u - np.floor(u / period + 0.5) * period


def perforated(rng: np.random.Generator, change: Change) -> Model:
    """A perforated steel sheet, holes in staggered rows, over darkness."""
    model, table = _start(rng, "dark")
    axes = _pose(rng, 0.12, 12.0)
    c.add_body(model.scene, c.box(axes, 400, 400), 6, 1.0, _brushed(axes, rng, c.STEEL, 0.55))
    pitch, row = 27.0, 23.4
    wrong = change.piece(("missing", "misplaced"), 12)
    spots = [(4 * (i % 3) - 4 + i // 3 - 1, i // 3 * 2 - 3) for i in range(12)]
    nearest = np.full_like(axes.u, 1e3)
    for odd in (0, 1):
        u = axes.u - odd * pitch / 2
        v = axes.v - odd * row
        column = np.floor(u / pitch + 0.5)
        line = np.floor(v / (2 * row) + 0.5)
        holes = c.disc(Frame(u - column * pitch, v - line * 2 * row, 0.0), 8.2)
        if wrong is not None and spots[wrong][1] % 2 == odd:
            mine = (column == spots[wrong][0] // 2) & (line == (spots[wrong][1] - odd) // 2)
            right = np.where(mine, holes, 1.0)
            model.mark(right)
            if change.applied:
                holes = np.where(mine, 1e3, holes)
                if change.kind == "misplaced":
                    home = axes.moved(
                        spots[wrong][0] // 2 * pitch + odd * pitch / 2, spots[wrong][1] * row
                    )
                    moved = c.disc(home.moved(*change.shift(2.0, 4.5)), 8.2)
                    model.mark(moved)
                    holes = np.minimum(holes, moved)
        nearest = np.minimum(nearest, holes)
    c.cut(model.scene, nearest, table, 1.2)
    return model


def sheet(rng: np.random.Generator, _change: Change) -> Model:
    """A brushed stainless sheet that fills the picture."""
    model, _ = _start(rng, "dark")
    axes = _pose(rng, 0.08, 20.0)
    c.add_body(model.scene, c.box(axes, 400, 400), 6, 1.0, _brushed(axes, rng, c.STEEL, 0.7))
    return model


BUILDERS: dict[str, Callable[[np.random.Generator, Change], Model]] = {
    "flange": flange,
    "gear": gear,
    "bracket": bracket,
    "cover": cover,
    "perforated": perforated,
    "sheet": sheet,
}

"""The parts: how each category is modelled, and which of its pieces can be wrong.

A builder draws everything random from `rng` whether or not it shows, so that a part with a
defect and its flawless twin agree in all else. It marks the footprint of the piece that a
`Change` concerns, in its right place or its wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from adbench.datasets.synthetic import canvas as c
from adbench.datasets.synthetic.canvas import Floats, Frame, uniform
from adbench.datasets.synthetic.modelling import (
    Change,
    Finish,
    Model,
    bare_table,
    brushed,
    cast,
    hex_bolt,
    laid_down,
    socket_screw,
    turned,
)

Builder = Callable[[np.random.Generator, Change], Model]


def flange(rng: np.random.Generator, change: Change) -> Model:
    """A turned steel flange with a raised hub and six black bolts."""
    model = bare_table(rng, "rubber")
    axes = laid_down(rng, math.pi)
    face = turned(axes, rng, c.STEEL, 0.8)
    radius = c.disc(axes, 0.0)
    model.add(radius - 99, 9, 2.5, face)
    model.add(radius - 47, 14, 2.0, face)
    model.cut(radius - 26, 2.5)
    concerned = change.piece(6)
    for i in range(6):
        angle = i * math.pi / 3
        seat = (72 * math.cos(angle), 72 * math.sin(angle))
        own = change if i == concerned else Change()
        _bolted(model, axes, seat, 9, Finish(c.BLACK, 0.75), own, uniform(rng, 0, 1))
    return model


def _bolted(
    model: Model,
    axes: Frame,
    seat: tuple[float, float],
    top: float,
    finish: Finish,
    change: Change,
    spin: float,
) -> None:
    """A through hole at `seat` and its bolt, in it, beside it or lost."""
    spot, near = model.around(_origin_at(axes, seat), 30)
    spot.cut(c.disc(near, 7.5))
    bolt = near.moved(*change.shift(3.5, 12), spin)
    if change.kind:
        spot.mark(c.disc(bolt, 9 * 1.45))
    if not change.leaves_out:
        hex_bolt(spot, bolt, top, 9, finish)


def _origin_at(axes: Frame, place: tuple[float, float]) -> Frame:
    return Frame(axes.u - place[0], axes.v - place[1], axes.angle)


def gear(rng: np.random.Generator, change: Change) -> Model:
    """A steel spur gear with a cast web, five lightening holes and a brass bushing."""
    model = bare_table(rng, "wood")
    axes = laid_down(rng, math.pi)
    rim, broken_off = _toothed(axes, 18, change)
    model.add(rim, 10, 1.6, turned(axes, rng, c.STEEL, 0.75))
    if change.kind == "missing":
        model.mark(broken_off)
    radius = c.disc(axes, 0.0)
    web = np.maximum(radius - 70, 37 - radius)
    model.sink(web, 4.5, 4.0)
    skin = cast(axes, rng, c.IRON, 0.35)
    low = web < -2
    model.scene.material[low] = c.IRON
    model.scene.gloss[low] = skin.gloss
    model.scene.bump[low] = 0
    np.copyto(model.scene.tone, skin.tone, where=low)
    model.scene.height += np.where(low, 0.5 * c.sample("grain", axes, rng), 0)
    for i in range(5):
        angle = (i + 0.3) * 2 * math.pi / 5
        place = (53.5 * math.cos(angle), 53.5 * math.sin(angle))
        spot, near = model.around(_origin_at(axes, place), 14)
        spot.cut(c.disc(near, 10), 2.0)
    _bushing(model, _origin_at(axes, change.shift(3.0, 9.0)), rng, change)
    return model


def _bushing(model: Model, axes: Frame, rng: np.random.Generator, change: Change) -> None:
    """A brass bushing with a keyed bore, pressed into the hub."""
    spot, near = model.around(axes, 30)
    spot.add(c.disc(near, 24), 14, 2.0, turned(near, rng, c.BRASS, 0.85))
    spot.cut(c.disc(near, 12.5), 2.0)
    spot.cut(c.box(near.moved(0, -13), 3.4, 4.5), 1.0)
    if change.kind == "misplaced":
        spot.mark(c.disc(near, 24))


def _toothed(axes: Frame, teeth: int, change: Change) -> tuple[Floats, Floats]:
    """Outline of a gear's rim, and of what breaks off one tooth."""
    radius = c.disc(axes, 0.0)
    place = c.turns(axes) * teeth
    number = np.minimum(place.astype(np.int32), teeth - 1)
    arc = np.abs(place - number - 0.5) * (2 * math.pi / teeth) * radius
    tooth = np.maximum(arc + radius * 0.27 - 32.4, radius - 104)
    broken = number == int(change.choice * teeth)
    stump = 88 + 11 * (1 - change.strength)
    broken_off = np.where(broken, np.maximum(tooth, stump - radius), 1.0)
    if change.leaves_out:
        tooth = np.where(broken, np.maximum(tooth, radius - stump), tooth)
    return np.minimum(tooth, radius - 88), broken_off


def bracket(rng: np.random.Generator, change: Change) -> Model:
    """A zinc-plated angle bracket of sheet metal, two slots, three hexagon bolts."""
    model = bare_table(rng, "felt")
    axes = _origin_at(laid_down(rng, 0.35), (-52.0, 52.0))  # the inner corner of the L
    sag = _sag(axes, change)
    bent = Frame(axes.u, axes.v - sag, axes.angle) if change.applied else axes
    upright = c.box(_origin_at(axes, (0, -54)), 30, 84, 9)
    fillet = np.maximum(
        c.box(_origin_at(axes, (39, -39)), 10, 10), 18 - c.disc(axes.moved(48, -48), 0)
    )
    outline = np.minimum(np.minimum(upright, fillet), c.box(_origin_at(bent, (60, 0)), 90, 30, 9))
    model.add(outline, 5, 1.4, brushed(bent, rng, c.ZINC, 0.62))
    model.sink(c.box(_origin_at(axes, (0, -34)), 4.5, 20, 4.4), -2.6, 5.0)  # a stiffening bead
    model.cut(c.box(_origin_at(axes, (0, -88)), 6, 16, 6), 1.0)
    model.cut(c.box(_origin_at(bent, (78, 0)), 16, 6, 6), 1.0)
    if change.kind == "bend":
        model.touched |= (sag != 0) & (outline < 0)
    concerned = change.piece(3)
    for i, (frame, seat) in enumerate(((axes, (0, 0)), (axes, (0, -120)), (bent, (122, 0)))):
        own = change if i == concerned else Change()
        _bolted(model, frame, seat, 5, Finish(c.STEEL, 0.75), own, uniform(rng, 0, 1))
    return model


def _sag(axes: Frame, change: Change) -> Floats:
    """How far the bracket's foot is bent aside: a parabola from the fold on.

    Shifts of less than half a buffer pixel are none, so that where the sheet seems unbent it is.
    """
    if change.kind != "bend":
        return np.zeros_like(axes.u)
    beyond = np.maximum(axes.u - (40 + 25 * change.choice), 0)
    far = beyond * beyond * (0.0008 + 0.0030 * change.strength)
    side = 1.0 if change.direction < math.pi else -1.0
    sag: Floats = side * np.maximum(far - 0.25, 0)
    return sag


def cover(rng: np.random.Generator, change: Change) -> Model:
    """A milled aluminium cover, four socket screws, a pocket with a brass name-plate."""
    model = bare_table(rng, "bench")
    axes = laid_down(rng, 0.3)
    model.add(c.box(axes, 98, 84, 14), 10, 2.5, brushed(axes, rng, c.ALUMINIUM, 0.6))
    model.sink(c.box(axes, 66, 50, 10), 4.0, 3.0)
    concerned = change.piece(5)
    for i, seat in enumerate(((-80, -66), (80, -66), (80, 66), (-80, 66))):
        own = change if i == concerned else Change()
        _screwed(model, _origin_at(axes, seat), own, uniform(rng, 0, 1))
    _name_plate(model, axes, rng, change if concerned == 4 else Change())
    return model


def _screwed(model: Model, seat: Frame, change: Change, spin: float) -> None:
    """A counterbored hole and its socket screw, in it, beside it or lost."""
    spot, near = model.around(seat, 28)
    spot.sink(c.disc(near, 12), 2.5, 1.5)
    spot.cut(c.disc(near, 5), 0.8)
    screw = near.moved(*change.shift(2.5, 9), spin)
    if change.kind:
        spot.mark(c.disc(screw, 10.5))
    if not change.leaves_out:
        socket_screw(spot, screw, 8, 10.5, Finish(c.BLACK, 0.7))


def _name_plate(model: Model, axes: Frame, rng: np.random.Generator, change: Change) -> None:
    """A brass plate with four lines of stamped marks."""
    du, dv = change.shift(3, 12)
    askew = 0.2 * change.strength if du else 0.0
    loose = axes.moved(du, dv, askew + uniform(rng, -0.01, 0.01))
    spot, plate = model.around(loose, 50)
    outline, finish = c.box(plate, 44, 26, 4), brushed(plate, rng, c.BRASS, 0.7)
    if change.kind:
        spot.mark(outline)
    if change.leaves_out:
        return
    spot.add(outline, 8, 1.0, finish)
    for line, (width, height) in enumerate(((30, 3.0), (22, 1.6), (34, 1.6), (16, 1.6))):
        pitch = 8.0 if line == 0 else 5.5
        row = c.box(plate.moved(width - 36.0, -15.0 + 10 * line), width, height)
        stroke = np.abs(plate.u - np.floor(plate.u / pitch + 0.5) * pitch) - 0.3 * pitch
        stamped = np.maximum(row, stroke)
        spot.sink(stamped, 0.8, 0.8)
        spot.scene.tone[stamped < 0] *= np.float32(0.45)


def perforated(rng: np.random.Generator, change: Change) -> Model:
    """A perforated steel sheet, holes in staggered rows, over darkness."""
    model = bare_table(rng, "dark")
    axes = laid_down(rng, 0.12, 12.0)
    model.add(np.full_like(axes.u, -9), 6, 1.0, brushed(axes, rng, c.STEEL, 0.55))
    pitch, spacing, radius = 27.0, 23.4, 8.2
    staggered = [
        Frame(_centred(axes.u - u, pitch), _centred(axes.v - v, 2 * spacing), 0.0)
        for u, v in ((0.0, 0.0), (pitch / 2, spacing))
    ]
    holes = np.minimum(c.disc(staggered[0], radius), c.disc(staggered[1], radius))
    concerned = change.piece(15)
    if concerned is not None:
        row, column = concerned // 5 - 1, concerned % 5 - 2
        home = _origin_at(axes, (pitch * (column + 0.5 * (row % 2)), spacing * row))
        wrong = c.disc(home.moved(*change.shift(2.0, 4.5)), radius)
        model.mark(wrong - 1.2)
        if change.applied:
            holes = np.where(c.disc(home, radius) < 3, 3.0, holes)
            holes = holes if change.leaves_out else np.minimum(holes, wrong)
    model.cut(holes, 1.2)
    return model


def _centred(u: Floats, period: float) -> Floats:
    """Distance from the nearest multiple of `period`, signed."""
    centred: Floats = u - np.floor(u / period + 0.5) * period
    return centred


def sheet(rng: np.random.Generator, _change: Change) -> Model:
    """A brushed stainless sheet that fills the picture."""
    model = bare_table(rng, "dark")
    axes = laid_down(rng, 0.08, 20.0)
    model.add(np.full_like(axes.u, -9), 6, 1.0, brushed(axes, rng, c.STEEL, 0.7))
    return model


BUILDERS: dict[str, Builder] = {
    "flange": flange,
    "gear": gear,
    "bracket": bracket,
    "cover": cover,
    "perforated": perforated,
    "sheet": sheet,
}

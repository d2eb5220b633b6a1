"""Curves and histograms of a category, from its records: geometry for inline SVG.

Drawn by the template and not by matplotlib: they follow the reader's colours and print sharp, and
those of forty categories take a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adbench.figures.cases import ImageScores, image_scores
from adbench.figures.curves import PANELS, PRO_LIMIT, Curve, curves_of
from adbench.figures.names import categories_of
from adbench.store.records import Record

WIDTH, HEIGHT = 240.0, 168.0
LEFT, RIGHT, TOP, BOTTOM = 30.0, 8.0, 8.0, 30.0
"""The drawing's margins, in units of its view box."""
_BINS = 20
MAX_CATEGORIES = 60
MAX_METHODS = 14

PixelCurves = Mapping[tuple[str, str], Mapping[str, Mapping[str, Curve]]]
"""(data set, category) -> score key of a record -> kind -> curve."""


@dataclass(frozen=True)
class Line:
    """One method in one panel."""

    label: str
    style: int
    path: str


@dataclass(frozen=True)
class Bar:
    """One bin of one kind of image."""

    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in view-box units."""

    at: str
    text: str


@dataclass(frozen=True)
class Panel:
    """One small chart."""

    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    diagonal: str = ""


@dataclass(frozen=True)
class CategoryCharts:
    """The charts of one category and the key to its lines."""

    dataset: str
    category: str
    seed: str
    legend: tuple[tuple[int, str], ...]
    curves: tuple[Panel, ...]
    histograms: tuple[Panel, ...]
    num_normal: int
    num_anomalous: int
    left_out: str


def category_charts(
    records: Sequence[Record], pixel: PixelCurves, notes: list[str]
) -> list[CategoryCharts]:
    """One a category with a finished cell, `MAX_CATEGORIES` at most; `notes` gets the rest."""
    groups = list(categories_of(records))
    rest = [f"{dataset}: {category}" for dataset, category, _ in groups[MAX_CATEGORIES:]]
    if rest:
        notes.append(
            f"Left out, as there are more than {MAX_CATEGORIES} categories: curves of "
            f"{', '.join(rest)}. `adbench figures` draws all of them."
        )
    return [_category(*group, pixel) for group in groups[:MAX_CATEGORIES]]


def _category(
    dataset: str, category: str, group: dict[str, Record], pixel: PixelCurves
) -> CategoryCharts:
    shown = dict(list(group.items())[:MAX_METHODS])
    by_key = pixel.get((dataset, category), {})
    own = {label: by_key.get(record.keys["score"], {}) for label, record in shown.items()}
    curves = curves_of(shown, category, own)
    styles = {label: number for number, label in enumerate(shown)}
    panels = []
    for unit, kind, metric, title, x, y in PANELS:
        if (unit, kind) in curves:
            values = {n: r.metrics[category].get(metric) for n, r in shown.items()}
            panels.append(_curve_panel(title, x, y, kind, curves[unit, kind], styles, values))
    histograms = [_histogram(label, image_scores(r, category)) for label, r in shown.items()]
    labels = image_scores(next(iter(shown.values())), category).labels
    return CategoryCharts(
        dataset,
        category,
        ", ".join(map(str, sorted({r.identity["seed"] for r in shown.values()}))),
        tuple((number, label) for label, number in styles.items()),
        tuple(panels),
        tuple(histograms),
        len(labels) - sum(labels),
        sum(labels),
        f"Drawn: the first {len(shown)} of {len(group)} methods."
        if len(shown) < len(group)
        else "",
    )


def _curve_panel(
    title: str, x: str, y: str, kind: str, curves: Mapping[str, Curve],
    styles: Mapping[str, int], values: Mapping[str, float | None],
) -> Panel:  # fmt: skip
    limit = PRO_LIMIT if kind == "pro" else 1.0
    lines = tuple(
        Line(f"{n}{_value(values[n])}", styles[n], _path(curve, limit, steps=kind == "pr"))
        for n, curve in curves.items()
    )
    ticks = [0, limit / 3, 2 * limit / 3, limit] if kind == "pro" else [0, 0.25, 0.5, 0.75, 1]
    named = "; ".join(line.label for line in lines)
    return Panel(
        title,
        f"{title}: {named}",
        x,
        y,
        tuple(Tick(_number(_x(t / limit)), f"{t:g}") for t in ticks),
        tuple(Tick(_number(_y(t)), f"{t:g}") for t in (0, 0.25, 0.5, 0.75, 1)),
        lines,
        diagonal=_path(Curve.from_json([[0, 1], [0, 1]]), 1.0) if kind == "roc" else "",
    )


def _histogram(label: str, images: ImageScores) -> Panel:
    finite = [(s, k) for s, k in zip(images.scores, images.labels, strict=True) if math.isfinite(s)]
    low = min((s for s, _ in finite), default=0.0)
    high = max((s for s, _ in finite), default=1.0)
    span = high - low or 1.0
    counts = [[0] * _BINS, [0] * _BINS]
    for score, kind in finite:
        counts[kind][min(_BINS - 1, int((score - low) / span * _BINS))] += 1
    most = max(1, *counts[0], *counts[1])
    bars = tuple(
        Bar(
            ("normal", "anomalous")[kind],
            _number(_x(place / _BINS)),
            _number(_y(count / most)),
            _number((WIDTH - LEFT - RIGHT) / _BINS),
            _number(_y(0) - _y(count / most)),
        )
        for kind in (0, 1)
        for place, count in enumerate(counts[kind])
        if count
    )
    anomalous = sum(images.labels)
    lost = len(images.scores) - len(finite)
    endless = f", {lost} scores not finite" if lost else ""
    kinds = f"{len(images.labels) - anomalous} normal, {anomalous} anomalous images{endless}"
    return Panel(
        label,
        f"Scores of {label}: {kinds}, from {low:.4g} to {high:.4g}",
        f"score ({lost} not finite)" if lost else "score",
        "images",
        tuple(Tick(_number(_x(p)), f"{low + p * span:.3g}") for p in (0, 0.5, 1)),
        (Tick(_number(_y(0)), "0"), Tick(_number(_y(1)), str(most))),
        bars=bars,
    )


def _path(curve: Curve, limit: float, *, steps: bool = False) -> str:
    """SVG path data; with `steps`, a value holds back to the point before (as precision does)."""
    places = [
        (_number(_x(min(x / limit, 1.0))), _number(_y(y)))
        for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)
    ]
    if steps:
        return f"M{places[0][0]} {places[0][1]}" + "".join(f"V{y}H{x}" for x, y in places[1:])
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _value(value: float | None) -> str:
    return "" if value is None else f" {100 * value:.2f}"

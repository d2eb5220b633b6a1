"""Curves and histograms of a category, from its records: geometry for inline SVG.

Drawn by the template and not by matplotlib: they follow the reader's colours and print sharp, and
those of forty categories take a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from adbench.figures.cases import image_scores
from adbench.figures.curves import PANELS, PRO_LIMIT, Curve, curves_of
from adbench.figures.names import categories_of
from adbench.report.html.cells import View
from adbench.store.records import Record

LEFT, RIGHT, TOP, BOTTOM = 30.0, 232.0, 8.0, 138.0
"""Of the axes, in units of the view box, as in the template."""
_BINS = 20
MAX_CATEGORIES = 60
MAX_METHODS = 14

PixelCurves = Mapping[tuple[str, str], Mapping[str, Mapping[str, Curve]]]
"""(data set, category) -> score key of a record -> kind -> curve."""


def category_charts(records: Sequence[Record], pixel: PixelCurves, notes: list[str]) -> list[View]:
    """One a category with a finished cell, `MAX_CATEGORIES` at most; `notes` gets the rest."""
    groups = list(categories_of(records))
    rest = [f"{dataset}: {category}" for dataset, category, _ in groups[MAX_CATEGORIES:]]
    if rest:
        notes.append(
            f"Left out, as there are more than {MAX_CATEGORIES} categories: curves of "
            f"{', '.join(rest)}. `adbench figures` draws all of them."
        )
    return [_category(*group, pixel) for group in groups[:MAX_CATEGORIES]]


def _category(dataset: str, category: str, group: dict[str, Record], pixel: PixelCurves) -> View:
    shown = dict(list(group.items())[:MAX_METHODS])
    by_key = pixel.get((dataset, category), {})
    kept = {label: by_key.get(record.keys["score"], {}) for label, record in shown.items()}
    curves = curves_of(shown, category, kept)
    panels = []
    for unit, kind, metric, title, x, y in PANELS:
        if (unit, kind) in curves:
            drawn = []
            for label, record in shown.items():
                value = record.metrics[category].get(metric)
                text = label if value is None else f"{label} {100 * value:.2f}"
                drawn.append((text, curves[unit, kind].get(label)))
            panels.append(_curves(title, x, y, kind, drawn))
    labels = image_scores(next(iter(shown.values())), category).labels
    left_out = f"Drawn: the first {len(shown)} of {len(group)} methods."
    return {
        "dataset": dataset,
        "category": category,
        "seed": ", ".join(map(str, sorted({r.identity["seed"] for r in shown.values()}))),
        "legend": list(enumerate(shown)),
        "curves": panels,
        "histograms": [_histogram(label, r, category) for label, r in shown.items()],
        "num_normal": len(labels) - sum(labels),
        "num_anomalous": sum(labels),
        "left_out": left_out if len(shown) < len(group) else "",
    }


def _curves(
    title: str, x: str, y: str, kind: str, drawn: Sequence[tuple[str, Curve | None]]
) -> View:
    limit = PRO_LIMIT if kind == "pro" else 1.0
    quarters = (0, 0.25, 0.5, 0.75, 1)
    ticks = [0, limit / 3, 2 * limit / 3, limit] if kind == "pro" else quarters
    there = [(label, style, c) for style, (label, c) in enumerate(drawn) if c is not None]
    lines = [(label, style, _path(c, limit, steps=kind == "pr")) for label, style, c in there]
    return {
        "title": title, "description": f"{title}: {'; '.join(label for label, *_ in lines)}",
        "x": x, "x_ticks": [(_x(t / limit), f"{t:g}") for t in ticks],
        "y": y, "y_ticks": [(_y(t), f"{t:g}") for t in quarters],
        "lines": lines, "bars": [],
        "diagonal": _path(Curve.from_json([[0, 1], [0, 1]]), 1.0) if kind == "roc" else "",
    }  # fmt: skip


def _histogram(label: str, record: Record, category: str) -> View:
    images = image_scores(record, category)
    finite = [(s, k) for s, k in zip(images.scores, images.labels, strict=True) if math.isfinite(s)]
    low = min((s for s, _ in finite), default=0.0)
    high = max((s for s, _ in finite), default=1.0)
    span = high - low or 1.0
    counts = np.zeros((2, _BINS), int)
    for score, kind in finite:
        counts[kind, min(_BINS - 1, int((score - low) / span * _BINS))] += 1
    most = max(1, int(counts.max()))
    bars = [
        (
            ("normal", "anomalous")[kind],
            _x(place / _BINS),
            _y(share),
            _number(share * (BOTTOM - TOP)),
        )
        for (kind, place), share in np.ndenumerate(counts / most)
        if share
    ]
    anomalous, lost = sum(images.labels), len(images.scores) - len(finite)
    endless = f", {lost} scores not finite" if lost else ""
    kinds = f"{len(images.labels) - anomalous} normal, {anomalous} anomalous images{endless}"
    return {
        "title": label,
        "description": f"Scores of {label}: {kinds}, from {low:.4g} to {high:.4g}",
        "x": f"score ({lost} not finite)" if lost else "score",
        "x_ticks": [(_x(p), f"{low + p * span:.3g}") for p in (0, 0.5, 1)],
        "y": "images", "y_ticks": [(_y(0), "0"), (_y(1), str(most))],
        "lines": [], "bars": bars, "bar_width": _number((RIGHT - LEFT) / _BINS), "diagonal": "",
    }  # fmt: skip


def _path(curve: Curve, limit: float, *, steps: bool = False) -> str:
    """SVG path data; with `steps`, a value holds back to the point before (as precision does)."""
    points = zip(curve.x.tolist(), curve.y.tolist(), strict=True)
    places = [(_x(min(x / limit, 1.0)), _y(y)) for x, y in points]
    if steps:
        return f"M{places[0][0]} {places[0][1]}" + "".join(f"V{y}H{x}" for x, y in places[1:])
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _x(share: float) -> str:
    return _number(LEFT + share * (RIGHT - LEFT))


def _y(share: float) -> str:
    return _number(BOTTOM - share * (BOTTOM - TOP))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

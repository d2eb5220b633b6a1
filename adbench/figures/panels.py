"""ROC, precision-recall and PRO curves of one category, and the histograms of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from adbench.figures.cases import ImageScores, image_scores
from adbench.figures.curves import PRO_LIMIT, Curve, image_curves
from adbench.figures.style import (
    ANOMALOUS_COLOUR,
    NORMAL_COLOUR,
    folded,
    in_inches,
    line_style,
    new_figure,
)
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, GAP = 1.95, 0.55  # inches
_HEAD, _FOOT, _LEFT = 0.6, 0.5, 0.55
_LEGEND_LINE = 0.16
_PER_ROW = 5
_BINS = 24

PANELS = (
    ("image", "roc", "image ROC", "false-positive rate", "true-positive rate"),
    ("image", "pr", "image precision-recall", "recall", "precision"),
    ("pixel", "roc", "pixel ROC", "false-positive rate", "true-positive rate"),
    ("pixel", "pr", "pixel precision-recall", "recall", "precision"),
    ("pixel", "pro", "PRO", "false-positive rate of pixels", "mean overlap of regions"),
)
METRIC_OF = {
    ("image", "roc"): "image_auroc",
    ("image", "pr"): "image_aupr",
    ("pixel", "roc"): "pixel_auroc",
    ("pixel", "pr"): "pixel_aupr",
    ("pixel", "pro"): "aupro@0.3",
}

Curves = Mapping[tuple[str, str], Mapping[str, Curve]]
"""(image or pixel, kind) -> method's label -> curve."""


def curves_of(
    records: Mapping[str, Record], category: str, pixel: Mapping[str, Mapping[str, Curve]]
) -> dict[tuple[str, str], dict[str, Curve]]:
    """Image curves from the records' scores, and those of pixels where maps were kept."""
    found: dict[tuple[str, str], dict[str, Curve]] = {}
    for label, record in records.items():
        images = image_scores(record, category)
        own = image_curves(images.scores, images.labels)
        for unit, kinds in (("image", own), ("pixel", pixel.get(label, {}))):
            for kind, curve in kinds.items():
                found.setdefault((unit, kind), {})[label] = curve.thinned()
    return found


def curves_figure(
    records: Mapping[str, Record], category: str, curves: Curves, title: str
) -> Figure:
    """One panel a kind of curve, one line a method with its metric in the legend.

    `records` are one a method, by label; call inside `drawing()`.
    """
    shown = [panel for panel in PANELS if panel[:2] in curves]
    lines = len(records)
    width = _LEFT + len(shown) * (SIDE + GAP)
    foot = _FOOT + lines * _LEGEND_LINE
    figure = _titled(width, _HEAD + SIDE + foot, title)
    for place, (unit, kind, name, x, y) in enumerate(shown):
        left = _LEFT + place * (SIDE + GAP)
        axes = figure.add_axes(in_inches(figure, left, foot, SIDE, SIDE))
        axes.set(title=name, xlabel=x, ylabel=y, ylim=(-0.02, 1.02))
        axes.set_xlim((-0.006, PRO_LIMIT) if kind == "pro" else (-0.02, 1.02))
        for index, (label, record) in enumerate(records.items()):
            curve = curves[unit, kind].get(label)
            if curve is not None:
                steps: dict[str, Any] = {"drawstyle": "steps-pre"} if kind == "pr" else {}
                value = record.metrics[category].get(METRIC_OF[unit, kind])
                text = f"{_short(label)} {'–' if value is None else f'{100 * value:.2f}'}"
                style = line_style(index)
                axes.plot(curve.x, curve.y, label=text, linewidth=1.2, **style, **steps)
        if kind == "roc":
            axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.6, zorder=0)
        _legend_below(axes)
    return figure


def histogram_figure(records: Mapping[str, Record], category: str, title: str) -> Figure:
    """Scores of normal and anomalous images, one panel a method; call inside `drawing()`."""
    across = min(_PER_ROW, len(records))
    down = -(-len(records) // across)
    height, below = 1.35, 0.62
    whole = _HEAD + down * (height + below) - 0.15
    figure = _titled(0.5 + across * (SIDE + 0.35), whole, title)
    for index, (label, record) in enumerate(records.items()):
        row, column = divmod(index, across)
        bottom = whole - _HEAD - (row + 1) * height - row * below
        left = 0.5 + column * (SIDE + 0.35)
        axes = figure.add_axes(in_inches(figure, left, bottom, SIDE, height))
        _histogram(axes, image_scores(record, category))
        axes.set_title(folded(label, 34))
        if column == 0:
            axes.set_ylabel("images")
        if index == 0:
            axes.legend(frameon=False, loc="best")
    return figure


def _titled(width: float, height: float, title: str) -> Figure:
    figure = new_figure(width, height)
    figure.text(0.1 / width, 1 - 0.1 / height, title, fontsize=8.5, fontweight="bold", va="top")
    return figure


def _histogram(axes: Axes, images: ImageScores) -> None:
    from matplotlib.ticker import MaxNLocator

    scores = np.asarray(images.scores, np.float64)
    labels = np.asarray(images.labels, bool)
    finite = np.isfinite(scores)
    if not finite.any():
        axes.text(0.5, 0.5, "no finite score", ha="center", transform=axes.transAxes)
        return
    low, high = float(scores[finite].min()), float(scores[finite].max())
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    kinds = (("normal", ~labels, NORMAL_COLOUR), ("anomalous", labels, ANOMALOUS_COLOUR))
    for name, members, colour in kinds:
        values = scores[members & finite]
        label = f"{name} ({values.size})"
        axes.hist(values, bins=list(edges), color=colour, alpha=0.45, label=label)
        # The outline keeps the two apart where they overlap, and in grey.
        axes.hist(
            values, bins=list(edges), histtype="step", color=colour,
            linestyle="-" if name == "normal" else "--",
        )  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lost = int((~finite).sum())
    axes.set_xlabel(f"score ({lost} not finite)" if lost else "score", labelpad=1)


def _legend_below(axes: Axes) -> None:
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.12, -0.2), frameon=False, borderpad=0.1,
        labelspacing=0.25, handlelength=2.2,
    )  # fmt: skip


def _short(label: str, most: int = 30) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"

"""Score against what a training had cost and what its network had learned by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from adbench.figures.names import series
from adbench.figures.style import folded, line_style, panels, point_style
from adbench.metrics.table import titles
from adbench.store.points import Point, Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("image_auroc", "aupro@0.3")
_WIDTH = 40
"""Letters of a title over a column."""

SKILL = "skill, each method's own measure"
Axis = Callable[[Point], float | None]
AXES: Mapping[str, Axis] = {
    "training TFLOP (estimate)": lambda p: p.flops and p.flops / 1e12,
    "training seconds (hollow: disturbed)": lambda p: p.seconds,
    SKILL: lambda p: p.skill.get("value"),
}


def of_category(trainings: Sequence[Training], dataset: str, category: str) -> list[Training]:
    """Those that were trained on it."""
    own = [(training, training.record.identity) for training in trainings]
    return [t for t, i in own if i["dataset"] == dataset and category in i["categories"]]


def training_figure(trainings: Sequence[Training], category: str, title: str) -> Figure | None:
    """Rows of `SHOWN`, columns of `AXES`; None where no training has two points.

    A method has one colour, a seed of it one line; a method that has only an end is one mark.
    """
    if not any(len(training.points) > 1 for training in trainings):
        return None
    by_record = {id(training.record): training for training in trainings}
    methods = series(training.record for training in trainings)
    lines = [(label, by_record[id(r)].points) for label, own in methods.items() for r in own]
    shown = {n: a for n, a in AXES.items() if any(a(p) is not None for _, o in lines for p in o)}
    labels = list(methods)
    figure, axes = panels(len(shown), len(SHOWN), 2.3, 1.9, (0.24, 0.2))
    places = ((metric, name) for metric in SHOWN for name in shown)
    for axis, (metric, name) in zip(axes, places, strict=True):
        for label, points in lines:
            own = [(shown[name](p), p.metrics.get(category, {}).get(metric), p) for p in points]
            kept = [(x, y, p) for x, y, p in own if x is not None and y is not None]
            _line(axis, kept, labels.index(label), label, hollow="seconds" in name)
        _finish(axis, name if metric == SHOWN[-1] else "", is_log=name != SKILL)
        if name == next(iter(shown)):
            axis.set_ylabel(f"{titles()[metric]}, %")
    figure.suptitle(
        folded(title, _WIDTH * len(shown)), x=0, y=1.04, ha="left", va="bottom", fontsize=8
    )
    handles = dict(zip(*axes[0].get_legend_handles_labels()[::-1], strict=True))
    axes[len(shown) * (len(SHOWN) - 1)].legend(
        handles.values(), handles.keys(),
        loc="upper left", bbox_to_anchor=(-0.12, -0.28), labelspacing=0.3, ncols=2,
    )  # fmt: skip
    return figure


def _line(
    axes: Axes, points: Sequence[tuple[float, float, Point]], index: int, label: str, hollow: bool
) -> None:
    """A line through the points, the end of the training larger."""
    colour, marker = (point_style(index)[name] for name in ("color", "marker"))
    x, y = [x for x, _, _ in points], [100 * y for _, y, _ in points]
    axes.plot(x, y, **line_style(index), linewidth=1)
    for value, score, (_, _, point) in zip(x, y, points, strict=True):
        fill = "none" if hollow and not point.undisturbed else colour
        axes.plot(
            value, score, linestyle="none", marker=marker, color=colour, markerfacecolor=fill,
            markersize=6 if point.share == 1 else 3,
        )  # fmt: skip
    axes.plot([], [], **line_style(index), marker=marker, markersize=4, label=folded(label, 50))


def _finish(axes: Axes, name: str, *, is_log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xlabel(name)
    axes.margins(0.08)
    if is_log and axes.has_data():
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))

"""Accuracy against latency, with the Pareto front: what a better score costs in time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adbench.figures.names import series
from adbench.figures.style import folded, in_inches, new_figure, point_style
from adbench.metrics.table import titles
from adbench.store.comparability import on_newest_data
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("image_auroc", "aupro@0.3")
_WIDTH, _HEIGHT = 2.7, 2.3  # inches of a panel


@dataclass(frozen=True)
class Point:
    """One method on one data set and device: median seconds an image, mean metric over categories
    and seeds, a fraction."""

    label: str
    seconds: float
    value: float


@dataclass(frozen=True)
class Setting:
    """What latencies must share to be drawn together."""

    dataset: str
    scope: str
    device: str


def settings(records: Iterable[Record]) -> list[Setting]:
    """Data sets, scopes and devices on which at least one cell was timed undisturbed."""
    return list(dict.fromkeys(_setting(record) for record in records if _timed(record)))


def points(records: Sequence[Record], setting: Setting, metric: str) -> tuple[list[Point], int]:
    """The methods of a setting, and how many are left out.

    A method is left out when a cell of it failed, was disturbed while it was timed or lacks the
    metric, or when others have categories that it has not or newer data: its mean would be over
    other images.
    """
    here = [
        r for r in records
        if (r.identity["dataset"], r.identity["scope"]) == (setting.dataset, setting.scope)
    ]  # fmt: skip
    groups, newest = series(here), {id(record) for record in on_newest_data(here)}
    whole = {c for group in groups.values() for r in group for c in r.identity["categories"]}
    found = []
    for label, group in groups.items():
        own = {c for r in group for c in r.identity["categories"]}
        values = [r.metrics.get(c, {}).get(metric) for r in group for c in r.identity["categories"]]
        comparable = own == whole and all(
            _timed(r) and _setting(r) == setting and id(r) in newest for r in group
        )
        defined = [v for v in values if v is not None]
        if comparable and len(defined) == len(values):
            seconds = sorted(r.timing["inference"]["seconds_per_image"]["median"] for r in group)
            middle = seconds[len(seconds) // 2]
            found.append(Point(label, middle, math.fsum(defined) / len(defined)))
    return found, len(groups) - len(found)


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, fastest first: none is at least as fast and as accurate and
    better in one of the two."""
    return sorted(
        (p for p in points if not any(_beats(other, p) for other in points)),
        key=lambda p: (p.seconds, p.value),
    )


def latency_figure(records: Sequence[Record], setting: Setting) -> Figure | None:
    """A panel for each metric of `SHOWN`; None where no method can be drawn."""
    panels = [(metric, *points(records, setting, metric)) for metric in SHOWN]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return None
    labels = list(dict.fromkeys(p.label for _, own, _ in panels for p in own))
    columns = 1 if len(labels) < 5 else 2
    foot = 0.62 + 0.15 * -(-(len(labels) + 1) // columns)
    figure = new_figure(0.6 + len(panels) * (_WIDTH + 0.65), 0.35 + _HEIGHT + foot)
    for place, (metric, own, left_out) in enumerate(panels):
        left = 0.6 + place * (_WIDTH + 0.65)
        axes = figure.add_axes(in_inches(figure, left, foot, _WIDTH, _HEIGHT))
        _panel(axes, own, labels)
        axes.set(xlabel="median ms per image, batch 1", ylabel=f"{titles()[metric]}, %")
        axes.set_title(f"{left_out} left out" if left_out else "", fontsize=7, loc="right")
        if place == 0:
            axes.legend(
                loc="upper left", bbox_to_anchor=(-0.12, -0.18), frameon=False, labelspacing=0.3,
                ncols=columns,
            )  # fmt: skip
    return figure


def _panel(axes: Axes, own: Sequence[Point], labels: Sequence[str]) -> None:
    axes.set_xscale("log")
    front = pareto_front(own)
    axes.plot(
        [1e3 * p.seconds for p in front], [100 * p.value for p in front],
        drawstyle="steps-post", color="0.45", linewidth=1, zorder=1,
        label="Pareto front",
    )  # fmt: skip
    for point in own:
        axes.plot(
            1e3 * point.seconds, 100 * point.value, linestyle="none", markersize=6,
            label=folded(point.label, 60), **point_style(labels.index(point.label)),
        )  # fmt: skip
    axes.margins(0.12)
    _plain_ticks(axes, [1e3 * p.seconds for p in own])


def _plain_ticks(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at powers of ten, and on a short axis at 2 and 5 times them, written out: formulas
    are off in our figures."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 1
    steps = (1, 2, 5) if max(values) < 100 * min(values) else (1,)
    ticks = [m * 10.0**e for e in range(low, high + 1) for m in steps]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _beats(other: Point, point: Point) -> bool:
    as_good = other.seconds <= point.seconds and other.value >= point.value
    return as_good and (other.seconds < point.seconds or other.value > point.value)


def _timed(record: Record) -> bool:
    inference = record.timing.get("inference") or {}
    return record.status == "done" and bool(inference.get("valid"))


def _setting(record: Record) -> Setting:
    identity = record.identity
    device = (record.timing.get("inference") or {}).get("device_name", "")
    return Setting(identity["dataset"], identity["scope"], device)

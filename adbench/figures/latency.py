"""Accuracy against latency, with the Pareto front: what a better score costs in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from adbench.figures.names import series
from adbench.figures.style import folded, panels, point_style
from adbench.metrics.table import titles
from adbench.store.comparability import on_newest_data
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("image_auroc", "aupro@0.3")


@dataclass(frozen=True)
class Point:
    """One method on one data set and device: median seconds an image, mean metric over categories
    and seeds, a fraction."""

    label: str
    seconds: float
    value: float


class Setting(NamedTuple):
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
    here = [r for r in records if _setting(r)[:2] == setting[:2]]
    groups, newest = series(here), {id(record) for record in on_newest_data(here)}
    whole = {c for r in here for c in r.identity["categories"]}
    found = []
    for label, group in groups.items():
        cells = [(r, c) for r in group for c in r.identity["categories"]]
        values = [r.metrics.get(c, {}).get(metric) for r, c in cells]
        defined = [v for v in values if v is not None]
        if (
            {c for _, c in cells} == whole
            and all(_timed(r) and _setting(r) == setting and id(r) in newest for r in group)
            and len(defined) == len(values)
        ):
            seconds = sorted(r.timing["inference"]["seconds_per_image"]["median"] for r in group)
            middle = seconds[len(seconds) // 2]
            found.append(Point(label, middle, fmean(defined)))
    return found, len(groups) - len(found)


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, fastest first: none is at least as fast and as accurate and
    better in one of the two."""

    def beaten(point: Point) -> bool:
        as_good = [o for o in points if o.seconds <= point.seconds and o.value >= point.value]
        return any((o.seconds, o.value) != (point.seconds, point.value) for o in as_good)

    return sorted((p for p in points if not beaten(p)), key=lambda p: (p.seconds, p.value))


def latency_figure(
    records: Sequence[Record], setting: Setting, metrics: Sequence[str] = SHOWN
) -> Figure | None:
    """A panel for each metric; None where no method can be drawn."""
    found = [(metric, *points(records, setting, metric)) for metric in metrics]
    shown = [panel for panel in found if panel[1]]
    if not shown:
        return None
    labels = list(dict.fromkeys(p.label for _, own, _ in shown for p in own))
    figure, axes = panels(len(shown), 1, 2.7, 2.3, (0.24, 0))
    for axis, (metric, own, left_out) in zip(axes, shown, strict=True):
        _panel(axis, own, labels)
        axis.set(xlabel="median ms per image, batch 1", ylabel=f"{titles()[metric]}, %")
        axis.set_title(f"{left_out} left out" if left_out else "", fontsize=7, loc="right")
    axes[0].legend(
        loc="upper left", bbox_to_anchor=(-0.12, -0.18), labelspacing=0.3,
        ncols=1 if len(labels) < 5 else 2,
    )  # fmt: skip
    return figure


def _panel(axes: Axes, own: Sequence[Point], labels: Sequence[str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    front = pareto_front(own)
    axes.plot(
        [1e3 * p.seconds for p in front], [100 * p.value for p in front],
        drawstyle="steps-post", color="0.45", linewidth=1, zorder=1, label="Pareto front",
    )  # fmt: skip
    for point in own:
        axes.plot(
            1e3 * point.seconds, 100 * point.value, linestyle="none", markersize=6,
            label=folded(point.label, 60), clip_on=False, zorder=3,
            **point_style(labels.index(point.label)),
        )  # fmt: skip
    axes.margins(0.12)
    low, high = axes.get_ylim()
    if high > 100:  # there is nothing above; the topmost point is drawn over the edge
        axes.set_ylim(low, 100)
    # Written out, as formulas are off in our figures; on a short axis 2 and 5 times the powers too.
    is_short = max(p.seconds for p in own) < 100 * min(p.seconds for p in own)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_short else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _timed(record: Record) -> bool:
    inference = record.timing.get("inference") or {}
    return record.status == "done" and bool(inference.get("valid"))


def _setting(record: Record) -> Setting:
    device = (record.timing.get("inference") or {}).get("device_name", "")
    return Setting(record.identity["dataset"], record.identity["scope"], device)

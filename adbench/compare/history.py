"""A metric over runs and commits, from the records of a results folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.errors import UsageError
from adbench.report.tables import GROUP, MEAN, TITLES, named, rows, summarise_seeds
from adbench.store import files
from adbench.store.comparability import data_versions, newness
from adbench.store.newest import latest
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_TYPES = (".png", ".pdf", ".svg")
# Okabe and Ito's palette without its yellow, which is too light for a line on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_SERIES = tuple(name for name in GROUP if name != "settings")
"""What all points of a series share: a preset's new values are a further point."""
_MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Point:
    """A metric at one commit: the mean over seeds, a fraction.

    `commit` ends in "+" where the checkout was changed, and is None outside of one; the commits of
    the user's own method and data set follow after spaces. `changed` is the difference to the
    point before of the same series, None for the first, for a mean over other categories than
    before, and where the hyper-parameters (`settings`, their digest) changed. `order` is that of
    the commits; clocks give none. `data_known`: whether the files behind it are.
    """

    created: str
    commit: str | None
    version: str
    value: float
    num_seeds: int
    categories: tuple[str, ...]
    changed: float | None
    settings: str | None
    order: int
    data_known: bool


@dataclass(frozen=True)
class Series:
    """One category, or the mean, of one method under one protocol and version of the data, oldest
    point first. `told_apart` says which where several have one name."""

    dataset: str
    category: str
    method: str
    preset: str
    scope: str
    protocol: str
    data: str
    points: tuple[Point, ...]
    told_apart: str = ""

    @property
    def name(self) -> str:
        """For people."""
        place = f"{self.dataset}:{named(self.category)['category']}"
        return f"{place} {self.method} {self.preset} {self.scope}{self.told_apart}"

    @property
    def is_unsure(self) -> bool:
        """Whether some of its points know their files and others do not."""
        return len({point.data_known for point in self.points}) > 1


def history(records: Sequence[Record], metric: str, category: str | None) -> list[Series]:
    """The series of `metric`, one a method and category (`category` None: means, where several).

    Records of one commit are one point, the newest of each cell counting; what was made outside of
    a checkout is one point a version. Failed and undefined ones are no points.
    """
    visits: dict[tuple[Any, ...], list[Record]] = {}
    for record in sorted(records, key=newness):
        if record.status == "done":
            visits.setdefault(_visit(record), []).append(record)
    found: dict[tuple[Any, ...], list[Point]] = {}
    versions = data_versions(records)
    for order, ((commit, version), own) in enumerate(visits.items()):
        summaries = summarise_seeds(rows(latest(own), versions))
        defined = [s for s in summaries if s[metric] is not None]
        for summary in defined:
            if summary["category"] != (category or MEAN):
                continue
            group = _group(summary)
            averaged = (s["category"] for s in defined if _group(s) == group)
            names = tuple(sorted(set(averaged) - {MEAN})) if category is None else (category,)
            before = found.setdefault((*group, summary["category"]), [])
            point = _point(summary, summary[metric], commit, version, names, before)
            before.append(replace(point, order=order))
    return _told_apart([_series(k, points) for k, points in sorted(found.items(), key=_alphabetic)])


def _told_apart(every: Sequence[Series]) -> list[Series]:
    """The same series, no two of one name."""
    told = []
    for own in every:
        namesakes = [other for other in every if other.name == own.name]
        words = [
            f", {what} {getattr(own, what)}"
            for what in ("protocol", "data")
            if len({getattr(other, what) for other in namesakes}) > 1
        ]
        told.append(replace(own, told_apart="".join(words)))
    return told


def _visit(record: Record) -> tuple[str | None, str]:
    environment = record.environment
    states = [environment.get("git"), *(environment.get("plugin_git") or {}).values()]
    labels = [
        state["commit"][:10] + ("+" if state.get("dirty") else "")
        for state in states
        if state and state.get("commit")
    ]
    return " ".join(dict.fromkeys(labels)) or None, str(environment.get("adbench", "?"))


def _group(summary: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(summary[name] for name in _SERIES)


def _point(
    summary: dict[str, Any],
    value: dict[str, Any],
    commit: str | None,
    version: str,
    categories: tuple[str, ...],
    before: Sequence[Point],
) -> Point:
    now = (categories, summary["settings"])
    comparable = bool(before) and (before[-1].categories, before[-1].settings) == now
    return Point(
        created=summary["created"],
        commit=commit,
        version=version,
        value=value["mean"],
        num_seeds=value["n"],
        categories=categories,
        changed=value["mean"] - before[-1].value if comparable else None,
        settings=summary["settings"],
        order=0,
        data_known=summary["data_known"],
    )


def _series(key: tuple[Any, ...], points: Sequence[Point]) -> Series:
    own = dict(zip((*_SERIES, "category"), key, strict=True))
    method = f"{own['method']}[{own['variant']}]" if own["variant"] else own["method"]
    return Series(
        own["dataset"], own["category"], method, own["preset"], own["scope"], own["protocol"],
        own["data"], tuple(points),
    )  # fmt: skip


def _alphabetic(item: tuple[tuple[Any, ...], list[Point]]) -> tuple[str, ...]:
    return tuple(str(part) for part in item[0])


def write_plot(series: Sequence[Series], metric: str, path: Path) -> None:
    """Draw the series over commits in the order of time; PNG, PDF or SVG by the name's ending.

    Raises `UsageError` for another ending.
    """
    if path.suffix.lower() not in PLOT_TYPES:
        raise UsageError(f"--out {path}: expected a name that ends in {', '.join(PLOT_TYPES)}")
    figure = _draw(series, metric)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)


def _draw(series: Sequence[Series], metric: str) -> Figure:
    from matplotlib.figure import Figure

    labels = _time_axis(series)
    position = {label: index for index, label in enumerate(labels)}
    width = max(5.0, min(16.0, 3 + 0.7 * len(labels)))
    figure = Figure(figsize=(width, 3.6 + 0.16 * len(series)), layout="constrained")
    axis = figure.subplots()
    for number, own in enumerate(series):
        axis.plot(
            [position[_label(p)] for p in own.points],
            [100 * p.value for p in own.points],
            marker=_MARKERS[number % len(_MARKERS)],
            color=_COLOURS[number % len(_COLOURS)],
            label=_plain(own.name),
            markersize=5,
            linewidth=1.4,
        )
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
    axis.set_ylabel(f"{TITLES[metric]}, %")
    axis.set_xlabel("commit, in the order of first records (+: changed checkout)")
    axis.grid(axis="y", linewidth=0.4, alpha=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    return figure


def _time_axis(series: Sequence[Series]) -> list[str]:
    points = sorted((p for own in series for p in own.points), key=lambda p: p.order)
    return list(dict.fromkeys(_label(p) for p in points))


def _label(point: Point) -> str:
    return point.commit or f"v{point.version}"


def _plain(text: str) -> str:
    """Dollars would begin mathematics."""
    return re.sub(r"\$", r"\\$", text)

"""`adbench history`: a metric over runs and commits, from the records of a results folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from adbench.compare.page import Page, lists, percent, points, table
from adbench.metrics.table import METRICS
from adbench.report.marks import UNKNOWN
from adbench.report.tables import GROUP, MEAN, named, rows, summarise_seeds
from adbench.store.comparability import data_versions, newness
from adbench.store.newest import latest
from adbench.store.records import Record
from adbench.text import counted

PLOT_TYPES = (".png", ".pdf", ".svg")
_SERIES = tuple(name for name in GROUP if name != "settings")
"""What all points of a series share: a preset's new values are a further point."""
_UNSURE = (
    f"{UNKNOWN}: made before records kept digests of their files, so whether they saw the same "
    "data as the others is unknown."
)


@dataclass(frozen=True)
class Point:
    """A metric at one commit: the mean over seeds, a fraction.

    `commit` ends in "+" where the checkout was changed, and is None outside of one; the commits of
    the user's own method and data set follow after spaces. `change` is the difference to the point
    before of the same series, None for the first, for a mean over other categories than before, and
    where the hyper-parameters (`settings`, their digest) changed. `order` is that of the commits;
    clocks give none. `data_known`: whether the files behind it are.
    """

    created: str
    commit: str | None
    adbench: str
    value: float
    seeds: int
    categories: tuple[str, ...]
    change: float | None
    data_known: bool
    settings: str | None
    order: int

    @property
    def label(self) -> str:
        """On the axis of time."""
        return self.commit or f"v{self.adbench}"


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
    visits: dict[tuple[str | None, str], list[Record]] = {}
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
            averaged = {s["category"] for s in defined if _group(s) == group}
            before = found.setdefault(group, [])
            point = Point(
                created=summary["created"],
                commit=commit,
                adbench=version,
                value=summary[metric]["mean"],
                seeds=summary[metric]["n"],
                categories=tuple(sorted(averaged - {MEAN})) if category is None else (category,),
                change=None,
                data_known=summary["data_known"],
                settings=summary["settings"],
                order=order,
            )
            before.append(replace(point, change=_change(before[-1], point) if before else None))
    ordered = sorted(found.items(), key=lambda item: tuple(map(str, item[0])))
    return _told_apart([_series(key, category or MEAN, own) for key, own in ordered])


def _change(before: Point, now: Point) -> float | None:
    is_comparable = (before.categories, before.settings) == (now.categories, now.settings)
    return now.value - before.value if is_comparable else None


def _visit(record: Record) -> tuple[str | None, str]:
    """Commits and version that made it."""
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


def _series(key: tuple[Any, ...], category: str, points: Sequence[Point]) -> Series:
    own = dict(zip(_SERIES, key, strict=True))
    method = f"{own['method']}[{own['variant']}]" if own["variant"] else own["method"]
    return Series(
        own["dataset"], category, method, own["preset"], own["scope"], own["protocol"],
        own["data"], tuple(points),
    )  # fmt: skip


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


def history_page(series: Sequence[Series], metric: str) -> Page:
    """One table a series, oldest first."""
    names, numbers = ("made", "commit", "adbench"), ("%", "change", "seeds", "categories")
    tables = []
    for own in series:
        more = "" if "protocol" in own.told_apart else f", protocol {own.protocol}"
        shown = (_row(point, own.is_unsure) for point in own.points)
        tables.append(table(own.name + more, names, numbers, shown))
    number = counted(sum(len(own.points) for own in series), "point")
    headline = f"{METRICS[metric].title}: {number} of {len(series)} series"
    notes = [_UNSURE] if any(own.is_unsure for own in series) else []
    return Page(headline, tuple(tables), lists(("Notes", notes)))


def _row(point: Point, is_unsure: bool) -> tuple[str, ...]:
    value = percent(point.value) + (UNKNOWN if is_unsure and not point.data_known else "")
    change = "–" if point.change is None else points(point.change)
    numbers = value, change, str(point.seeds), str(len(point.categories))
    return point.created, point.commit or "–", point.adbench, *numbers


def series_json(series: Series, metric: str) -> dict[str, Any]:
    """Everything, fractions."""
    own = asdict(series)
    for point in own["points"]:
        del point["settings"], point["order"]
    head = {"dataset": series.dataset, **named(series.category)}
    middle = {name: own[name] for name in ("method", "preset", "scope", "protocol", "data")}
    return head | middle | {"metric": metric, "points": own["points"]}


def write_plot(series: Sequence[Series], metric: str, path: Path) -> None:
    """Draw the series over commits in the order of time; the format by the name's ending."""
    from adbench.figures.style import drawing, panels, point_style, save_as

    labels = time_axis(series)
    with drawing():
        figure, (axis,) = panels(1, 1, max(4.5, min(15.0, 2 + 0.7 * len(labels))), 2.8, (0, 0))
        for number, own in enumerate(series):
            x = [labels.index(point.label) for point in own.points]
            axis.plot(x, [100 * p.value for p in own.points], label=own.name, **point_style(number))
        axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axis.set(ylabel=f"{METRICS[metric].title}, %")
        axis.set_xlabel("commit, in the order of first records (+: changed checkout)")
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1))
        save_as(figure, path)


def time_axis(series: Sequence[Series]) -> list[str]:
    """The labels of all points, in the order of their commits."""
    points = sorted((p for own in series for p in own.points), key=lambda p: p.order)
    return list(dict.fromkeys(point.label for point in points))

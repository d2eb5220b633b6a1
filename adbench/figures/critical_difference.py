"""Critical-difference diagram: average ranks over categories, and what is not told apart.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006, figure 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adbench.figures.names import series
from adbench.figures.style import in_inches, new_figure
from adbench.metrics.table import titles
from adbench.store.comparability import on_newest_data
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALPHA = 0.05
FEWEST_METHODS, FEWEST_CASES = 3, 6
"""Two methods are a paired comparison; below six pairs not even Wilcoxon's signed rank test can
reach 5 %."""
_WIDTH = 5.6  # inches


@dataclass(frozen=True)
class Ranking:
    """Average ranks of methods, best first, over the categories that all of them have."""

    labels: tuple[str, ...]
    ranks: tuple[float, ...]
    difference: float
    """Two ranks this far apart differ at `ALPHA` (Nemenyi)."""
    num_cases: int
    left_out: int
    """Categories in which some method has no value."""
    other_protocols: int = 0
    """Methods under other protocols than these, which are not ranked with them."""

    def cliques(self) -> list[tuple[int, int]]:
        """(first, last) of each longest stretch of two or more methods within the difference."""
        found: list[tuple[int, int]] = []
        for first, rank in enumerate(self.ranks):
            last = max(i for i, r in enumerate(self.ranks) if r - rank <= self.difference)
            if last > first and not (found and last <= found[-1][1]):
                found.append((first, last))
        return found


def ranking(records: Sequence[Record], metric: str) -> Ranking | str:
    """Ranks of the methods of one scope, or in one sentence why there can be none.

    A case is a category of a data set, its value a mean over seeds. Smoke and limited records do
    not count: their scores compare with nothing; nor do those on older data than others. Of methods
    under several protocols the most that share theirs are ranked.
    """
    whole = [r for r in records if r.preset != "smoke" and r.identity["limit"] is None]
    honest = on_newest_data(whole)
    if not any(record.status == "done" for record in honest):
        return "no scores that count: those of smoke and --limit compare with nothing"
    every_run = series(honest)
    runs = _of_one_protocol(every_run)
    others = len(every_run) - len(runs)
    values = {label: _values(group, metric) for label, group in runs.items()}
    every = list(dict.fromkeys(case for own in values.values() for case in own))
    # One method tried on one category must not reduce all others to that category.
    values = {label: own for label, own in values.items() if own and 2 * len(own) >= len(every)}
    cases = [case for case in every if all(case in own for own in values.values())]
    if len(values) < FEWEST_METHODS or len(cases) < FEWEST_CASES:
        return (
            f"found {_counted(len(values), 'method', 'methods')}"
            f"{f' of one protocol ({others} of others)' if others else ''} with "
            f"{_counted(len(cases), 'category', 'categories')} in common; expected at least "
            f"{FEWEST_METHODS} methods and {FEWEST_CASES} categories"
        )
    found = _rank(values, cases, len(every) - len(cases))
    return found if isinstance(found, str) else replace(found, other_protocols=others)


def _of_one_protocol(runs: Mapping[str, Sequence[Record]]) -> dict[str, Sequence[Record]]:
    """The most runs of which no two have different protocols on one data set."""
    groups: list[tuple[dict[str, set[str]], dict[str, Sequence[Record]]]] = []
    for label, own in runs.items():
        used: dict[str, set[str]] = {}
        for record in own:
            if record.status == "done":
                used.setdefault(record.identity["dataset"], set()).add(record.protocol_digest)
        for protocols, members in groups:
            if all(protocols.get(dataset, found) == found for dataset, found in used.items()):
                protocols |= used
                members[label] = own
                break
        else:
            groups.append((used, {label: own}))
    return max((members for _, members in groups), key=len, default={})


def _rank(
    values: dict[str, dict[tuple[str, str], float]], cases: Sequence[tuple[str, str]], lost: int
) -> Ranking | str:
    from adbench.stats.ranks import average_ranks, critical_difference

    difference = float(critical_difference(len(values), len(cases), ALPHA))
    if difference >= len(values) - 1:
        return (
            f"with {len(values)} methods over {len(cases)} categories the critical difference is "
            f"{difference:.2f} ranks, more than ranks can differ"
        )
    ranks = average_ranks([[own[case] for own in values.values()] for case in cases])
    order = sorted(zip(ranks.tolist(), values, strict=True), key=lambda pair: pair[0])
    return Ranking(
        tuple(label for _, label in order),
        tuple(float(rank) for rank, _ in order),
        difference,
        len(cases),
        lost,
    )


def critical_difference_figure(found: Ranking, metric: str) -> Figure:
    """The diagram: best on the left, bars join methods that are not told apart."""
    count = len(found.labels)
    cliques = found.cliques()
    bars = 0.28 + 0.14 * len(cliques)
    height = 0.95 + bars + 0.2 * math.ceil(count / 2) + 0.2
    figure = new_figure(_WIDTH, height)
    axes = figure.add_axes(in_inches(figure, 0, 0, _WIDTH, height))
    axes.set(xlim=(0, _WIDTH), ylim=(0, height))
    axes.axis("off")
    _Diagram(axes, found, height - 0.95, bars).draw(cliques)
    lost = f", {found.left_out} left out" if found.left_out else ""
    if found.other_protocols:
        lost += f"; {_counted(found.other_protocols, 'method', 'methods')} of other protocols not"
    title = (
        f"Average rank by {titles()[metric]} over {found.num_cases} categories{lost} "
        f"(Nemenyi, {100 * ALPHA:g} %)"
    )
    axes.text(0.1, height - 0.18, title, va="center", fontsize=8)
    return figure


class _Diagram:
    """The parts of the drawing, in inches."""

    def __init__(self, axes: Axes, found: Ranking, axis: float, bars: float) -> None:
        self.axes, self.found, self.axis, self.bars = axes, found, axis, bars
        self.count = len(found.labels)
        self.left, self.right = 1.75, _WIDTH - 1.75

    def place(self, rank: float) -> float:
        return self.left + (rank - 1) / (self.count - 1) * (self.right - self.left)

    def draw(self, cliques: Sequence[tuple[int, int]]) -> None:
        self._line([self.left, self.right], [self.axis, self.axis])
        for whole in range(1, self.count + 1):
            x = self.place(whole)
            self._line([x, x], [self.axis, self.axis + 0.06])
            self.axes.text(x, self.axis + 0.09, str(whole), ha="center", va="bottom", fontsize=7)
        self._scale()
        for level, (first, last) in enumerate(cliques):
            y = self.axis - 0.16 - 0.14 * level
            ends = [self.place(self.found.ranks[i]) for i in (first, last)]
            self._line([ends[0] - 0.04, ends[1] + 0.04], [y, y], linewidth=3)
        half = math.ceil(self.count / 2)
        for index, (label, rank) in enumerate(
            zip(self.found.labels, self.found.ranks, strict=True)
        ):
            on_left = index < half
            level = index if on_left else self.count - 1 - index
            y = self.axis - self.bars - 0.2 * level
            edge = self.left - 0.15 if on_left else self.right + 0.15
            x = self.place(rank)
            self._line([x, x, edge], [self.axis, y, y], linewidth=0.7)
            name = label if len(label) <= 26 else f"{label[:25]}…"
            self.axes.text(
                edge - 0.05 if on_left else edge + 0.05, y, f"{name} ({rank:.2f})",
                ha="right" if on_left else "left", va="center", fontsize=7,
            )  # fmt: skip

    def _scale(self) -> None:
        y = self.axis + 0.42
        end = self.place(1 + self.found.difference)
        self._line([self.left, end], [y, y])
        for x in (self.left, end):
            self._line([x, x], [y - 0.04, y + 0.04])
        text = f"critical difference {self.found.difference:.2f}"
        self.axes.text(end + 0.06, y, text, va="center", fontsize=7)

    def _line(self, x: list[float], y: list[float], linewidth: float = 1.0) -> None:
        self.axes.plot(x, y, color="black", linewidth=linewidth, solid_capstyle="butt")


def _values(group: Sequence[Record], metric: str) -> dict[tuple[str, str], float]:
    """(data set, category) -> mean over the seeds that define it."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in group:
        for category, metrics in record.metrics.items():
            value = metrics.get(metric)
            if value is not None:
                found.setdefault((record.identity["dataset"], category), []).append(value)
    return {case: math.fsum(own) / len(own) for case, own in found.items()}


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

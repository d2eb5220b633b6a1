"""Critical-difference diagram: average ranks over categories, and what is not told apart.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006, figure 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from adbench.figures.names import series
from adbench.figures.style import new_figure
from adbench.metrics.table import titles
from adbench.store.comparability import on_newest_data
from adbench.store.records import Record
from adbench.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHA = 0.05
FEWEST_METHODS, FEWEST_CASES = 3, 6
"""Two methods are a paired comparison; below six pairs not even Wilcoxon's signed rank test can
reach 5 %."""

Case = tuple[str, str]
"""A data set and one of its categories."""


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
    from adbench.stats.ranks import average_ranks, critical_difference

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
    num, categories = len(values), _categories(len(cases))
    if num < FEWEST_METHODS or len(cases) < FEWEST_CASES:
        of_others = f" of one protocol ({others} of others)" if others else ""
        return (
            f"found {counted(num, 'method')}{of_others} with {categories} in common; expected at "
            f"least {FEWEST_METHODS} methods and {FEWEST_CASES} categories"
        )
    difference = float(critical_difference(num, len(cases), ALPHA))
    if difference >= num - 1:
        return (
            f"with {num} methods over {categories} the critical difference is {difference:.2f} "
            "ranks, more than ranks can differ"
        )
    ranks = average_ranks([[own[case] for own in values.values()] for case in cases]).tolist()
    order = sorted(zip(ranks, values, strict=True), key=lambda pair: pair[0])
    labels, ordered = tuple(n for _, n in order), tuple(float(rank) for rank, _ in order)
    lost = len(every) - len(cases)
    return Ranking(labels, ordered, difference, len(cases), lost, others)


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


def _values(group: Sequence[Record], metric: str) -> dict[Case, float]:
    """The mean over the seeds that define it, by case."""
    found: dict[Case, list[float]] = {}
    for record in group:
        for category, metrics in record.metrics.items():
            value = metrics.get(metric)
            if value is not None:
                found.setdefault((record.identity["dataset"], category), []).append(value)
    return {case: fmean(own) for case, own in found.items()}


def critical_difference_figure(found: Ranking, metric: str) -> Figure:
    """The diagram: best on the left, bars join methods that are not told apart.

    x is the rank; y counts lines of text, 0 at the axis and falling.
    """
    count, cliques = len(found.labels), found.cliques()
    half, top = math.ceil(count / 2), 0.9 + 0.7 * len(cliques)
    height = 3.2 + top + half
    figure = new_figure(2.6, 0.19 * height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(1, count), ylim=(3.2 - height, 3.2))
    axes.axis("off")

    def line(x: Sequence[float], y: Sequence[float], width: float = 1.0) -> None:
        axes.plot(x, y, color="black", linewidth=width, solid_capstyle="butt", clip_on=False)

    line((1, count), (0, 0))
    for whole in range(1, count + 1):
        line((whole, whole), (0, 0.3))
        axes.text(whole, 0.4, str(whole), ha="center", va="bottom", fontsize=7)
    end, unit = 1 + found.difference, (count - 1) / 40
    line((1, 1, 1, end, end, end), (1.9, 2.3, 2.1, 2.1, 2.3, 1.9))
    said = f"critical difference {found.difference:.2f}"
    axes.text(end + unit, 2.1, said, va="center", fontsize=7)
    for level, (first, last) in enumerate(cliques):
        ends = (found.ranks[first] - unit / 2, found.ranks[last] + unit / 2)
        line(ends, [-0.7 - 0.7 * level] * 2, 3)
    for index, (label, rank) in enumerate(zip(found.labels, found.ranks, strict=True)):
        on_left = index < half
        y = -top - 0.5 - (index if on_left else count - 1 - index)
        edge = 1 - 2 * unit if on_left else count + 2 * unit
        line((rank, rank, edge), (0, y, y), 0.7)
        name = label if len(label) <= 26 else f"{label[:25]}…"
        axes.text(
            edge + (-unit if on_left else unit), y, f"{name} ({rank:.2f})",
            ha="right" if on_left else "left", va="center", fontsize=7,
        )  # fmt: skip
    lost = f", {found.left_out} left out" if found.left_out else ""
    if found.other_protocols:
        lost += f"; {counted(found.other_protocols, 'method')} of other protocols not"
    axes.text(
        (1 + count) / 2, 3.4,
        f"Average rank by {titles()[metric]} over {found.num_cases} categories{lost} "
        f"(Nemenyi, {100 * ALPHA:g} %)",
        ha="center", va="bottom", fontsize=8,
    )  # fmt: skip
    return figure


def _categories(number: int) -> str:
    return "1 category" if number == 1 else f"{number} categories"

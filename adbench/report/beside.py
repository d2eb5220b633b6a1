"""Published numbers beside ours: which protocol differences stand between them, and by how much
the numbers differ where none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adbench.errors import AdbenchError
from adbench.report.own_runs import OwnRun, own_runs
from adbench.report.protocol_differences import (
    Difference,
    cell_difference,
    differences,
    published_hyperparameters,
    same,
    selector_options,
)
from adbench.report.reported import Reported, ReportedColumn, columns
from adbench.report.tables import MEAN, SPREAD
from adbench.store.records import METRICS, Record


@dataclass(frozen=True)
class Beside:
    """A reported column, the run of ours that comes nearest to it, and what sets them apart.

    `run` is None where we have none of that method. `differences` hold for the whole column;
    `cell_difference` adds what holds for one number only.
    """

    column: ReportedColumn
    mark: str
    run: OwnRun | None
    differences: tuple[Difference, ...]

    @property
    def head(self) -> list[str]:
        """The lines of the column's heading: name, mark, what differs."""
        return [
            self.column.name,
            f"reported [{self.mark}]",
            *(f"≠ {difference.what}" for difference in self.differences),
        ]

    def number(self, category: str, metric: str) -> Reported | None:
        """What the paper prints, or None."""
        return self.column.numbers.get((category, metric))

    def cell_difference(self, category: str, metric: str) -> Difference | None:
        """What sets this one number apart, where the column as a whole is comparable."""
        assert self.run is not None
        return cell_difference(self.column, self.run, category, metric)

    def difference(self, category: str, metric: str) -> float | None:
        """Ours less the reported number, only where nothing sets them apart."""
        number = self.number(category, metric)
        if number is None or self.run is None or self.differences:
            return None
        value = self.run.value(category, metric)
        if value is None or self.cell_difference(category, metric) is not None:
            return None
        return value - float(number.value)

    def covered(self, category: str, metric: str) -> bool | None:
        """Whether the 95 % interval of ours holds the reported number, give or take the latter's
        rounding; None where there is no interval."""
        number = self.number(category, metric)
        if number is None or self.run is None:
            return None
        interval = self.run.interval(category, metric)
        if interval is None:
            return None
        low, high = interval
        return low - number.rounding <= float(number.value) <= high + number.rounding

    def difference_text(self, category: str, metric: str) -> str:
        """`+0.3 in`: percent points in the paper's digits, and whether the interval covers."""
        number = self.number(category, metric)
        if number is None or self.run is None or self.differences:
            return ""
        apart = self.cell_difference(category, metric)
        if apart is not None:
            return f"≠ {apart.what}"
        value = self.difference(category, metric)
        if value is None:
            return "–"
        exponent = number.value.as_tuple().exponent
        assert isinstance(exponent, int)
        text = f"{100 * value:+.{max(0, -exponent - 2)}f}".replace("-", "−")
        covered = self.covered(category, metric)
        return text if covered is None else f"{text} {'in' if covered else 'out'}"


def beside(
    records: Sequence[Record],
    summaries: Sequence[Mapping[str, Any]],
    numbers: Sequence[Reported],
) -> list[Beside]:
    """Every reported column of the data sets in `summaries`, marked by its paper's number.

    A column that has only categories which no run of ours has, and no mean, is left out.
    """
    datasets = list(dict.fromkeys(s["dataset"] for s in summaries))
    found = columns(numbers, datasets)
    found.sort(key=lambda c: (datasets.index(c.dataset), c.scope))
    marks = {paper: str(i) for i, paper in enumerate(dict.fromkeys(c.paper for c in found), 1)}
    runs = own_runs(records, summaries)
    return [_nearest(column, marks[column.paper], runs, found) for column in found]


def _nearest(
    column: ReportedColumn, mark: str, runs: Sequence[OwnRun], found: Sequence[ReportedColumn]
) -> Beside:
    """With the run of the same method and ablation that differs in the least; of several, the
    newest: it is the one on the newest data."""
    newest_first = sorted(runs, key=lambda run: run.newness, reverse=True)
    own = [r for r in newest_first if r.first["dataset"] == column.dataset]
    own = [r for r in own if r.first["method"] == column.method]
    try:
        expected = published_hyperparameters(column) if own else {}
    except AdbenchError:  # records of a method that is not installed, or is another one by now
        own = []
    ablated = {
        option
        for other in found
        if other.method == column.method
        for option in selector_options(other.selector)
    }
    own = [r for r in own if all(same(r.hyperparameters, expected, name) for name in ablated)]
    pairs = [(differences(column, run, expected), run) for run in own]
    apart, run = min(pairs, key=lambda pair: len(pair[0]), default=((), None))
    return Beside(column, mark, run, apart)


def shown(found: Sequence[Beside], metrics: Sequence[str]) -> list[Beside]:
    """What a table with these metrics has room for: full methods, and ablations that we ran."""
    return [
        b for b in found
        if (not b.column.selector or b.run is not None)
        and any(metric in metrics for _, metric in b.column.numbers)
    ]  # fmt: skip


def reported_rows(found: Sequence[Beside]) -> list[dict[str, Any]]:
    """Reported numbers as rows like those of `tables.rows`, one a column and category.

    `status` is "reported", `source` names the tables, `differs` what sets the nearest run of ours
    (`against`) apart; `std`, `difference` and `covered` map metrics to values.
    """
    return [
        _row(item, category)
        for item in found
        for category in dict.fromkeys(category for category, _ in item.column.numbers)
    ]


def _row(item: Beside, category: str) -> dict[str, Any]:
    column = item.column
    own = {metric: n for (c, metric), n in column.numbers.items() if c == category}
    apart = {metric: item.difference(category, metric) for metric in own}
    selector = f"[{column.selector}]" if column.selector else ""
    return {
        "method": column.name,
        "variant": "",
        "preset": "reported",
        "dataset": column.dataset,
        "scope": column.scope,
        "seed": None,
        "limit": None,
        "protocol": None,
        "status": "reported",
        "created": None,
        "categories": len(column.categories) if category in (MEAN, SPREAD) else 1,
        "undefined": 0,
        "category": category,
        **{m: float(own[m].value) if m in own else None for m in METRICS},
        "source": "; ".join(dict.fromkeys(number.source for number in own.values())),
        "selector": f"{column.method}{selector}",
        "image_size": column.image_size,
        "crop": column.crop,
        "backbone": column.backbone or None,
        "against": item.run.name if item.run is not None else None,
        "differs": ", ".join(difference.what for difference in item.differences),
        "std": {m: float(n.std) for m, n in own.items() if n.std is not None},
        "difference": apart,
        "covered": {m: item.covered(category, m) for m, d in apart.items() if d is not None},
    }

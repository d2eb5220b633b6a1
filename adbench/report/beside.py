"""Published numbers beside ours: which differences of protocol and hyper-parameters stand between
them, and by how much the numbers differ where none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from adbench.errors import AdbenchError
from adbench.hyperparameters import build_hyperparameters
from adbench.metrics.table import METRICS
from adbench.registry import load_method
from adbench.report.own_runs import OwnRun
from adbench.report.reported import Reported, ReportedColumn, columns
from adbench.report.tables import MEAN, SPREAD

UNCOMPARED = frozenset({"image_size", "crop", "backbone"})
"""Hyper-parameters that the protocol has, too, where they are compared."""


class Difference(NamedTuple):
    """One reason why two numbers are not comparable, as texts."""

    what: str
    ours: str
    reported: str


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
    def name(self) -> str:
        return self.column.first.name

    @property
    def head(self) -> tuple[str, ...]:
        """The lines of the column's heading: name, mark, what differs."""
        apart = (f"≠ {difference.what}" for difference in self.differences)
        return (self.name, f"reported [{self.mark}]", *apart)

    @property
    def row_name(self) -> str:
        """Of a row: what differs stands in a note."""
        return f"{self.name}, reported [{self.mark}]{' ≠' * bool(self.differences)}"

    @property
    def compared_with(self) -> OwnRun | None:
        """The run of ours, where nothing sets it apart."""
        return None if self.differences else self.run

    def number(self, category: str, metric: str) -> Reported | None:
        return self.column.numbers.get((category, metric))

    def cell_difference(self, category: str, metric: str) -> Difference | None:
        """What sets this one number apart, where the column as a whole is comparable: a mean over
        other categories, or another resize of the masks where the paper states its own."""
        assert self.run is not None
        ours, theirs = self.run.categories, self.column.categories
        if category in (MEAN, SPREAD) and ours != theirs:
            return Difference("categories", _text(ours), _text(theirs))
        rule, reported = self.run.protocol["mask_rule"], self.column.first.mask_rule
        if METRICS[metric].level == "pixel" and reported and rule != reported:
            return Difference("mask rule", rule, reported)
        return None

    def difference(self, category: str, metric: str) -> float | None:
        """Ours less the reported number, only where nothing sets them apart."""
        number, run = self.number(category, metric), self.compared_with
        if number is None or run is None or self.cell_difference(category, metric):
            return None
        value = run.value(category, metric)
        return None if value is None else value - float(number.value)

    def covered(self, category: str, metric: str) -> bool | None:
        """Whether the 95 % interval of ours holds the reported number, give or take the latter's
        rounding; None where there is no interval."""
        number = self.number(category, metric)
        interval = self.run.interval(category, metric) if number and self.run else None
        if number is None or interval is None:
            return None
        low, high = interval
        return low - number.rounding <= float(number.value) <= high + number.rounding

    def difference_text(self, category: str, metric: str) -> str:
        """`+0.3 in`: percent points in the paper's digits, and whether the interval covers."""
        number = self.number(category, metric)
        if number is None or self.compared_with is None:
            return ""
        if apart := self.cell_difference(category, metric):
            return f"≠ {apart.what}"
        if (value := self.difference(category, metric)) is None:
            return "–"
        text = f"{100 * value:+.{max(0, -number.exponent - 2)}f}".replace("-", "−")
        return text + {None: "", True: " in", False: " out"}[self.covered(category, metric)]


def beside(
    runs: Sequence[OwnRun], datasets: Sequence[str], numbers: Sequence[Reported]
) -> list[Beside]:
    """Every reported column of the data sets, marked by its paper's number."""
    found = columns(numbers, datasets)
    found.sort(key=lambda c: (datasets.index(c.first.dataset), c.first.scope))
    papers = dict.fromkeys(column.first.paper for column in found)
    marks = {paper: str(number) for number, paper in enumerate(papers, 1)}
    return [_nearest(column, marks[column.first.paper], runs, found) for column in found]


def _nearest(
    column: ReportedColumn, mark: str, runs: Sequence[OwnRun], found: Sequence[ReportedColumn]
) -> Beside:
    """With the run of the same method and ablation that differs in the least; of several, the
    newest: it is the one on the newest data."""
    theirs = column.first
    place = theirs.dataset, theirs.method
    own = [run for run in runs if (run.first["dataset"], run.first["method"]) == place]
    own.sort(key=lambda run: run.newness, reverse=True)
    expected: dict[str, Any] = {}
    try:
        if own:
            options = selector_options(theirs.selector)
            method = load_method(theirs.method)
            expected = build_hyperparameters(method, theirs.preset, options).canonical()
    except AdbenchError:  # records of a method that is not installed, or is another one by now
        own = []
    variants = (c.first.selector for c in found if c.first.method == theirs.method)
    ablated = {option for selector in variants for option in selector_options(selector)}
    own = [r for r in own if all(_same(r.hyperparameters, expected, name) for name in ablated)]
    pairs = [(differences(column, run, expected), run) for run in own]
    apart, nearest = min(pairs, key=lambda pair: len(pair[0]), default=((), None))
    return Beside(column, mark, nearest, apart)


def differences(
    column: ReportedColumn, run: OwnRun, expected: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """All that sets a run of ours apart from a reported column; `expected` are the published
    hyper-parameters. What the paper does not state counts as different where it must agree."""
    protocol, theirs = run.protocol, column.first
    trained: Any = frozenset(protocol["trained_categories"])
    if theirs.scope == "separate":  # each category has its own model, on both sides
        trained = column.categories
    elif protocol["scope"] == "separate" and trained != column.categories:
        trained = "one"
    size = size_text(protocol["image_size"], protocol["crop"])
    found: list[tuple[str, Any, Any]] = [
        ("version", protocol["dataset_version"], theirs.dataset_version),
        ("scope", protocol["scope"], theirs.scope),
        ("trained on", trained, column.categories),
        ("image size", size, size_text(theirs.image_size, theirs.crop)),
        ("backbone", protocol.get("backbone") or "none", theirs.backbone),
        ("limit", protocol["limit"], None),
        ("held out to calibrate", protocol.get("calibrate"), None),
    ]
    if run.first["preset"] in ("fast", "smoke"):
        found.append(("preset", run.first["preset"], "paper"))
    else:
        found += [
            (name, run.hyperparameters[name], expected[name])
            for name in sorted(expected.keys() - UNCOMPARED)
            if not _same(run.hyperparameters, expected, name)
        ]
    return tuple(
        Difference(what, _text(ours), _text(reported) or "not stated")
        for what, ours, reported in found
        if ours != reported
    )


def size_text(resize: int, crop: int | None) -> str:
    """The side of the image, with that of a centre crop."""
    return f"{resize} (crop {crop})" if crop else str(resize)


def selector_options(selector: str) -> dict[str, str]:
    """`k=v,k2=v2` as a dictionary."""
    return dict(option.split("=", 1) for option in selector.split(",") if option)


def _same(own: Mapping[str, Any], expected: Mapping[str, Any], name: str) -> bool:
    """Equal, or unknown to a record of older code, or a file that the user has to provide."""
    if name not in own or name not in expected:
        return True
    is_file = isinstance(own[name], str) and "#sha256:" in own[name]
    return is_file or bool(own[name] == expected[name])


def _text(value: Any) -> str:
    """A few categories by name, many by their number."""
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) if len(value) < 4 else f"{len(value)} categories"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(found: Sequence[Beside], metrics: Sequence[str]) -> list[Beside]:
    """What a table with these metrics has room for: full methods, and ablations that we ran."""
    return [
        b for b in found
        if (not b.column.first.selector or b.run is not None)
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
    theirs = item.column.first
    own = {metric: n for (c, metric), n in item.column.numbers.items() if c == category}
    apart = {metric: item.difference(category, metric) for metric in own}
    is_sum = category in (MEAN, SPREAD)
    return {
        "method": item.name,
        "variant": "",
        "preset": "reported",
        "dataset": theirs.dataset,
        "scope": theirs.scope,
        **dict.fromkeys(("seed", "limit", "protocol")),
        "status": "reported",
        "created": None,
        "categories": len(item.column.categories) if is_sum else 1,
        "undefined": 0,
        "category": category,
        **{m: float(own[m].value) if m in own else None for m in METRICS},
        "source": "; ".join(dict.fromkeys(number.source for number in own.values())),
        "selector": theirs.method + (f"[{theirs.selector}]" if theirs.selector else ""),
        "image_size": theirs.image_size,
        "crop": theirs.crop,
        "backbone": theirs.backbone or None,
        "against": item.run.name if item.run is not None else None,
        "differs": ", ".join(difference.what for difference in item.differences),
        "std": {m: float(n.std) for m, n in own.items() if n.std is not None},
        "difference": apart,
        "covered": {m: item.covered(category, m) for m, d in apart.items() if d is not None},
    }

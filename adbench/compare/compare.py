"""`adbench compare`: every difference between two sides, what matters first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from adbench.compare.differences import Difference, by_group, differences, p_values, seeds_note
from adbench.compare.page import SHOWN, Page, lists, p_text, percent, points, reasons, table
from adbench.compare.pairing import Incomparable, Pairing, pair
from adbench.compare.sides import Side
from adbench.text import counted

LEVEL = 0.95


@dataclass(frozen=True)
class Compared:
    """A difference, its two-sided p-value, and the same after Holm over all of the comparison.

    Those of preset `smoke` are shown and not tested: their scores mean nothing.
    """

    difference: Difference
    p_value: float | None
    p_holm: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 %, for this difference alone; None where nothing is known of chance, and for smoke."""
        d = self.difference
        return None if d.estimate is None or d.is_smoke else d.estimate.interval(LEVEL)

    @property
    def significant(self) -> bool:
        """After correction."""
        return self.p_holm is not None and self.p_holm <= 1 - LEVEL

    @property
    def importance(self) -> tuple[int, float, str]:
        """Sorts significant drops, significant gains, the rest, each by size; smoke by names."""
        d = self.difference
        rank = 2 if not self.significant else int(d.change > 0)
        return (3, 0.0, d.where) if d.is_smoke else (rank, -abs(d.change), d.where)


@dataclass(frozen=True)
class OverCategories:
    """Wilcoxon's signed rank test of one metric over the categories of one method, of which `first`
    is one."""

    first: Difference
    categories: int
    median: float
    p_value: float
    p_holm: float


@dataclass(frozen=True)
class Comparison:
    """All that two sides allow to be said."""

    base: str
    head: str
    compared: tuple[Compared, ...]
    over_categories: tuple[OverCategories, ...]
    incomparable: tuple[Incomparable, ...]
    only_in_head: tuple[str, ...]
    notes: tuple[str, ...] = ()


def compare(
    base: Side, head: Side, metrics: Sequence[str], *, any_protocol: bool = False
) -> Comparison:
    """Pair, test and sort."""
    pairing = pair(base, head, any_protocol=any_protocol)
    found, undefined = differences(base, head, pairing, metrics)
    tested = p_values([None if d.is_smoke else d.estimate for d in found], "two-sided")
    compared = [Compared(d, *p) for d, p in zip(found, tested, strict=True)]
    return Comparison(
        base=base.name,
        head=head.name,
        compared=tuple(sorted(compared, key=lambda c: c.importance)),
        over_categories=tuple(_over_categories(found)),
        incomparable=(*pairing.incomparable, *undefined),
        only_in_head=pairing.only_in_head,
        notes=(*_notes(pairing, found), *pairing.notes),
    )


def _notes(pairing: Pairing, found: Sequence[Difference]) -> Iterator[str]:
    if any(d.is_smoke for d in found):
        yield "SMOKE preset: its scores mean nothing; differences are neither tested nor ranked."
    yield from pairing.limit_notes
    yield from seeds_note([d for d in found if not d.is_smoke])


def _over_categories(found: Sequence[Difference]) -> list[OverCategories]:
    from adbench.stats.ranks import holm, wilcoxon

    groups = by_group([d for d in found if not d.is_mean and not d.is_smoke])
    several = [(own[0], [d.change for d in own]) for own in groups if len(own) > 1]
    raw = [wilcoxon(changes) for _, changes in several]
    return [
        OverCategories(first, len(changes), median(changes), p, q)
        for (first, changes), p, q in zip(several, raw, holm(raw), strict=True)
    ]


def comparison_page(result: Comparison, *, every: bool = False) -> Page:
    """BASE against HEAD."""
    compared = result.compared
    shown = compared if every else compared[:SHOWN]
    drops = sum(c.significant and c.difference.change < 0 for c in compared)
    gains = sum(c.significant and c.difference.change > 0 for c in compared)
    headline = (
        f"{result.base} → {result.head}: {counted(len(compared), 'comparison')}, "
        f"{counted(drops, 'significant drop')}, {counted(gains, 'significant gain')}"
    )
    if smoke := sum(c.difference.is_smoke for c in compared):
        headline += f"; {smoke} of preset smoke, which mean nothing"
    whose = {c.difference.case.whose for c in shown}
    title = "Differences in points (head - base) with 95 % intervals; p corrected by Holm"
    if len(whose) == 1:
        title = f"{min(whose)}. {title}"
    if left_out := len(compared) - len(shown):
        title += f"; {left_out} smaller ones left out: --all shows them"
    protocols = [
        f"{case.dataset} {case.method}: the protocols differ in {', '.join(case.marks)}."
        for case in (c.difference.case for c in compared)
        if case.marks
    ]
    return Page(
        headline,
        (
            table(
                title,
                ("where", "metric"),
                ("base", "head", "change", "95 %", "p"),
                (_row(c, named=len(whose) > 1) for c in shown),
            ),
            table(
                "Over categories: Wilcoxon's signed rank test, p corrected by Holm",
                ("method", "metric"),
                ("categories", "median change", "p"),
                map(_over_row, result.over_categories),
            ),
        ),
        lists(
            ("Notes", (*protocols, *result.notes)),
            ("Not comparable", reasons(result.incomparable)),
            ("Only in head", result.only_in_head),
        ),
    )


def _row(compared: Compared, *, named: bool) -> tuple[str, ...]:
    d, interval = compared.difference, compared.interval
    between = "–" if interval is None else f"[{points(interval[0])}, {points(interval[1])}]"
    change = points(d.change) + (" *" if compared.significant else "")
    p = "smoke" if d.is_smoke else p_text(compared.p_holm)
    where = d.where if named else d.case.place
    return where, d.title, percent(d.base), percent(d.head), change, between, p


def _over_row(over: OverCategories) -> tuple[str, ...]:
    case = over.first.case
    whose = f"{case.dataset} {case.whose}" + (f" ({case.told_apart})" if case.told_apart else "")
    change, p = points(over.median), p_text(over.p_holm)
    return whose, over.first.title, str(over.categories), change, p


def comparison_json(result: Comparison) -> dict[str, Any]:
    """Everything, fractions."""
    return {
        "base": result.base,
        "head": result.head,
        "comparisons": [_compared_json(c) for c in result.compared],
        "over_categories": [_over_json(o) for o in result.over_categories],
        "incomparable": [i._asdict() for i in result.incomparable],
        "only_in_head": list(result.only_in_head),
        "notes": list(result.notes),
    }


def _compared_json(compared: Compared) -> dict[str, Any]:
    d, interval = compared.difference, compared.interval
    return {
        **d.to_json(), "interval": None if interval is None else list(interval),
        "test": None if d.estimate is None or d.is_smoke else d.estimate.test,
        "p_value": compared.p_value, "p_holm": compared.p_holm,
        "significant": compared.significant, "smoke": d.is_smoke,
    }  # fmt: skip


def _over_json(over: OverCategories) -> dict[str, Any]:
    case = over.first.case
    return {
        "dataset": case.dataset, "scope": case.scope, "method": case.method, "preset": case.preset,
        "protocol": case.protocols[0], "metric": over.first.metric, "categories": over.categories,
        "median_change": over.median, "p_value": over.p_value, "p_holm": over.p_holm,
    }  # fmt: skip

"""`adbench compare`: every difference between two sides, what matters first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adbench.compare.pairing import Incomparable, Pairing, pair
from adbench.compare.regress import Difference, differences, limit_note, seeds_note
from adbench.compare.sides import Side
from adbench.report.tables import MEAN

LEVEL = 0.95
SMOKE = "smoke"


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
        estimate = self.difference.estimate
        return None if estimate is None or self.is_smoke else estimate.interval(LEVEL)

    @property
    def is_smoke(self) -> bool:
        """Whether the scores mean nothing."""
        return self.difference.preset == SMOKE

    @property
    def significant(self) -> bool:
        """After correction."""
        return self.p_holm is not None and self.p_holm <= 1 - LEVEL


@dataclass(frozen=True)
class OverCategories:
    """Wilcoxon's signed rank test of one metric over the categories of one method."""

    dataset: str
    method: str
    preset: str
    metric: str
    categories: int
    median: float
    p_value: float
    p_holm: float
    scope: str
    protocol: str
    told_apart: str = ""


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

    @property
    def tested(self) -> list[Compared]:
        """Without the smoke runs."""
        return [c for c in self.compared if not c.is_smoke]


def compare(
    base: Side, head: Side, metrics: Sequence[str], *, any_protocol: bool = False
) -> Comparison:
    """Pair, test and sort: significant drops, significant gains, then by size."""
    pairing = pair(base, head, any_protocol=any_protocol)
    found, undefined = differences(base, head, pairing, metrics)
    return Comparison(
        base=base.name,
        head=head.name,
        compared=tuple(sorted(_corrected(found), key=_importance)),
        over_categories=tuple(_over_categories(found)),
        incomparable=(*pairing.incomparable, *undefined),
        only_in_head=pairing.only_in_head,
        notes=(*_notes(pairing, found), *pairing.notes),
    )


def _notes(pairing: Pairing, found: Sequence[Difference]) -> Iterator[str]:
    if any(d.preset == SMOKE for d in found):
        yield "SMOKE preset: its scores mean nothing; differences are neither tested nor ranked."
    yield from limit_note(pairing)
    yield from seeds_note([d for d in found if d.preset != SMOKE])


def _corrected(found: Sequence[Difference]) -> list[Compared]:
    from adbench.stats.multiple import holm

    raw = [
        d.estimate.p_value() if d.estimate is not None and d.preset != SMOKE else None
        for d in found
    ]
    corrected = iter(holm([p for p in raw if p is not None]))
    return [
        Compared(d, p, None if p is None else next(corrected))
        for d, p in zip(found, raw, strict=True)
    ]


def _importance(compared: Compared) -> tuple[int, float, str]:
    change = compared.difference.change
    if compared.is_smoke:  # in the order of names, after everything else
        return 3, 0.0, compared.difference.where
    rank = 2 if not compared.significant else (0 if change < 0 else 1)
    return rank, -abs(change), compared.difference.where


def _over_categories(found: Sequence[Difference]) -> list[OverCategories]:
    from statistics import median

    from adbench.stats.multiple import holm
    from adbench.stats.ranks import wilcoxon

    groups: dict[tuple[object, ...], list[Difference]] = {}
    for d in found:
        if d.category != MEAN and d.preset != SMOKE:
            groups.setdefault(d.group, []).append(d)
    several = [(own[0], [d.change for d in own]) for own in groups.values() if len(own) > 1]
    raw = [wilcoxon(changes) for _, changes in several]
    corrected = holm(raw)
    return [
        OverCategories(
            d.dataset, d.method, d.preset, d.metric, len(changes), median(changes), raw[number],
            corrected[number], d.scope, d.protocols[0], d.told_apart,
        )
        for number, (d, changes) in enumerate(several)
    ]  # fmt: skip

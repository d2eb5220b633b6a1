"""Differences between two sides, metric by metric, each with its interval and p-value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from adbench.compare.pairing import Case, Incomparable, Pairing, images_of
from adbench.compare.sides import Side
from adbench.errors import UnknownNameError
from adbench.metrics.table import METRICS, shown, titles
from adbench.report.tables import MEAN, named

if TYPE_CHECKING:
    from adbench.stats.estimate import Alternative, Estimate

SMOKE = "smoke"
NO_STATISTICS = (
    "no pixel statistics were kept: records made before adbench kept them have none; "
    "`adbench run --overwrite all` makes them"
)
TOO_FEW = "fewer than 2 normal or anomalous images, or too few with anomalous pixels"
_DUST = 1e-12
"""What rounding may do to a metric."""


@dataclass(frozen=True)
class Difference:
    """One metric of one case on both sides.

    Values are means over the seeds, fractions. `estimate` is None where nothing can be said about
    chance; `untested` says why.
    """

    case: Case
    metric: str
    base: float
    head: float
    estimate: Estimate | None
    untested: str | None = None

    @property
    def change(self) -> float:
        """head - base; exactly 0 for what only rounding tells apart."""
        change = self.head - self.base
        return change if abs(change) > _DUST else 0.0

    @property
    def group(self) -> tuple[object, ...]:
        """What it shares with the other categories of its mean."""
        return (*self.case.family, self.metric)

    @property
    def is_mean(self) -> bool:
        """Over categories."""
        return self.case.category == MEAN

    @property
    def is_smoke(self) -> bool:
        """Whether the scores mean nothing."""
        return self.case.preset == SMOKE

    @property
    def covers(self) -> str:
        """What its interval and p-value know of chance; "nothing" where there is no estimate."""
        if self.estimate is None:
            return "nothing"
        return "images and seeds" if self.estimate.covers_seeds else "images"

    @property
    def where(self) -> str:
        """For people: data set and category, method, preset."""
        return f"{self.case.place} {self.case.whose}"

    @property
    def title(self) -> str:
        """Of the metric."""
        return METRICS[self.metric].title

    def to_json(self) -> dict[str, Any]:
        """What all comparisons say."""
        case, estimate = self.case, self.estimate
        return {
            "dataset": case.dataset, **named(case.category), "scope": case.scope,
            "method": case.method, "preset": case.preset, "metric": self.metric,
            "seeds": list(case.seeds), "base": self.base, "head": self.head, "change": self.change,
            "interval": None if estimate is None else list(estimate.interval()),
            "interval_covers": self.covers, "test": None if estimate is None else estimate.test,
            "untested": self.untested, "categories": case.categories,
            "protocol": case.protocols[0], "protocol_differs_in": list(case.marks),
        }  # fmt: skip


def check_metrics(text: str | None) -> tuple[str, ...]:
    """Parse `--metrics a,b`; raises `UnknownNameError`. None is the default choice."""
    names = tuple(dict.fromkeys(n.strip() for n in (text or "").split(",") if n.strip()))
    for name in names:
        if name not in titles():
            raise UnknownNameError("metric", name, titles())
    return names or shown()


def differences(
    base: Side, head: Side, pairing: Pairing, metrics: Sequence[str]
) -> tuple[list[Difference], list[Incomparable]]:
    """Every comparable metric of every case and their means over categories; and what is not."""
    found: list[Difference] = []
    incomparable: list[Incomparable] = []
    for case in pairing.cases:
        estimates = _image_estimates(case)
        pixels = None
        if not case.masks_differ and any(METRICS[m].level == "pixel" for m in metrics):
            pixels = _pixel_estimates(base, head, case)
            estimates |= pixels or {}
        for metric in metrics:
            values = [[r.metrics[case.category].get(metric) for r in own] for own in case.sides]
            if reason := _reason(case, metric, *values):
                title = METRICS[metric].title
                where = f"{case.dataset}:{case.category} {case.whose}, {title}"
                incomparable.append(Incomparable(where, reason))
            elif None not in values[0]:
                own = _difference(case, metric, values, estimates.get(metric))
                if own.estimate is None and METRICS[metric].level == "pixel" and pixels is None:
                    own = replace(own, untested=NO_STATISTICS)
                found.append(own)
    return [*found, *_means(found)], incomparable


def _reason(
    case: Case, metric: str, base: Sequence[float | None], head: Sequence[float | None]
) -> str | None:
    """Why two numbers are not comparable: other masks, undefined on one side, or no metrics at all,
    as of a record that somebody has edited."""
    if METRICS[metric].level == "pixel" and case.masks_differ:
        return "other masks: their content changed"
    if None in base or None in head:
        return None if base == head else f"undefined in {'base' if None in base else 'head'}"
    for side, values in (("base", base), ("head", head)):
        for value in values:
            if value is not None and not -_DUST <= value <= 1 + _DUST:
                return f"found {value:g} in {side}, expected a number from 0 to 1"
    return None


def _difference(
    case: Case, metric: str, values: Sequence[Sequence[Any]], estimate: Estimate | None
) -> Difference:
    """With the spread of the binned metric around the exact difference, and the seeds' own."""
    base, head = values
    by_seed = tuple(b - a for a, b in zip(base, head, strict=True))
    if estimate is not None:
        exact = fmean(by_seed) if estimate.variance else estimate.difference
        estimate = replace(estimate, by_seed=by_seed, difference=exact)
    untested = None if estimate else TOO_FEW
    return Difference(case, metric, fmean(base), fmean(head), estimate, untested)


def _image_estimates(case: Case) -> dict[str, Estimate]:
    from adbench.stats.bootstrap import image_differences

    sides = [[sorted(images_of(r, case.category)) for r in own] for own in case.sides]
    labels = [image.label for image in sides[0][0]]
    base, head = ([[image.score for image in own] for own in side] for side in sides)
    return image_differences(labels, base, head, seed=_seed(case))


def _pixel_estimates(base: Side, head: Side, case: Case) -> dict[str, Estimate] | None:
    """None where a record of either side has no statistics."""
    import numpy as np

    from adbench.stats.bootstrap import pixel_differences

    sides = []
    for side, records in zip((base, head), case.sides, strict=True):
        rows = []
        for record in records:
            histograms = side.pixels(record, case.category)
            if histograms is None:
                return None
            names = [image.name for image in images_of(record, case.category)]
            order = sorted(range(len(names)), key=names.__getitem__)
            rows.append(histograms.take(np.array(order, dtype=np.intp)))
        sides.append(rows)
    labels = [image.label for image in sorted(images_of(case.pairs[0][0], case.category))]
    return pixel_differences(labels, *sides, seed=_seed(case))


def _seed(case: Case) -> int:
    from adbench.stats.bootstrap import seed_of

    return seed_of(case.dataset, case.category)


def _means(found: Sequence[Difference]) -> Iterator[Difference]:
    """The mean over categories of each metric of each method, where there are several."""
    from adbench.stats.estimate import mean_estimate

    for group in by_group(found):
        if len(group) > 1:
            estimates = [d.estimate for d in group if d.estimate is not None]
            is_complete = len(estimates) == len(group)
            yield Difference(
                replace(group[0].case, category=MEAN, categories=len(group)),
                group[0].metric,
                fmean([d.base for d in group]),
                fmean([d.head for d in group]),
                mean_estimate(estimates) if is_complete else None,
                None if is_complete else next(d.untested for d in group if d.untested),
            )


def by_group(found: Sequence[Difference]) -> list[list[Difference]]:
    """The categories of each mean."""
    groups: dict[tuple[object, ...], list[Difference]] = {}
    for difference in found:
        groups.setdefault(difference.group, []).append(difference)
    return list(groups.values())


def p_values(
    estimates: Sequence[Estimate | None], alternative: Alternative
) -> list[tuple[float | None, float | None]]:
    """Each p-value, and the same after Holm's correction over all of them."""
    from adbench.stats.ranks import holm

    raw = [None if e is None else e.p_value(alternative) for e in estimates]
    corrected = iter(holm([p for p in raw if p is not None]))
    return [(p, None if p is None else next(corrected)) for p in raw]


def seeds_note(found: Sequence[Difference]) -> Iterator[str]:
    """What intervals and p-values cover, for people."""
    tested = [d for d in found if d.estimate is not None]
    alone = [d for d in tested if d.covers == "images"]
    if alone:
        which = "" if len(alone) == len(tested) else f" for {len(alone)} of {len(tested)}"
        yield (
            f"One seed{which}: intervals and p-values cover the choice of test images only, not "
            "how much a method changes from one training to the next; several seeds (`adbench run "
            "--seeds 0,1,2`) on both sides cover it too."
        )
    if len(alone) < len(tested):
        yield "Several seeds: intervals and p-values cover the choice of test images and the seeds."

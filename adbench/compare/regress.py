"""Differences between two sides, metric by metric, each with its interval and p-value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adbench.compare.pairing import Case, Incomparable, Pairing
from adbench.compare.sides import Side
from adbench.errors import UnknownNameError
from adbench.metrics.table import METRICS, shown
from adbench.report.tables import MEAN, TITLES

if TYPE_CHECKING:
    from adbench.stats.estimate import Estimate

DEFAULT_METRICS = shown()
NO_STATISTICS = (
    "no pixel statistics were kept: records made before adbench kept them have none; "
    "`adbench run --overwrite all` makes them"
)
DUST = 1e-12
"""What rounding may do to a metric."""
TOO_FEW = "fewer than 2 normal or anomalous images, or too few with anomalous pixels"


@dataclass(frozen=True)
class Difference:
    """One metric of one category, or the mean over the categories compared, on both sides.

    Values are means over the seeds, fractions. `estimate` is None where nothing can be said about
    chance; `untested` says why.
    """

    dataset: str
    category: str
    scope: str
    preset: str
    method: str
    metric: str
    seeds: tuple[int, ...]
    base: float
    head: float
    estimate: Estimate | None
    untested: str | None = None
    marks: tuple[str, ...] = ()
    categories: int = 1
    protocols: tuple[str, str] = ("", "")
    told_apart: str = ""

    @property
    def change(self) -> float:
        """head - base; exactly 0 for what only rounding tells apart."""
        change = self.head - self.base
        return change if abs(change) > DUST else 0.0

    @property
    def group(self) -> tuple[object, ...]:
        """What it shares with the other categories of its mean."""
        own = self
        return (
            own.dataset, own.scope, own.preset, own.method, own.metric, own.seeds, own.marks,
            own.protocols,
        )  # fmt: skip

    @property
    def covers(self) -> str:
        """What its interval and p-value know of chance; "nothing" where there is no estimate."""
        if self.estimate is None:
            return "nothing"
        return "images and seeds" if self.estimate.covers_seeds else "images"

    @property
    def place(self) -> str:
        """For people: data set and category."""
        category = f"mean of {self.categories}" if self.category == MEAN else self.category
        apart = f" ({self.told_apart})" if self.told_apart else ""
        return f"{self.dataset}:{category}{apart}"

    @property
    def where(self) -> str:
        """For people: data set and category, method, preset."""
        return f"{self.place} {self.method} {self.preset}"


def check_metrics(text: str | None) -> tuple[str, ...]:
    """Parse `--metrics a,b`; raises `UnknownNameError`. None is the default choice."""
    if text is None:
        return DEFAULT_METRICS
    names = tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    for name in names:
        if name not in TITLES:
            raise UnknownNameError("metric", name, TITLES)
    return names or DEFAULT_METRICS


def differences(
    base: Side, head: Side, pairing: Pairing, metrics: Sequence[str]
) -> tuple[list[Difference], list[Incomparable]]:
    """Every comparable metric of every case and their means over categories; and what is not."""
    found: list[Difference] = []
    incomparable: list[Incomparable] = []
    for case in pairing.cases:
        for item in _case_differences(base, head, case, metrics):
            (found if isinstance(item, Difference) else incomparable).append(item)  # type: ignore[arg-type]
    return [*found, *_means(found)], incomparable


def _case_differences(
    base: Side, head: Side, case: Case, metrics: Sequence[str]
) -> Iterator[Difference | Incomparable]:
    estimates = _image_estimates(case)
    pixel_metrics = [m for m in metrics if METRICS[m].level == "pixel"]
    if pixel_metrics and not case.masks_differ:
        kept = _pixel_estimates(base, head, case)
        missing = NO_STATISTICS if kept is None else TOO_FEW
        estimates |= kept or {}
    for metric in metrics:
        is_pixel = metric in pixel_metrics
        where = f"{case.dataset}:{case.category} {case.method} {case.preset}, {TITLES[metric]}"
        values = [
            [record.metrics[case.category].get(metric) for record in side]
            for side in zip(*case.pairs, strict=True)
        ]
        if is_pixel and case.masks_differ:
            yield Incomparable(where, "other masks: their content changed")
        elif None in values[0] or None in values[1]:
            if values[0] != values[1]:
                side = "base" if None in values[0] else "head"
                yield Incomparable(where, f"undefined in {side}")
        elif impossible := _impossible(*values):
            yield Incomparable(where, impossible)
        else:
            before, after = _mean(values[0]), _mean(values[1])
            estimate = _around(estimates.get(metric), _by_seed(*values))
            yield Difference(
                case.dataset, case.category, case.scope, case.preset, case.method, metric,
                case.seeds, before, after, estimate,
                untested=None if estimate else (missing if is_pixel else TOO_FEW),
                marks=case.marks, protocols=case.protocols, told_apart=case.told_apart,
            )  # fmt: skip


def _impossible(base: Sequence[float | None], head: Sequence[float | None]) -> str | None:
    """Why these are no metrics: a record that somebody has edited, say."""
    for side, values in (("base", base), ("head", head)):
        for value in values:
            if value is not None and not -DUST <= value <= 1 + DUST:
                return f"found {value:g} in {side}, expected a number from 0 to 1"
    return None


def _by_seed(base: Sequence[float | None], head: Sequence[float | None]) -> tuple[float, ...]:
    pairs = zip(base, head, strict=True)
    return tuple(b - a for a, b in pairs if a is not None and b is not None)


def _around(estimate: Estimate | None, by_seed: tuple[float, ...]) -> Estimate | None:
    """The spread of the binned metric around the exact difference, and the seeds' own."""
    if estimate is None:
        return None
    if estimate.variance == 0:
        return replace(estimate, by_seed=by_seed)
    return replace(estimate, difference=math.fsum(by_seed) / len(by_seed), by_seed=by_seed)


def _image_estimates(case: Case) -> dict[str, Estimate]:
    from adbench.stats.paired import image_differences

    names, labels = _images(case)
    sides = [
        [_scores(record.images, case.category, names) for record in side]
        for side in zip(*case.pairs, strict=True)
    ]
    return image_differences(labels, sides[0], sides[1], seed=_seed(case))


def _pixel_estimates(base: Side, head: Side, case: Case) -> dict[str, Estimate] | None:
    """None where a record of either side has no statistics."""
    import numpy as np

    from adbench.stats.paired import pixel_differences

    names, labels = _images(case)
    sides = []
    for side, records in zip((base, head), zip(*case.pairs, strict=True), strict=True):
        rows = []
        for record in records:
            histograms = side.pixels(record, case.category)
            if histograms is None:
                return None
            own = _ids(record.images, case.category)
            order = sorted(range(len(own)), key=own.__getitem__)
            rows.append(histograms.take(np.array(order, dtype=np.intp)))
        sides.append(rows)
    return pixel_differences(labels, sides[0], sides[1], seed=_seed(case))


def _seed(case: Case) -> int:
    from adbench.stats.bootstrap import seed_of

    return seed_of(case.dataset, case.category)


def _images(case: Case) -> tuple[list[str], list[int]]:
    """Names of the case's images, sorted, and their labels."""
    images = case.pairs[0][0].images
    columns = zip(images["id"], images["label"], images["category"], strict=True)
    own = sorted((name, label) for name, label, category in columns if category == case.category)
    return [name for name, _ in own], [label for _, label in own]


def _ids(images: dict[str, list[Any]], category: str) -> list[str]:
    columns = zip(images["id"], images["category"], strict=True)
    return [name for name, own in columns if own == category]


def _scores(images: dict[str, list[Any]], category: str, names: Sequence[str]) -> list[float]:
    columns = zip(images["id"], images["category"], images["score"], strict=True)
    own = {name: float(score) for name, found, score in columns if found == category}
    return [own[name] for name in names]


def _means(found: Sequence[Difference]) -> Iterator[Difference]:
    """The mean over categories of each metric of each method, where there are several."""
    from adbench.stats.estimate import mean_estimate

    groups: dict[tuple[object, ...], list[Difference]] = {}
    for d in found:
        groups.setdefault(d.group, []).append(d)
    for group in groups.values():
        if len(group) < 2:
            continue
        first = group[0]
        estimates = [d.estimate for d in group if d.estimate is not None]
        complete = len(estimates) == len(group)
        yield Difference(
            first.dataset, MEAN, first.scope, first.preset, first.method, first.metric,
            first.seeds, _mean([d.base for d in group]), _mean([d.head for d in group]),
            mean_estimate(estimates) if complete else None,
            untested=None if complete else next(d.untested for d in group if d.untested),
            marks=first.marks, categories=len(group), protocols=first.protocols,
            told_apart=first.told_apart,
        )  # fmt: skip


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


def limit_note(pairing: Pairing) -> Iterator[str]:
    """For people, where what is compared is no benchmark result."""
    if any(base.identity["limit"] is not None for case in pairing.cases for base, _ in case.pairs):
        yield "--limit: a part of the images only; what is compared is no benchmark result."


def _mean(values: Sequence[float | None]) -> float:
    return math.fsum(v for v in values if v is not None) / len(values)

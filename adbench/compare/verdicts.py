"""What the change of each number means: one of three verdicts.

- A regression: a drop larger than the tolerance whose one-sided p-value, after Holm's correction
  over every test that the gate made, is at most alpha; or one larger than the ceiling `max_drop`
  where images are enough that chance hardly ever makes such a drop (`_under_ceiling`).
- No regression, with the smallest drop that these images would have shown.
- Too few images to tell: that smallest drop is larger than the ceiling, or nothing is known of
  chance (pixel metrics of records without pixel statistics). It never fails the gate, and is never
  called passed.

Chance is the choice of test images, and with several seeds the training. With one seed how much a
method moves from training to training is not in it: the tolerance is for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adbench.compare.differences import Difference, p_values

Verdict = Literal["regression", "no regression", "too few images to tell"]
TOO_FEW: Verdict = "too few images to tell"
POWER = 0.8
"""Of the smallest drop that could have been seen."""
_CEILING_SHARE = 0.2
"""Of alpha: what chance may do to all numbers under the ceiling; Holm has the rest."""
MEANS, CATEGORIES = "means", "categories"


@dataclass(frozen=True)
class Rules:
    """What counts as a regression. Tolerances are fractions: of a metric, and of a duration.

    `on` is `MEANS`, `CATEGORIES` or None for both; `strict`: too few images fail the gate.
    """

    metrics: tuple[str, ...]
    tolerance: float = 0.01
    alpha: float = 0.05
    timing_tolerance: float | None = 0.25
    require_all: bool = False
    max_drop: float = 0.10
    on: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class Judged:
    """A difference with its p-values, one-sided for a drop: as it is, and after Holm.

    `smallest_drop`: the true drop that would have been seen with probability `POWER`; None where
    nothing is known of chance, and where both sides rank all images alike. `by_ceiling`: a
    regression that Holm's test did not find.
    """

    difference: Difference
    p_value: float | None
    p_holm: float | None
    verdict: Verdict
    smallest_drop: float | None = None
    by_ceiling: bool = False

    @property
    def is_alike(self) -> bool:
        """Whether base and head rank all images alike."""
        return self.difference.estimate is not None and self.difference.estimate.is_alike


def judge(found: Sequence[Difference], rules: Rules) -> tuple[Judged, ...]:
    """Correct all tests together, and hold each drop against the rules.

    The chance of any false alarm stays at most alpha, whatever the dependence: what chance may do
    to the numbers under the ceiling is taken off before Holm's correction.
    """
    tested = p_values([d.estimate for d in found], "less")
    ceiling, spent = _under_ceiling(found, rules)
    level = rules.alpha - spent
    left = sum(q is not None and q > level for _, q in tested)
    applied = level / max(1, left)  # what the correction leaves for one test
    return tuple(
        _judge(d, p, q, rules, level, applied, number in ceiling)
        for number, (d, (p, q)) in enumerate(zip(found, tested, strict=True))
    )


def _under_ceiling(found: Sequence[Difference], rules: Rules) -> tuple[set[int], float]:
    """The numbers to which the ceiling applies, the most precise first, and their false alarms.

    As many as keep the chance that any of them, without a true difference, is seen to drop by more
    than the ceiling below a fifth of alpha (the sum of their chances bounds it).
    """
    estimates = [(number, d.estimate) for number, d in enumerate(found) if d.estimate is not None]
    chances = sorted((e.chance_of_drop(rules.max_drop), number) for number, e in estimates)
    chosen: set[int] = set()
    spent = 0.0
    for chance, number in chances:
        if spent + chance > _CEILING_SHARE * rules.alpha:
            break
        spent += chance
        chosen.add(number)
    return chosen, spent


def _judge(
    difference: Difference,
    p: float | None,
    p_holm: float | None,
    rules: Rules,
    level: float,
    applied: float,
    ceiling: bool,
) -> Judged:
    estimate, drop = difference.estimate, -difference.change
    if estimate is None or p_holm is None:
        return Judged(difference, p, p_holm, TOO_FEW)
    if estimate.is_alike:
        return Judged(difference, p, p_holm, "no regression")
    smallest = estimate.smallest_drop(applied, POWER)
    is_seen, is_beyond = p_holm <= level, ceiling and drop > rules.max_drop
    if drop > rules.tolerance and (is_seen or is_beyond):
        return Judged(difference, p, p_holm, "regression", smallest, by_ceiling=not is_seen)
    unsure = smallest > rules.max_drop and not is_seen and estimate.p_value("greater") > applied
    return Judged(difference, p, p_holm, TOO_FEW if unsure else "no regression", smallest)

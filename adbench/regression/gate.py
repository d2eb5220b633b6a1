"""The gate: what every number's change means, and the exit code that says so.

Each number gets one of three verdicts.

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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adbench.commands import exits
from adbench.regression.pairing import Case, Incomparable, Pairing, pair
from adbench.regression.regress import Difference, differences, seeds_note
from adbench.regression.sides import Side
from adbench.reports.tables import MEAN
from adbench.storage.records import Record

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

    `on` is `MEANS`, `CATEGORIES` or None for both; `strict`: too few images end with 5.
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


@dataclass(frozen=True)
class TimingChange:
    """Median seconds per image, measured undisturbed on the same kind of device on both sides."""

    where: str
    device: str
    base: float
    head: float
    base_p95: float
    verdict: Literal["regression", "ok"]


@dataclass(frozen=True)
class GateResult:
    """Everything the gate found."""

    rules: Rules
    judged: tuple[Judged, ...]
    timings: tuple[TimingChange, ...]
    incomparable: tuple[Incomparable, ...]
    failed: tuple[str, ...]
    failure_codes: frozenset[int] = frozenset()
    only_in_head: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def regressions(self) -> list[Judged]:
        """The drops that fail the gate, the surest first."""
        own = [j for j in self.judged if j.verdict == "regression"]
        return sorted(own, key=lambda j: (j.p_holm or 0.0, j.difference.change))

    @property
    def undecided(self) -> list[Judged]:
        """Of too few images, the largest drop first."""
        own = [j for j in self.judged if j.verdict == TOO_FEW]
        return sorted(own, key=lambda j: j.difference.change)

    @property
    def undecided_drops(self) -> list[Judged]:
        """Those that dropped by more than the ceiling."""
        return [j for j in self.undecided if -j.difference.change > self.rules.max_drop]

    @property
    def slower(self) -> list[TimingChange]:
        """The timings that fail the gate."""
        return [t for t in self.timings if t.verdict == "regression"]

    @property
    def exit_code(self) -> int:
        """4 or 3 for failed cells, then 1 for a regression, then 5 for nothing comparable, else 0.

        Too few images to tell is no regression; `strict` makes it 5.
        """
        if exits.DATA_PROBLEM in self.failure_codes:
            return exits.DATA_PROBLEM
        if self.failed:
            return exits.CELLS_FAILED
        if self.regressions or self.slower:
            return exits.REGRESSION
        if not self.judged or (self.rules.require_all and self.incomparable):
            return exits.NOTHING_COMPARABLE
        if self.rules.strict and self.undecided:
            return exits.NOTHING_COMPARABLE
        return exits.OK


def run_gate(base: Side, head: Side, rules: Rules) -> GateResult:
    """Hold `head` against `base`."""
    pairing = pair(base, head)
    every, undefined = differences(base, head, pairing, rules.metrics)
    found = list(_gated(every, rules.on))
    failures = [r for r in head.records if r.failure is not None]
    return GateResult(
        rules=rules,
        judged=judge(found, rules),
        timings=tuple(_timings(pairing.cases, rules)),
        incomparable=(*pairing.incomparable, *undefined),
        failed=tuple(_failure(r) for r in failures),
        failure_codes=frozenset(r.failure.exit_code for r in failures if r.failure is not None),
        only_in_head=pairing.only_in_head,
        notes=(*_notes(pairing), *seeds_note(found)),
    )


def _gated(every: Sequence[Difference], on: str | None) -> Iterator[Difference]:
    """Means or categories alone; a category that has no mean, being the only one, is its own."""
    averaged = {d.group for d in every if d.category == MEAN}
    for difference in every:
        is_mean = difference.category == MEAN or difference.group not in averaged
        is_category = difference.category != MEAN
        if on is None or (is_mean if on == MEANS else is_category):
            yield difference


def judge(found: Sequence[Difference], rules: Rules) -> tuple[Judged, ...]:
    """Correct all tests together, and hold each drop against the rules.

    The chance of any false alarm stays at most alpha, whatever the dependence: what chance may do
    to the numbers under the ceiling is taken off before Holm's correction.
    """
    from adbench.stats.multiple import holm

    raw = [d.estimate.p_value("less") if d.estimate is not None else None for d in found]
    corrected = iter(holm([p for p in raw if p is not None]))
    adjusted = [None if p is None else next(corrected) for p in raw]
    ceiling, spent = _under_ceiling(found, rules)
    level = rules.alpha - spent
    left = sum(q is not None and q > level for q in adjusted)
    return tuple(
        _judge(d, p, q, rules, level=level, applied=level / max(1, left), ceiling=n in ceiling)
        for n, (d, p, q) in enumerate(zip(found, raw, adjusted, strict=True))
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
    p_value: float | None,
    p_holm: float | None,
    rules: Rules,
    *,
    level: float,
    applied: float,
    ceiling: bool,
) -> Judged:
    """`level` is Holm's share of alpha, `applied` what its correction leaves for one test."""
    estimate, drop = difference.estimate, -difference.change
    if estimate is None or p_holm is None:
        return Judged(difference, p_value, p_holm, TOO_FEW)
    if estimate.is_alike:
        return Judged(difference, p_value, p_holm, "no regression")
    smallest = estimate.smallest_drop(applied, POWER)
    is_seen, is_beyond = p_holm <= level, ceiling and drop > rules.max_drop
    verdict: Verdict = "no regression"
    if drop > rules.tolerance and (is_seen or is_beyond):
        verdict = "regression"
    elif smallest > rules.max_drop and not is_seen and estimate.p_value("greater") > applied:
        verdict = TOO_FEW
    by_ceiling = verdict == "regression" and not is_seen
    return Judged(difference, p_value, p_holm, verdict, smallest, by_ceiling)


def _timings(cases: Sequence[Case], rules: Rules) -> Iterator[TimingChange]:
    if rules.timing_tolerance is None:
        return
    seen: set[tuple[str, str]] = set()
    for case in cases:
        for base, head in case.pairs:
            keys = base.keys["score"], head.keys["score"]
            if keys in seen:  # a unified cell has many categories, and one timing
                continue
            seen.add(keys)
            change = _timing_change(case, base, head, rules.timing_tolerance)
            if change is not None:
                yield change


def _timing_change(case: Case, base: Record, head: Record, tolerance: float) -> TimingChange | None:
    """None unless both are valid, on one kind of device with as many threads."""
    old, new = base.timing.get("inference") or {}, head.timing.get("inference") or {}
    if not (old.get("valid") and new.get("valid")):
        return None
    if old["device_name"] != new["device_name"]:
        return None
    threads = base.environment.get("threads"), head.environment.get("threads")
    if old.get("device") == "cpu" and threads[0] != threads[1]:
        return None
    before, after = old["seconds_per_image"], new["seconds_per_image"]
    # Outside noise: slower at the median than base was in its slowest twentieth.
    slower = after["median"] > before["p95"] and (
        after["median"] > before["median"] * (1 + tolerance)
    )
    where = f"{case.dataset}:{case.category} {case.method} {case.preset}"
    if len(base.identity["categories"]) > 1:
        where = f"{case.dataset} {case.method} {case.preset}"
    return TimingChange(
        where=f"{where} seed {base.identity['seed']}",
        device=old["device_name"],
        base=before["median"],
        head=after["median"],
        base_p95=before["p95"],
        verdict="regression" if slower else "ok",
    )


def _failure(record: Record) -> str:
    own = record.identity
    message = record.failure.message if record.failure is not None else ""
    method = f"{own['method']}[{record.variant}]" if record.variant else own["method"]
    where = f"{own['dataset']}:{','.join(own['categories'])}"
    return f"{where} {method} {record.preset} seed {own['seed']}: {message}"


def _notes(pairing: Pairing) -> Iterator[str]:
    if any(case.preset == "smoke" for case in pairing.cases):
        yield "SMOKE preset: it is gated like any other, but its scores mean nothing."
    limits = {base.identity["limit"] for case in pairing.cases for base, _ in case.pairs} - {None}
    if limits:
        yield "--limit: a part of the images only; what is gated is no benchmark result."
    changed = {
        case.method
        for case in pairing.cases
        for base, head in case.pairs
        if base.identity["hyperparameters"] != head.identity["hyperparameters"]
    }
    for method in sorted(changed):
        yield f"{method}: the preset's hyper-parameters differ between base and head."
    yield from pairing.notes


def summary(result: GateResult) -> dict[str, Any]:
    """Counts for the headline."""
    verdicts = [j.verdict for j in result.judged]
    return {
        "compared": len(verdicts),
        "tested": sum(j.p_value is not None for j in result.judged),
        "regressions": verdicts.count("regression"),
        "no_regression": verdicts.count("no regression"),
        "ranked_alike": sum(j.is_alike for j in result.judged),
        "too_few_images": verdicts.count(TOO_FEW),
        "too_few_images_beyond_max_drop": len(result.undecided_drops),
        "slower": len(result.slower),
        "incomparable": len(result.incomparable),
        "failed": len(result.failed),
    }

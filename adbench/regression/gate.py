"""The gate: which drops are regressions, and the exit code that says so.

A drop is a regression when it is larger than the tolerance and outside noise: its one-sided
p-value, after Holm's correction over every test that the gate made, is at most alpha. Both are
needed: a tolerance alone fires on small test sets that move by chance, a test alone on drops too
small to mind.
What cannot be tested (pixel metrics of records without pixel statistics) never fails the gate; a
drop beyond the tolerance there is listed as untested, so that it is seen.

Noise is the choice of test images. How much a method moves from training to training is not in
it, which is what the tolerance is for; several seeds average that out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adbench.commands import exits
from adbench.regression.pairing import Case, Incomparable, Pairing, pair
from adbench.regression.regress import Difference, differences
from adbench.regression.sides import Side
from adbench.storage.records import Record

Verdict = Literal["regression", "noise", "tolerated", "untested", "ok"]


@dataclass(frozen=True)
class Rules:
    """What counts as a regression. Tolerances are fractions: of a metric, and of a duration."""

    metrics: tuple[str, ...]
    tolerance: float = 0.01
    alpha: float = 0.05
    timing_tolerance: float | None = 0.25
    require_all: bool = False


@dataclass(frozen=True)
class Judged:
    """A difference with its p-values, one-sided for a drop: as it is, and after Holm."""

    difference: Difference
    p_value: float | None
    p_holm: float | None
    verdict: Verdict


@dataclass(frozen=True)
class TimingChange:
    """Median seconds per image, measured undisturbed on the same kind of device on both sides."""

    where: str
    device: str
    base: float
    head: float
    base_p95: float
    verdict: Verdict


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
    def slower(self) -> list[TimingChange]:
        """The timings that fail the gate."""
        return [t for t in self.timings if t.verdict == "regression"]

    @property
    def exit_code(self) -> int:
        """4 or 3 for failed cells, then 1 for a regression, then 5 for nothing comparable, else 0.

        A drop that was seen but cannot be tested is no regression.
        """
        if exits.DATA_PROBLEM in self.failure_codes:
            return exits.DATA_PROBLEM
        if self.failed:
            return exits.CELLS_FAILED
        if self.regressions or self.slower:
            return exits.REGRESSION
        if not self.judged or (self.rules.require_all and self.incomparable):
            return exits.NOTHING_COMPARABLE
        return exits.OK


def run_gate(base: Side, head: Side, rules: Rules) -> GateResult:
    """Hold `head` against `base`."""
    pairing = pair(base, head)
    found, undefined = differences(base, head, pairing, rules.metrics)
    failures = [r for r in head.records if r.failure is not None]
    return GateResult(
        rules=rules,
        judged=judge(found, rules),
        timings=tuple(_timings(pairing.cases, rules)),
        incomparable=(*pairing.incomparable, *undefined),
        failed=tuple(_failure(r) for r in failures),
        failure_codes=frozenset(r.failure.exit_code for r in failures if r.failure is not None),
        only_in_head=pairing.only_in_head,
        notes=tuple(_notes(pairing)),
    )


def judge(found: Sequence[Difference], rules: Rules) -> tuple[Judged, ...]:
    """Correct all tests together, then hold each drop against both conditions."""
    from adbench.stats.multiple import holm

    raw = [d.estimate.p_value("less") if d.estimate is not None else None for d in found]
    corrected = iter(holm([p for p in raw if p is not None]))
    adjusted = [None if p is None else next(corrected) for p in raw]
    return tuple(
        Judged(d, p, q, _verdict(d, q, rules)) for d, p, q in zip(found, raw, adjusted, strict=True)
    )


def _verdict(difference: Difference, p_holm: float | None, rules: Rules) -> Verdict:
    drops = -difference.change > rules.tolerance
    if p_holm is None:
        return "untested" if drops else "ok"
    if p_holm <= rules.alpha and difference.change < 0:
        return "regression" if drops else "tolerated"
    return "noise" if drops else "ok"


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


def summary(result: GateResult) -> dict[str, Any]:
    """Counts for the headline."""
    verdicts = [j.verdict for j in result.judged]
    return {
        "compared": len(verdicts),
        "tested": sum(j.p_value is not None for j in result.judged),
        "regressions": verdicts.count("regression"),
        "within_noise": verdicts.count("noise"),
        "untested_drops": verdicts.count("untested"),
        "slower": len(result.slower),
        "incomparable": len(result.incomparable),
        "failed": len(result.failed),
    }

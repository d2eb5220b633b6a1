"""The gate: a results folder against a baseline, and the exit code that says what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adbench import errors as exits
from adbench.compare.pairing import Case, Incomparable, Pairing, pair
from adbench.compare.regress import Difference, differences, limit_note, seeds_note
from adbench.compare.sides import Side
from adbench.compare.verdicts import MEANS, TOO_FEW, Judged, Rules, judge
from adbench.report.tables import MEAN
from adbench.store.records import Record


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
    yield from limit_note(pairing)
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

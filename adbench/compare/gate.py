"""The gate: a results folder against a baseline, and what that means for a build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from adbench.compare.differences import SMOKE, Difference, differences, seeds_note
from adbench.compare.pairing import Case, Incomparable, pair
from adbench.compare.sides import Side
from adbench.compare.verdicts import MEANS, TOO_FEW, Judged, Rules, judge
from adbench.errors import DataError
from adbench.store.records import Failure, Record

Outcome = Literal[
    "passed",
    "UNDECIDED",
    "FAILED: regression",
    "FAILED: cells failed",
    "FAILED: a problem with the data",
    "FAILED: nothing comparable",
    "FAILED: --require-all, and not everything was comparable",
    "FAILED: --strict, and too few images to tell",
]
_SMOKE = "SMOKE preset: it is gated like any other, but its scores mean nothing."


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
    """Everything the gate found; `failed` are cells of head, and why."""

    rules: Rules
    judged: tuple[Judged, ...]
    timings: tuple[TimingChange, ...]
    incomparable: tuple[Incomparable, ...]
    failed: tuple[tuple[str, Failure], ...]
    only_in_head: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

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
    def outcome(self) -> Outcome:
        """Failed cells first, then a regression, then nothing comparable.

        Too few images to tell is no regression, and `strict` fails it.
        """
        if any(failure.exit_code == DataError.exit_code for _, failure in self.failed):
            return "FAILED: a problem with the data"
        if self.failed:
            return "FAILED: cells failed"
        if self.regressions or self.slower:
            return "FAILED: regression"
        if not self.judged:
            return "FAILED: nothing comparable"
        if self.rules.require_all and self.incomparable:
            return "FAILED: --require-all, and not everything was comparable"
        if not self.undecided:
            return "passed"
        return "FAILED: --strict, and too few images to tell" if self.rules.strict else "UNDECIDED"

    @property
    def counts(self) -> dict[str, int]:
        """For the headline."""
        verdicts = [j.verdict for j in self.judged]
        return {
            "compared": len(verdicts),
            "tested": sum(j.p_value is not None for j in self.judged),
            "regressions": verdicts.count("regression"),
            "no_regression": verdicts.count("no regression"),
            "ranked_alike": sum(j.is_alike for j in self.judged),
            "too_few_images": verdicts.count(TOO_FEW),
            "too_few_images_beyond_max_drop": len(self.undecided_drops),
            "slower": len(self.slower),
            "incomparable": len(self.incomparable),
            "failed": len(self.failed),
        }


def run_gate(base: Side, head: Side, rules: Rules) -> GateResult:
    """Hold `head` against `base`."""
    pairing = pair(base, head)
    every, undefined = differences(base, head, pairing, rules.metrics)
    found = list(_gated(every, rules.on))
    smoke = any(case.preset == SMOKE for case in pairing.cases)
    return GateResult(
        rules=rules,
        judged=judge(found, rules),
        timings=tuple(_timings(pairing.cases, rules.timing_tolerance)),
        incomparable=(*pairing.incomparable, *undefined),
        failed=tuple((_where(r), r.failure) for r in head.records if r.failure is not None),
        only_in_head=pairing.only_in_head,
        notes=(
            *([_SMOKE] if smoke else []),
            *pairing.limit_notes,
            *pairing.notes,
            *seeds_note(found),
        ),
    )


def _gated(every: Sequence[Difference], on: str | None) -> Iterator[Difference]:
    """Means or categories alone; a category that has no mean, being the only one, is its own."""
    averaged = {d.group for d in every if d.is_mean}
    for d in every:
        stands_for_mean = d.is_mean or d.group not in averaged
        if on is None or (stands_for_mean if on == MEANS else not d.is_mean):
            yield d


def _timings(cases: Sequence[Case], tolerance: float | None) -> Iterator[TimingChange]:
    seen: set[tuple[str, str]] = set()
    for case in cases:
        for base, head in case.pairs:
            keys = base.keys["score"], head.keys["score"]
            # A unified cell has many categories, and one timing.
            if tolerance is not None and keys not in seen and _timed_alike(base, head):
                yield _timing_change(case, base, head, tolerance)
            seen.add(keys)


def _inference(record: Record) -> dict[str, Any]:
    return record.timing.get("inference") or {}


def _timed_alike(base: Record, head: Record) -> bool:
    """Whether both timings are valid, on one kind of device with as many threads."""
    old, new = _inference(base), _inference(head)
    if not (old.get("valid") and new.get("valid") and old["device_name"] == new["device_name"]):
        return False
    threads = base.environment.get("threads"), head.environment.get("threads")
    return old.get("device") != "cpu" or threads[0] == threads[1]


def _timing_change(case: Case, base: Record, head: Record, tolerance: float) -> TimingChange:
    before, after = (_inference(record)["seconds_per_image"] for record in (base, head))
    # Outside noise: slower at the median than base was in its slowest twentieth.
    slower = after["median"] > max(before["p95"], before["median"] * (1 + tolerance))
    category = f":{case.category}" if len(base.identity["categories"]) == 1 else ""
    return TimingChange(
        where=f"{case.dataset}{category} {case.whose} seed {base.identity['seed']}",
        device=_inference(base)["device_name"],
        base=before["median"],
        head=after["median"],
        base_p95=before["p95"],
        verdict="regression" if slower else "ok",
    )


def _where(record: Record) -> str:
    own = record.identity
    place = f"{own['dataset']}:{','.join(own['categories'])}"
    return f"{place} {record.method} {record.preset} seed {own['seed']}"

"""What the gate found as text: terminal and Markdown through `Page`, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from adbench.compare.gate import GateResult, TimingChange
from adbench.compare.page import SHOWN, Page, lists, p_text, percent, points, reasons, table
from adbench.compare.verdicts import POWER, TOO_FEW, Judged
from adbench.report.text_table import Table
from adbench.text import counted


def gate_page(result: GateResult) -> Page:
    """What cannot be told first, what fails the gate, then the rest."""
    passed = [j for j in result.judged if j.verdict == "no regression" and not j.is_alike]
    passed.sort(key=lambda j: j.difference.change)
    failed = tuple(f"{where}: {failure.message}" for where, failure in result.failed)
    return Page(
        gate_headline(result),
        (
            _judged_table("Too few images to tell", result.undecided),
            _judged_table("Regressions", result.regressions),
            table(
                "Slower",
                ("where", "device"),
                ("base, ms", "head, ms", "change"),
                map(_timing_row, result.slower),
            ),
            _judged_table("No regression", passed),
        ),
        lists(
            ("Nothing is known of chance", tuple(_untested(result.undecided))),
            ("Failed cells", failed),
            ("Not comparable", reasons(result.incomparable)),
            ("Only in head", result.only_in_head),
            ("Notes", (*_explained(result), *result.notes)),
        ),
    )


def gate_headline(result: GateResult) -> str:
    """One line: the outcome, its numbers, and the rules it was made by."""
    counts, rules = result.counts, result.rules
    return (
        f"gate {result.outcome}: {_undecided(result)}"
        f"{counted(counts['compared'], 'comparison')}, "
        f"{counted(counts['regressions'], 'regression')}, {counts['slower']} slower, "
        f"{counts['no_regression']} without regression, "
        f"{counts['incomparable']} not comparable, {counts['failed']} failed "
        f"(tolerance {100 * rules.tolerance:g} points, max drop {100 * rules.max_drop:g}, "
        f"alpha {rules.alpha:g})"
    )


def _undecided(result: GateResult) -> str:
    """The drops of which nothing can be told, said before everything else."""
    if not result.undecided:
        return ""
    text = f"{TOO_FEW} for {len(result.undecided)} of {len(result.judged)}"
    if drops := result.undecided_drops:
        worst = drops[0].difference
        text += (
            f", {len(drops)} of them down by more than {100 * result.rules.max_drop:g} points "
            f"({worst.where} {worst.title} {points(worst.change)})"
        )
    return f"{text}; "


def _untested(undecided: Sequence[Judged]) -> Iterable[str]:
    found = [j.difference.untested or "" for j in undecided if j.difference.estimate is None]
    for reason in dict.fromkeys(found):
        yield f"{counted(found.count(reason), 'comparison')}: {reason}"


def _explained(result: GateResult) -> Iterable[str]:
    rules = result.rules
    if alike := result.counts["ranked_alike"]:
        yield (
            f"No regression in {counted(alike, 'comparison')} (not listed) because base and head "
            "rank all images alike."
        )
    if any(j.smallest_drop is not None for j in result.judged):
        yield (
            f"smallest drop: a true drop of so many points would have been seen with "
            f"{100 * POWER:g} % probability on these images, at what alpha {rules.alpha:g} leaves "
            "after Holm's correction."
        )
    if result.undecided:
        yield (
            f"{TOO_FEW}: the smallest drop is larger than --max-drop "
            f"({100 * rules.max_drop:g} points), or unknown. docs/power.md says how many images "
            "show which drop; fewer comparisons (--metrics, --on means) ask less of each."
        )
    if any(j.difference.covers == "images and seeds" for j in result.undecided):
        yield "Where few seeds disagree, more seeds on both sides lower the smallest drop too."


def _judged_table(title: str, judged: Sequence[Judged]) -> Table:
    left_out = len(judged) - SHOWN
    if left_out > 0:
        title += f"; {left_out} more left out: --json has all"
    numbers = ("base", "head", "change", "p", "smallest drop", "verdict")
    return table(title, ("where", "metric"), numbers, map(_judged_row, judged[:SHOWN]))


def _judged_row(judged: Judged) -> tuple[str, ...]:
    d = judged.difference
    smallest = "unknown" if judged.smallest_drop is None else f"{100 * judged.smallest_drop:.2f}"
    verdict: str = judged.verdict
    if verdict == "regression":
        verdict = "REGRESSION (max drop)" if judged.by_ceiling else "REGRESSION"
    return (
        d.where, d.title, percent(d.base), percent(d.head), points(d.change),
        p_text(judged.p_holm), smallest, verdict,
    )  # fmt: skip


def _timing_row(timing: TimingChange) -> tuple[str, ...]:
    return (
        timing.where, timing.device, f"{1e3 * timing.base:.1f}", f"{1e3 * timing.head:.1f}",
        f"{100 * (timing.head / timing.base - 1):+.0f} %",
    )  # fmt: skip


def gate_json(result: GateResult, exit_code: int) -> dict[str, Any]:
    """Everything, fractions and seconds; `p_value` is one-sided for a drop."""
    return {
        "exit_code": exit_code,
        "passed": result.outcome == "passed",
        "headline": gate_headline(result),
        "rules": asdict(result.rules) | {"power": POWER},
        "summary": result.counts,
        "comparisons": [
            {
                **j.difference.to_json(), "p_value": j.p_value, "p_holm": j.p_holm,
                "verdict": j.verdict, "smallest_drop": j.smallest_drop,
                "by_max_drop": j.by_ceiling, "ranked_alike": j.is_alike,
            }
            for j in result.judged
        ],
        "timings": [asdict(timing) for timing in result.timings],
        "failed": [f"{where}: {failure.message}" for where, failure in result.failed],
        "incomparable": [i._asdict() for i in result.incomparable],
        "only_in_head": list(result.only_in_head),
        "notes": list(result.notes),
    }  # fmt: skip

"""Comparisons and gate results as text: terminal, Markdown, JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adbench.output import counted, table_console
from adbench.printable import printable
from adbench.regression.compare import Compared, Comparison
from adbench.regression.gate import POWER, TOO_FEW, GateResult, Judged, TimingChange, summary
from adbench.regression.history import Point, Series
from adbench.regression.pairing import Incomparable
from adbench.regression.regress import Difference, seeds_note
from adbench.reports.tables import TITLES, named

SHOWN = 40
"""Rows of a comparison on a terminal or in Markdown, the most important first; JSON has all."""


@dataclass(frozen=True)
class TextTable:
    """Cells of text; the first `text_columns` are names, the others numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 2


@dataclass(frozen=True)
class Page:
    """A headline, tables and lists, in the order in which they matter."""

    headline: str
    tables: tuple[TextTable, ...]
    lists: tuple[tuple[str, tuple[str, ...]], ...]


# ------------------------------------------------------------------------------------ contents


def comparison_page(result: Comparison, *, every: bool = False) -> Page:
    """BASE against HEAD."""
    shown = result.compared if every else result.compared[:SHOWN]
    drops = sum(c.significant and c.difference.change < 0 for c in result.compared)
    gains = sum(c.significant and c.difference.change > 0 for c in result.compared)
    headline = (
        f"{result.base} → {result.head}: {counted(len(result.compared), 'comparison')}, "
        f"{counted(drops, 'significant drop')}, {counted(gains, 'significant gain')}"
    )
    if smoke := len(result.compared) - len(result.tested):
        headline += f"; {smoke} of preset smoke, which mean nothing"
    left_out = len(result.compared) - len(shown)
    whose = {f"{c.difference.method} {c.difference.preset}" for c in shown}
    rows = tuple(_compared_row(c, named=len(whose) > 1) for c in shown)
    title = "Differences in points (head - base) with 95 % intervals; p corrected by Holm"
    if len(whose) == 1:
        title = f"{whose.pop()}. {title}"
    if left_out:
        title += f"; {left_out} smaller ones left out: --all shows them"
    tables = [TextTable(title, ("where", "metric", "base", "head", "change", "95 %", "p"), rows)]
    if result.over_categories:
        tables.append(
            TextTable(
                "Over categories: Wilcoxon's signed rank test, p corrected by Holm",
                ("method", "metric", "categories", "median change", "p"),
                tuple(
                    (f"{o.dataset} {o.method} {o.preset}", TITLES[o.metric], str(o.categories),
                     _points(o.median), _p(o.p_holm))
                    for o in result.over_categories
                ),
            )
        )  # fmt: skip
    protocols = [_protocol_note(c.difference) for c in result.compared if c.difference.marks]
    seeds = seeds_note([c.difference for c in result.tested])
    notes = (*protocols, *_smoke_note(result), *seeds, *result.notes)
    return Page(
        headline,
        tuple(t for t in tables if t.rows),
        _lists(
            ("Notes", notes),
            ("Not comparable", _reasons(result.incomparable)),
            ("Only in head", result.only_in_head),
        ),
    )


def gate_page(result: GateResult) -> Page:
    """What cannot be told first, what fails the gate, then the rest."""
    passed = [j for j in result.judged if j.verdict == "no regression" and not j.is_alike]
    passed.sort(key=lambda j: j.difference.change)
    tables = [
        _judged_table("Too few images to tell", result.undecided),
        _judged_table("Regressions", result.regressions),
        TextTable("Slower", _TIMING_HEAD, tuple(map(_timing_row, result.slower))),
        _judged_table("No regression", passed),
    ]
    return Page(
        gate_headline(result),
        tuple(t for t in tables if t.rows),
        _lists(
            ("Nothing is known of chance", tuple(_untested(result.undecided))),
            ("Failed cells", result.failed),
            ("Not comparable", _reasons(result.incomparable)),
            ("Only in head", result.only_in_head),
            ("Notes", (*_explained(result), *result.notes)),
        ),
    )


def _judged_table(title: str, judged: Sequence[Judged]) -> TextTable:
    left_out = len(judged) - SHOWN
    if left_out > 0:
        title += f"; {left_out} more left out: --json has all"
    return TextTable(title, _JUDGED_HEAD, tuple(map(_judged_row, judged[:SHOWN])))


def _untested(undecided: Sequence[Judged]) -> Iterable[str]:
    reasons = [j.difference.untested or "" for j in undecided if j.difference.estimate is None]
    for reason in dict.fromkeys(reasons):
        yield f"{counted(reasons.count(reason), 'comparison')}: {reason}"


def _explained(result: GateResult) -> Iterable[str]:
    rules = result.rules
    if alike := summary(result)["ranked_alike"]:
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


def gate_headline(result: GateResult) -> str:
    """One line: the outcome, its numbers, and the rules it was made by."""
    counts, rules = summary(result), result.rules
    return (
        f"gate {_outcome(result)}: {_undecided(result)}"
        f"{counted(counts['compared'], 'comparison')}, "
        f"{counted(counts['regressions'], 'regression')}, {counts['slower']} slower, "
        f"{counts['no_regression']} without regression, "
        f"{counts['incomparable']} not comparable, {counts['failed']} failed "
        f"(tolerance {100 * rules.tolerance:g} points, max drop {100 * rules.max_drop:g}, "
        f"alpha {rules.alpha:g})"
    )


def _outcome(result: GateResult) -> str:
    named = {1: "FAILED: regression", 3: "FAILED: cells failed",
             4: "FAILED: a problem with the data", 5: "FAILED: nothing comparable"}  # fmt: skip
    if result.exit_code == 0:
        return "UNDECIDED" if result.undecided else "passed"
    if result.exit_code == 5 and result.judged:
        if result.rules.require_all and result.incomparable:
            return "FAILED: --require-all, and not everything was comparable"
        return f"FAILED: --strict, and {TOO_FEW}"
    return named[result.exit_code]


def _undecided(result: GateResult) -> str:
    """The drops of which nothing can be told, said before everything else."""
    if not result.undecided:
        return ""
    text = f"{TOO_FEW} for {len(result.undecided)} of {len(result.judged)}"
    if drops := result.undecided_drops:
        worst = drops[0].difference
        text += (
            f", {len(drops)} of them down by more than {100 * result.rules.max_drop:g} points "
            f"({worst.where} {TITLES[worst.metric]} {_points(worst.change)})"
        )
    return f"{text}; "


def history_page(series: Sequence[Series], metric: str) -> Page:
    """One table a series, oldest first."""
    head = ("made", "commit", "adbench", "%", "change", "seeds", "categories")
    tables = tuple(
        TextTable(
            f"{own.name}, protocol {own.protocol}", head,
            tuple(_point_row(point) for point in own.points), text_columns=3,
        )
        for own in series
    )  # fmt: skip
    points = sum(len(own.points) for own in series)
    return Page(f"{TITLES[metric]}: {counted(points, 'point')} of {len(series)} series", tables, ())


def _point_row(point: Point) -> tuple[str, ...]:
    return (
        point.created, point.commit or "–", point.version, _percent(point.value),
        "–" if point.changed is None else _points(point.changed), str(point.num_seeds),
        str(len(point.categories)),
    )  # fmt: skip


def series_json(series: Series, metric: str) -> dict[str, Any]:
    """Everything, fractions."""
    return {
        "dataset": series.dataset, **named(series.category), "method": series.method,
        "preset": series.preset, "scope": series.scope, "protocol": series.protocol,
        "metric": metric,
        "points": [
            {
                "created": p.created, "commit": p.commit, "adbench": p.version, "value": p.value,
                "seeds": p.num_seeds, "categories": list(p.categories), "change": p.changed,
            }
            for p in series.points
        ],
    }  # fmt: skip


_JUDGED_HEAD = ("where", "metric", "base", "head", "change", "p", "smallest drop", "verdict")
_TIMING_HEAD = ("where", "device", "base, ms", "head, ms", "change")


def _compared_row(compared: Compared, *, named: bool) -> tuple[str, ...]:
    d = compared.difference
    interval = compared.interval
    between = "–" if interval is None else f"[{_points(interval[0])}, {_points(interval[1])}]"
    star = " *" if compared.significant else ""
    where = d.where if named else d.place
    return (
        where, TITLES[d.metric], _percent(d.base), _percent(d.head), _points(d.change) + star,
        between, "smoke" if compared.is_smoke else _p(compared.p_holm),
    )  # fmt: skip


def _judged_row(judged: Judged) -> tuple[str, ...]:
    d = judged.difference
    return (
        d.where, TITLES[d.metric], _percent(d.base), _percent(d.head), _points(d.change),
        _p(judged.p_holm), _smallest(judged), _verdict(judged),
    )  # fmt: skip


def _smallest(judged: Judged) -> str:
    return "unknown" if judged.smallest_drop is None else f"{100 * judged.smallest_drop:.2f}"


def _verdict(judged: Judged) -> str:
    if judged.verdict == "regression":
        return "REGRESSION (max drop)" if judged.by_ceiling else "REGRESSION"
    return judged.verdict


def _timing_row(timing: TimingChange) -> tuple[str, ...]:
    return (
        timing.where, timing.device, f"{1e3 * timing.base:.1f}", f"{1e3 * timing.head:.1f}",
        f"{100 * (timing.head / timing.base - 1):+.0f} %",
    )  # fmt: skip


def _smoke_note(result: Comparison) -> Iterable[str]:
    if len(result.tested) < len(result.compared):
        yield "SMOKE preset: its scores mean nothing; differences are neither tested nor ranked."


def _protocol_note(d: Difference) -> str:
    return f"{d.dataset} {d.method}: the protocols differ in {', '.join(d.marks)}."


def _reasons(incomparable: Iterable[Incomparable]) -> tuple[str, ...]:
    return tuple(f"{i.where}: {i.reason}" for i in incomparable)


def _lists(*lists: tuple[str, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((title, tuple(dict.fromkeys(lines))) for title, lines in lists if lines)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}" if value else "0.00"


def _p(p_value: float | None) -> str:
    if p_value is None:
        return "untested"
    return "<0.0001" if p_value < 1e-4 else f"{p_value:.4f}"


# ------------------------------------------------------------------------------------- formats


def terminal(page: Page) -> str:
    """As on stdout, be it a terminal, a file or a pipe."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    buffer = io.StringIO()
    console = table_console(buffer)
    for table in page.tables:
        title = escape(table.title)
        shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for column, name in enumerate(table.head):
            if column < table.text_columns:
                shown.add_column(name, overflow="fold")
            else:
                shown.add_column(name, justify="right", no_wrap=True)
        for row in table.rows:
            shown.add_row(*map(escape, row))
        console.print(shown, crop=False)
    for title, lines in page.lists:
        console.print(f"{escape(printable(title))}:", highlight=False)
        for line in lines:
            console.print(f"  {escape(printable(line))}", highlight=False, soft_wrap=True)
    console.print(escape(printable(page.headline)), highlight=False, soft_wrap=True)
    return buffer.getvalue()


def markdown(page: Page, title: str) -> str:
    """Fit for a pull-request comment: headline first, long lists folded."""
    parts = [f"### {title}", _escape(page.headline)]
    for table in page.tables:
        align = ["---" if c < table.text_columns else "---:" for c in range(len(table.head))]
        lines = [_row(map(_escape, table.head)), _row(align)]
        lines += [_row(map(_escape, row)) for row in table.rows]
        parts.append(f"**{_escape(table.title)}**\n\n" + "\n".join(lines))
    for heading, entries in page.lists:
        listed = "\n".join(f"- {_escape(line)}" for line in entries)
        parts.append(
            f"<details><summary>{_escape(heading)} ({len(entries)})</summary>\n\n{listed}\n\n"
            "</details>"
        )
    return "\n\n".join(parts) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    """Keep names from data from becoming markup, or from calling for people (`@name`)."""
    return re.sub(r"([\\`*_\[\]<>|@#])", r"\\\1", printable(" ".join(text.split())))


def comparison_json(result: Comparison) -> dict[str, Any]:
    """Everything, fractions."""
    return {
        "base": result.base,
        "head": result.head,
        "comparisons": [
            {
                **_difference_json(c.difference), "interval": _pair(c.interval),
                "test": None if c.is_smoke else _test(c.difference), "p_value": c.p_value,
                "p_holm": c.p_holm, "significant": c.significant, "smoke": c.is_smoke,
            }
            for c in result.compared
        ],
        "over_categories": [
            {
                "dataset": o.dataset, "method": o.method, "preset": o.preset, "metric": o.metric,
                "categories": o.categories, "median_change": o.median, "p_value": o.p_value,
                "p_holm": o.p_holm,
            }
            for o in result.over_categories
        ],
        "incomparable": _incomparable_json(result.incomparable),
        "only_in_head": list(result.only_in_head),
        "notes": list(result.notes),
    }  # fmt: skip


def gate_json(result: GateResult) -> dict[str, Any]:
    """Everything, fractions and seconds; `p_value` is one-sided for a drop."""
    rules = result.rules
    return {
        "exit_code": result.exit_code,
        "passed": result.exit_code == 0 and not result.undecided,
        "headline": gate_headline(result),
        "rules": {
            "metrics": list(rules.metrics), "tolerance": rules.tolerance, "alpha": rules.alpha,
            "timing_tolerance": rules.timing_tolerance, "require_all": rules.require_all,
            "max_drop": rules.max_drop, "on": rules.on, "strict": rules.strict, "power": POWER,
        },
        "summary": summary(result),
        "comparisons": [
            {
                **_difference_json(j.difference), "p_value": j.p_value, "p_holm": j.p_holm,
                "verdict": j.verdict, "smallest_drop": j.smallest_drop,
                "by_max_drop": j.by_ceiling, "ranked_alike": j.is_alike,
            }
            for j in result.judged
        ],
        "timings": [
            {
                "where": t.where, "device": t.device, "base": t.base, "head": t.head,
                "base_p95": t.base_p95, "verdict": t.verdict,
            }
            for t in result.timings
        ],
        "failed": list(result.failed),
        "incomparable": _incomparable_json(result.incomparable),
        "only_in_head": list(result.only_in_head),
        "notes": list(result.notes),
    }  # fmt: skip


def _difference_json(d: Difference) -> dict[str, Any]:
    return {
        "dataset": d.dataset, **named(d.category), "scope": d.scope, "method": d.method,
        "preset": d.preset, "metric": d.metric, "seeds": list(d.seeds), "base": d.base,
        "head": d.head, "change": d.change,
        "interval": None if d.estimate is None else _pair(d.estimate.interval()),
        "interval_covers": d.covers, "test": _test(d), "untested": d.untested,
        "categories": d.categories, "protocol_differs_in": list(d.marks),
    }  # fmt: skip


def _pair(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _test(d: Difference) -> str | None:
    return None if d.estimate is None else d.estimate.test


def _incomparable_json(incomparable: Sequence[Incomparable]) -> list[dict[str, str]]:
    return [{"where": i.where, "reason": i.reason} for i in incomparable]

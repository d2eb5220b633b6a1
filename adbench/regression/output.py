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
from adbench.regression.gate import GateResult, Judged, TimingChange, summary
from adbench.regression.history import Point, Series
from adbench.regression.pairing import Incomparable
from adbench.regression.regress import Difference
from adbench.reports.tables import TITLES, named

SHOWN = 40
"""Rows of a comparison on a terminal or in Markdown, the most important first; JSON has all."""
_VERDICTS = {
    "regression": "REGRESSION",
    "noise": "within noise",
    "tolerated": "within tolerance",
    "untested": "untested drop",
    "ok": "ok",
}


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
    notes = tuple(dict.fromkeys(_protocol_note(c.difference) for c in result.compared if
                                c.difference.marks))  # fmt: skip
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
    """What fails the gate, what is close to it, and everything else in brief."""
    noticed = [j for j in result.judged if j.verdict in ("noise", "untested", "tolerated")]
    noticed.sort(key=lambda j: j.difference.change)
    tables = [
        TextTable("Regressions", _JUDGED_HEAD, tuple(map(_judged_row, result.regressions))),
        TextTable("Slower", _TIMING_HEAD, tuple(map(_timing_row, result.slower))),
        TextTable("Drops that do not fail", _JUDGED_HEAD, tuple(map(_judged_row, noticed))),
    ]
    return Page(
        gate_headline(result),
        tuple(t for t in tables if t.rows),
        _lists(
            ("Failed cells", result.failed),
            ("Not comparable", _reasons(result.incomparable)),
            ("Only in head", result.only_in_head),
            ("Notes", result.notes),
        ),
    )


def gate_headline(result: GateResult) -> str:
    """One line: the verdict, its numbers, and the rules it was made by."""
    counts, rules = summary(result), result.rules
    verdict = {0: "passed", 1: "FAILED: regression", 3: "FAILED: cells failed",
               4: "FAILED: a problem with the data", 5: "FAILED: nothing comparable"}  # fmt: skip
    outcome = verdict[result.exit_code]
    if result.exit_code == 5 and counts["compared"]:
        outcome = "FAILED: --require-all, and not everything was comparable"
    return (
        f"gate {outcome}: {counted(counts['compared'], 'comparison')}, "
        f"{counted(counts['regressions'], 'regression')}, {counts['slower']} slower, "
        f"{counts['within_noise']} larger drops within noise, "
        f"{counted(counts['untested_drops'], 'untested drop')}, "
        f"{counts['incomparable']} not comparable, {counts['failed']} failed "
        f"(tolerance {100 * rules.tolerance:g} points, alpha {rules.alpha:g})"
    )


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


_JUDGED_HEAD = ("where", "metric", "base", "head", "change", "p", "verdict")
_TIMING_HEAD = ("where", "device", "base, ms", "head, ms", "change")


def _compared_row(compared: Compared, *, named: bool) -> tuple[str, ...]:
    d = compared.difference
    interval = compared.interval
    between = "–" if interval is None else f"[{_points(interval[0])}, {_points(interval[1])}]"
    star = " *" if compared.significant else ""
    where = d.where if named else d.place
    return (
        where, TITLES[d.metric], _percent(d.base), _percent(d.head), _points(d.change) + star,
        between, _p(compared.p_holm),
    )  # fmt: skip


def _judged_row(judged: Judged) -> tuple[str, ...]:
    d = judged.difference
    return (
        d.where, TITLES[d.metric], _percent(d.base), _percent(d.head), _points(d.change),
        _p(judged.p_holm), _VERDICTS[judged.verdict],
    )  # fmt: skip


def _timing_row(timing: TimingChange) -> tuple[str, ...]:
    return (
        timing.where, timing.device, f"{1e3 * timing.base:.1f}", f"{1e3 * timing.head:.1f}",
        f"{100 * (timing.head / timing.base - 1):+.0f} %",
    )  # fmt: skip


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
            {**_difference_json(c.difference), "p_value": c.p_value, "p_holm": c.p_holm}
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
    }  # fmt: skip


def gate_json(result: GateResult) -> dict[str, Any]:
    """Everything, fractions and seconds; `p_value` is one-sided for a drop."""
    rules = result.rules
    return {
        "exit_code": result.exit_code,
        "passed": result.exit_code == 0,
        "headline": gate_headline(result),
        "rules": {
            "metrics": list(rules.metrics), "tolerance": rules.tolerance, "alpha": rules.alpha,
            "timing_tolerance": rules.timing_tolerance, "require_all": rules.require_all,
        },
        "summary": summary(result),
        "comparisons": [
            {
                **_difference_json(j.difference), "p_value": j.p_value, "p_holm": j.p_holm,
                "verdict": j.verdict,
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
    interval = None if d.estimate is None else list(d.estimate.interval())
    return {
        "dataset": d.dataset, **named(d.category), "scope": d.scope, "method": d.method,
        "preset": d.preset, "metric": d.metric, "seeds": list(d.seeds), "base": d.base,
        "head": d.head, "change": d.change, "interval": interval,
        "test": d.estimate.test if d.estimate is not None else None, "untested": d.untested,
        "categories": d.categories, "protocol_differs_in": list(d.marks),
    }  # fmt: skip


def _incomparable_json(incomparable: Sequence[Incomparable]) -> list[dict[str, str]]:
    return [{"where": i.where, "reason": i.reason} for i in incomparable]

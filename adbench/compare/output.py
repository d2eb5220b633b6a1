"""Comparisons and gate results as text: terminal, Markdown, JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adbench.compare.compare import Compared, Comparison, OverCategories
from adbench.compare.history import Point, Series
from adbench.compare.pairing import Incomparable
from adbench.compare.regress import Difference
from adbench.report.marks import UNKNOWN
from adbench.report.tables import TITLES, named
from adbench.text import counted, printable, table_console

_UNSURE = (
    f"{UNKNOWN}: made before records kept digests of their files, so whether they saw the same "
    "data as the others is unknown."
)
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
                    (_whose(o), TITLES[o.metric], str(o.categories), points(o.median),
                     p_text(o.p_holm))
                    for o in result.over_categories
                ),
            )
        )  # fmt: skip
    protocols = [_protocol_note(c.difference) for c in result.compared if c.difference.marks]
    notes = (*protocols, *result.notes)
    return Page(
        headline,
        tuple(t for t in tables if t.rows),
        lists(
            ("Notes", notes),
            ("Not comparable", reasons(result.incomparable)),
            ("Only in head", result.only_in_head),
        ),
    )


def _whose(over: OverCategories) -> str:
    apart = f" ({over.told_apart})" if over.told_apart else ""
    return f"{over.dataset} {over.method} {over.preset}{apart}"


def history_page(series: Sequence[Series], metric: str) -> Page:
    """One table a series, oldest first."""
    head = ("made", "commit", "adbench", "%", "change", "seeds", "categories")
    tables = tuple(
        TextTable(
            own.name if "protocol" in own.told_apart else f"{own.name}, protocol {own.protocol}",
            head, tuple(_point_row(point, own.is_unsure) for point in own.points), text_columns=3,
        )
        for own in series
    )  # fmt: skip
    points = sum(len(own.points) for own in series)
    headline = f"{TITLES[metric]}: {counted(points, 'point')} of {len(series)} series"
    notes = [_UNSURE] if any(own.is_unsure for own in series) else []
    return Page(headline, tables, lists(("Notes", notes)))


def _point_row(point: Point, is_unsure: bool) -> tuple[str, ...]:
    mark = UNKNOWN if is_unsure and not point.data_known else ""
    return (
        point.created, point.commit or "–", point.version, percent(point.value) + mark,
        "–" if point.changed is None else points(point.changed), str(point.num_seeds),
        str(len(point.categories)),
    )  # fmt: skip


def series_json(series: Series, metric: str) -> dict[str, Any]:
    """Everything, fractions."""
    return {
        "dataset": series.dataset, **named(series.category), "method": series.method,
        "preset": series.preset, "scope": series.scope, "protocol": series.protocol,
        "data": series.data, "metric": metric,
        "points": [
            {
                "created": p.created, "commit": p.commit, "adbench": p.version, "value": p.value,
                "seeds": p.num_seeds, "categories": list(p.categories), "change": p.changed,
                "data_known": p.data_known,
            }
            for p in series.points
        ],
    }  # fmt: skip


def _compared_row(compared: Compared, *, named: bool) -> tuple[str, ...]:
    d = compared.difference
    interval = compared.interval
    between = "–" if interval is None else f"[{points(interval[0])}, {points(interval[1])}]"
    star = " *" if compared.significant else ""
    where = d.where if named else d.place
    return (
        where, TITLES[d.metric], percent(d.base), percent(d.head), points(d.change) + star,
        between, "smoke" if compared.is_smoke else p_text(compared.p_holm),
    )  # fmt: skip


def _protocol_note(d: Difference) -> str:
    return f"{d.dataset} {d.method}: the protocols differ in {', '.join(d.marks)}."


def reasons(incomparable: Iterable[Incomparable]) -> tuple[str, ...]:
    """One line each."""
    return tuple(f"{i.where}: {i.reason}" for i in incomparable)


def lists(*named: tuple[str, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Those with entries, each entry once."""
    return tuple((title, tuple(dict.fromkeys(lines))) for title, lines in named if lines)


def percent(value: float) -> str:
    """A fraction as percent."""
    return f"{100 * value:.2f}"


def points(value: float) -> str:
    """A change as signed points."""
    return f"{100 * value:+.2f}" if value else "0.00"


def p_text(p_value: float | None) -> str:
    """A p-value, or that there is none."""
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
                **difference_json(c.difference), "interval": _pair(c.interval),
                "test": None if c.is_smoke else _test(c.difference), "p_value": c.p_value,
                "p_holm": c.p_holm, "significant": c.significant, "smoke": c.is_smoke,
            }
            for c in result.compared
        ],
        "over_categories": [
            {
                "dataset": o.dataset, "scope": o.scope, "method": o.method, "preset": o.preset,
                "protocol": o.protocol, "metric": o.metric, "categories": o.categories,
                "median_change": o.median, "p_value": o.p_value, "p_holm": o.p_holm,
            }
            for o in result.over_categories
        ],
        "incomparable": incomparable_json(result.incomparable),
        "only_in_head": list(result.only_in_head),
        "notes": list(result.notes),
    }  # fmt: skip


def difference_json(d: Difference) -> dict[str, Any]:
    """What all comparisons say."""
    return {
        "dataset": d.dataset, **named(d.category), "scope": d.scope, "method": d.method,
        "preset": d.preset, "metric": d.metric, "seeds": list(d.seeds), "base": d.base,
        "head": d.head, "change": d.change,
        "interval": None if d.estimate is None else _pair(d.estimate.interval()),
        "interval_covers": d.covers, "test": _test(d), "untested": d.untested,
        "categories": d.categories, "protocol": d.protocols[0],
        "protocol_differs_in": list(d.marks),
    }  # fmt: skip


def _pair(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _test(d: Difference) -> str | None:
    return None if d.estimate is None else d.estimate.test


def incomparable_json(incomparable: Sequence[Incomparable]) -> list[dict[str, str]]:
    """Where, and why not."""
    return [{"where": i.where, "reason": i.reason} for i in incomparable]

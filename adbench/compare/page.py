"""Comparisons, gate results and histories as text: a page for a terminal or in Markdown."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adbench.compare.pairing import Incomparable
from adbench.report.formats import escaped, markdown_table, print_table
from adbench.report.text_table import Table, columns_of, row_of
from adbench.text import printable

SHOWN = 40
"""Rows of a comparison on a terminal or in Markdown, the most important first; JSON has all."""


class Page(NamedTuple):
    """A headline, tables (shown where they have rows) and lists, in the order of importance."""

    headline: str
    tables: tuple[Table, ...]
    lists: tuple[tuple[str, tuple[str, ...]], ...]


def table(
    title: str, names: Iterable[str], numbers: Iterable[str], rows: Iterable[Iterable[str]]
) -> Table:
    """Of the heads of columns with names, then of those with numbers."""
    return Table(title, columns_of(names, numbers), tuple(map(row_of, rows)))


def reasons(incomparable: Iterable[Incomparable]) -> tuple[str, ...]:
    """One line each."""
    return tuple(f"{where}: {reason}" for where, reason in incomparable)


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


def terminal(page: Page) -> str:
    """As on stdout, be it a terminal, a file or a pipe."""
    from rich.markup import escape

    from adbench.consoles import table_console

    buffer = io.StringIO()
    console = table_console(buffer)
    for table in filter(lambda table: table.rows, page.tables):
        print_table(table, console)
    lines = []
    for title, entries in page.lists:
        lines += [f"{title}:", *(f"  {entry}" for entry in entries)]
    for line in (*lines, page.headline):
        console.print(escape(printable(line)), highlight=False, soft_wrap=True)
    return buffer.getvalue()


def markdown(page: Page, title: str) -> str:
    """Fit for a pull-request comment: headline first, long lists folded."""
    parts = [f"### {title}", escaped(printable(page.headline))]
    parts += [markdown_table(table) for table in page.tables if table.rows]
    for heading, entries in page.lists:
        listed = "\n".join(f"- {escaped(printable(line))}" for line in entries)
        parts.append(
            f"<details><summary>{escaped(heading)} ({len(entries)})</summary>\n\n{listed}\n\n"
            "</details>"
        )
    return "\n\n".join(parts) + "\n"

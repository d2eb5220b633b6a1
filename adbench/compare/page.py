"""Comparisons, gate results and histories as text: a page for a terminal or in Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adbench.compare.pairing import Incomparable
from adbench.text import printable

SHOWN = 40
"""Rows of a comparison on a terminal or in Markdown, the most important first; JSON has all."""
Row = tuple[str, ...]


class TextTable(NamedTuple):
    """Cells of text; the first `text_columns` are names, the others numbers."""

    title: str
    head: Row
    rows: tuple[Row, ...]
    text_columns: int = 2


class Page(NamedTuple):
    """A headline, tables (shown where they have rows) and lists, in the order of importance."""

    headline: str
    tables: tuple[TextTable, ...]
    lists: tuple[tuple[str, tuple[str, ...]], ...]


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
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    buffer = io.StringIO()
    from adbench.consoles import table_console

    console = table_console(buffer)
    for table in filter(lambda table: table.rows, page.tables):
        shown = Table(
            title=escape(table.title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False
        )
        for column, name in enumerate(table.head):
            if column < table.text_columns:
                shown.add_column(name, overflow="fold")
            else:
                shown.add_column(name, justify="right", no_wrap=True)
        for row in table.rows:
            shown.add_row(*map(escape, row))
        console.print(shown, crop=False)
    lines = []
    for title, entries in page.lists:
        lines += [f"{title}:", *(f"  {entry}" for entry in entries)]
    for line in (*lines, page.headline):
        console.print(escape(printable(line)), highlight=False, soft_wrap=True)
    return buffer.getvalue()


def markdown(page: Page, title: str) -> str:
    """Fit for a pull-request comment: headline first, long lists folded."""
    parts = [f"### {title}", _escape(page.headline)]
    for table in filter(lambda table: table.rows, page.tables):
        align = ("---" if c < table.text_columns else "---:" for c in range(len(table.head)))
        rows = (map(_escape, row) for row in table.rows)
        lines = [f"| {' | '.join(row)} |" for row in (map(_escape, table.head), align, *rows)]
        parts.append(f"**{_escape(table.title)}**\n\n" + "\n".join(lines))
    for heading, entries in page.lists:
        listed = "\n".join(f"- {_escape(line)}" for line in entries)
        parts.append(
            f"<details><summary>{_escape(heading)} ({len(entries)})</summary>\n\n{listed}\n\n"
            "</details>"
        )
    return "\n\n".join(parts) + "\n"


def _escape(text: str) -> str:
    """Keep names from data from becoming markup, or from calling for people (`@name`)."""
    return re.sub(r"([\\`*_\[\]<>|@#])", r"\\\1", printable(" ".join(text.split())))

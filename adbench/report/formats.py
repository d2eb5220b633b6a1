"""The writers of a report for a terminal, Markdown and CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.report import skill
from adbench.report.report import Report
from adbench.report.tables import COLUMNS, public
from adbench.report.text_table import (
    PAIR,
    Cell,
    Table,
    column_widths,
    folded,
    joined,
    panels,
)
from adbench.report.wide_csv import wide_csv
from adbench.spreadsheet import csv_text
from adbench.store import files
from adbench.store.records import Record

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

NAME_WIDTH = 24
"""Characters at which names fold where a terminal is too narrow."""
DRAWN_GAP = 3
"""Characters between the columns that rich draws."""
CSV_COLUMNS = ("source", "image_size", "crop", "backbone", "against", "differs")
"""What the rows of published numbers have beside ours."""


def write_reports(records: Sequence[Record], folder: Path, stem: str) -> list[Path]:
    """Write `stem`.md and `stem`.csv; gives their paths."""
    report = Report(records)
    targets = {folder / f"{stem}.md": markdown(report), folder / f"{stem}.csv": csv(report)}
    for path, text in targets.items():
        files.write_text(path, text)
    return list(targets)


def csv(report: Report) -> str:
    """Numbers as fractions in full precision, below one header. Long: all rows, one per method,
    category or mean, and seed, then those of methods' parts and published numbers. Paper: as
    `wide_csv` has it."""
    if report.layout == "paper":
        return wide_csv(report, report.cells, transpose=bool(report.transpose))
    part = ["part"] if any(record.parts for record in report.records) else []
    told = any(row.get("skill") is not None for row in report.rows)
    fields = [*COLUMNS, *(skill.COLUMNS if told else ()), *part]
    fields += CSV_COLUMNS if report.published else ()
    values = ([row.get(name) for name in fields] for row in public(report.all_rows))
    return csv_text([fields, *values])


# ----------------------------------------------------------------------------- terminal


def print_report(report: Report, console: Console) -> None:
    """Comparison, timing and footnotes on a rich console (plain when it is no terminal)."""
    tables = report.tables
    if report.layout == "paper":
        tables = [panel for table in tables for panel in panels(table, console.width)]
    for table in [*tables, *report.side_tables]:
        print_table(table, console)
    print_notes([note.text for note in report.notes], console)


def print_table(table: Table, console: Console) -> None:
    """Its title, and the table in full: drawn on a terminal, in parts where that is narrow, and
    aligned anywhere else."""
    from rich.markup import escape

    for part in _fitting(table, console.width) if console.is_terminal else [table]:
        console.print(f"[italic]{escape(part.title)}[/italic]", highlight=False, soft_wrap=True)
        if console.is_terminal:
            console.print(_rich_table(part), crop=False)
        else:
            console.file.write(_plain_table(part))


def _fitting(table: Table, width: int) -> list[Table]:
    """The table in parts that a terminal of this width shows without breaking a row."""
    if sum(column_widths(table, DRAWN_GAP)) <= width:
        return [table]
    return panels(folded(table), width, name_width=NAME_WIDTH, gap=DRAWN_GAP)


def print_notes(notes: Iterable[str], console: Console) -> None:
    """One line each."""
    from rich.markup import escape

    for note in notes:
        console.print(f"[dim]·[/dim] {escape(note)}", highlight=False, soft_wrap=True)


def _without_repeats(table: Table) -> list[list[str]]:
    """The rows as texts, the name of the row above only where it changes."""
    lines = [row.texts for row in table.rows]
    above = [[""], *lines]
    return [
        ["" if line[0] == last[0] else line[0], *line[1:]]
        for line, last in zip(lines, above, strict=False)
    ]


def _plain_table(table: Table) -> str:
    """For files and pipes, however wide: aligned by display width, best and second unmarked."""
    from rich.cells import cell_len

    heads = list(zip_longest(*(c.head.split("\n") for c in table.columns), fillvalue=""))
    lines = _without_repeats(table)
    widths = [max(map(cell_len, column)) for column in zip(*heads, *lines, strict=True)]

    def text(line: Sequence[str]) -> str:
        shown = []
        for column, own, width in zip(table.columns, line, widths, strict=True):
            space = " " * (width - cell_len(own))
            shown.append(own + space if column.is_name else space + own)
        return "  ".join(shown).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    # No gap where each row is a group, and none at the end.
    ends = [row.ends and number < len(lines) for number, row in enumerate(table.rows, 1)]
    is_grouped = not all(row.ends for row in table.rows)
    body = [text(line) + "\n" * (is_grouped and end) for line, end in zip(lines, ends, strict=True)]
    return "\n".join([*map(text, heads), rule, *body, ""]) + "\n"


def _rich_table(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    texts = [row.texts for row in table.rows]
    for column, *own in zip(table.columns, *texts, strict=True):
        # No number or name is ever cut: on a narrow terminal heads wrap, then names fold, and
        # what is still too wide runs over the edge.
        longest = max(map(len, (*column.head.split(), *own)), default=0)
        if column.is_name:
            narrowest = min(longest, NAME_WIDTH)
            shown.add_column(column.head, min_width=narrowest, overflow="fold")
        else:
            shown.add_column(column.head, min_width=longest, justify="right")
    for row, (name, *_) in zip(table.rows, _without_repeats(table), strict=True):
        cells = [
            _rich_cell(cell, "dim" if column.reported else "")
            for column, cell in zip(table.columns, row.cells, strict=True)
        ]
        style = "dim" if row.reported else None
        shown.add_row(cells[0] if name else Text(), *cells[1:], end_section=row.ends, style=style)
    return shown


def _rich_cell(cell: Cell, style: str) -> Text:
    """Not as markup, which takes longer to parse than all of the table to draw."""
    from rich.text import Text

    styles = {"best": "bold", "second": "underline", "": ""}
    shown = Text("", style)
    for number, value in enumerate(cell):
        if any(own.text for own in cell):
            shown.append(PAIR if number else "").append(value.text, styles[value.rank] or None)
    return shown


# ----------------------------------------------------------------------------- Markdown


def markdown(report: Report) -> str:
    """A Markdown document; text from data is escaped."""
    parts = [markdown_table(table) for table in (*report.tables, *report.side_tables)]
    listed = "\n".join(f"- {escaped(note.text)}" for note in report.notes)
    return "\n\n".join([*parts, listed]) + "\n"


def markdown_table(table: Table) -> str:
    """The table with its title; text from data is escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    heads = ["<br>".join(map(escaped, column.head.split("\n"))) for column in table.columns]
    align = ["---" if column.is_name else "---:" for column in table.columns]
    rows = [
        [joined([_emphasised(value.text, value.rank) for value in cell]) for cell in row.cells]
        for row in table.rows
    ]
    return f"**{escaped(table.title)}**\n\n" + "\n".join(map(line, (heads, align, *rows)))


def _emphasised(text: str, rank: str) -> str:
    star = {"best": "**", "second": "*", "": ""}[rank]
    return f"{star}{escaped(text)}{star}"


def escaped(text: str) -> str:
    """Keep names from data from becoming markup or from calling for people (`@name`); the _ in a
    word is none, and stays legible."""
    markup = r"([\\`*\[\]<>|&~]|(?<![^\W_])[@#]|(?<![^\W_])_|_(?![^\W_]))"
    return re.sub(markup, r"\\\1", " ".join(text.split()))

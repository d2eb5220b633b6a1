"""From records to a finished text: which tables, their footnotes, and the format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from adbench.report import spreadsheet
from adbench.report.beside import beside, reported_rows
from adbench.report.comparison import SHOWN, comparison, notes, notes_on_published, timing_table
from adbench.report.footnotes import timing_notes
from adbench.report.panels import pages, panels
from adbench.report.paper_table import DEFAULT_CELLS, paper_tables
from adbench.report.parts_table import parts_tables
from adbench.report.reported import Reported
from adbench.report.tables import csv_text, part_rows, rows, summarise_seeds
from adbench.report.text_table import Table, joined
from adbench.store import files
from adbench.store.records import Record

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@dataclass(frozen=True)
class Layout:
    """Which tables a report shows, whatever its format.

    `long` has a row a method and a column a metric; `paper` a row a category and a column a method
    with one or two metrics in a `cells`. `numbers` are the published ones to show beside ours.
    """

    name: Literal["long", "paper"] = "long"
    cells: tuple[str, ...] = DEFAULT_CELLS
    transpose: bool = False
    numbers: tuple[Reported, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the tables show."""
        return self.cells if self.name == "paper" else SHOWN

    def tables(self, records: Sequence[Record]) -> list[Table]:
        """The comparison, without timing."""
        if self.name == "paper":
            return paper_tables(records, self.numbers, self.cells, self.transpose)
        return comparison(records, self.numbers)


LONG = Layout()
LATEX_WIDTH, LATEX_ROWS = 200, 40
"""Characters that can still be read after they are shrunk to the width of a page, and rows that
leave room for notes on it."""
CSV_COLUMNS = ("source", "selector", "image_size", "crop", "backbone", "against", "differs")
"""What the rows of published numbers have beside ours."""


def print_report(records: Sequence[Record], console: Console, layout: Layout = LONG) -> None:
    """Comparison, timing and footnotes on a rich console (plain when it is no terminal)."""
    from rich.markup import escape

    tables = layout.tables(records)
    if layout.name == "paper":
        tables = [panel for table in tables for panel in panels(table, console.width)]
    for table in [*tables, *more_tables(records, layout)]:
        console.print(f"[italic]{escape(table.title)}[/italic]", highlight=False, soft_wrap=True)
        if console.is_terminal:
            console.print(_rich_table(table), crop=False)
        else:
            console.file.write(_plain_table(table))
    for note in notes(records, layout.numbers, layout.metrics):
        console.print(f"[dim]·[/dim] {escape(note)}", highlight=False, soft_wrap=True)


def markdown(records: Sequence[Record], layout: Layout = LONG) -> str:
    """The same as a Markdown document; text from data is escaped."""
    tables = [*layout.tables(records), *more_tables(records, layout)]
    parts = [_markdown_table(table) for table in tables]
    below = notes(records, layout.numbers, layout.metrics)
    listed = "\n".join(f"- {_escape(note)}" for note in below)
    return "\n\n".join([*parts, listed]) + "\n"


def csv(records: Sequence[Record], layout: Layout = LONG) -> str:
    """Long: all rows (fractions, full precision), one per method, category or mean, and seed, then
    those of methods' parts and published numbers. Paper: the tables below each other, as shown,
    one header a table."""
    if layout.name == "long":
        parts = part_rows(records)
        theirs = published_rows(records, layout.numbers) if layout.numbers else []
        more = (*(["part"] if parts else []), *(CSV_COLUMNS if layout.numbers else ()))
        return csv_text([*rows(records), *parts, *theirs], more)
    lines: list[list[str]] = []
    for number, table in enumerate(layout.tables(records)):
        cells = table.cells()
        lines += [[]] if number else []
        lines.append([table.title])
        lines.append([" ".join(table.head[cell[0]].split("\n")) for cell in cells])
        lines += [[joined([row[c] for c in cell]) for cell in cells] for row in table.rows]
    return spreadsheet.csv_text(lines)


def latex(records: Sequence[Record], layout: Layout, fragment: bool = False) -> str:
    """A document that compiles, or with `fragment` its tables alone.

    Each data set's tables are made from its own records, so that each has its notes with it; of a
    table in several parts the first has them.
    """
    from adbench.report.latex import document, fragments

    tables: list[tuple[Table, list[str]]] = []
    for dataset in dict.fromkeys(r.identity["dataset"] for r in records):
        own = [r for r in records if r.identity["dataset"] == dataset]
        about_time = timing_notes(own)
        ours = [note for note in notes(own) if note not in about_time]
        theirs = notes_on_published(own, layout.numbers, layout.metrics)
        for table in layout.tables(own):
            below = [*(ours if table.has_own else []), *(theirs if table.has_reported else [])]
            tables += _pieces(table, below)
        for table in parts_tables(own, layout.metrics):
            tables += _pieces(table, [])
    timing = timing_table(records, layout.numbers)
    if timing is not None:
        tables += _pieces(timing, timing_notes(records))
    return fragments(tables) if fragment else document(tables)


def more_tables(records: Sequence[Record], layout: Layout) -> list[Table]:
    """What stands below the comparison: parts of methods, then timing."""
    timing = timing_table(records, layout.numbers)
    return [*parts_tables(records, layout.metrics), *([timing] if timing else [])]


def _pieces(table: Table, below: list[str]) -> list[tuple[Table, list[str]]]:
    first, *others = [p for t in pages(table, LATEX_ROWS) for p in panels(t, LATEX_WIDTH)]
    return [(first, below), *((other, []) for other in others)]


def published_rows(
    records: Sequence[Record], numbers: Sequence[Reported]
) -> list[dict[str, object]]:
    """Published numbers of the records' data sets as rows for CSV and JSON."""
    return reported_rows(beside(records, summarise_seeds(rows(records)), numbers))


def write_reports(records: Sequence[Record], folder: Path, stem: str) -> list[Path]:
    """Write `stem`.md and `stem`.csv; gives their paths."""
    targets = {folder / f"{stem}.md": markdown(records), folder / f"{stem}.csv": csv(records)}
    for path, text in targets.items():
        files.write_text(path, text)
    return list(targets)


def _plain_table(table: Table) -> str:
    """For files and pipes, however wide: aligned by display width, best and second unmarked."""
    from rich.cells import cell_len

    cells = table.cells()
    heads = [table.head[cell[0]].split("\n") for cell in cells]
    tall = max(map(len, heads))
    head = [[*own, *[""] * (tall - len(own))] for own in heads]
    lines = [[joined([row[c] for c in cell]) for cell in cells] for row in table.rows]
    lines = [
        ["" if n and line[0] == lines[n - 1][0] else line[0], *line[1:]]
        for n, line in enumerate(lines)
    ]
    columns = zip(*zip(*head, strict=True), *lines, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]

    def text(line: Sequence[str]) -> str:
        shown = []
        for cell, own, width in zip(cells, line, widths, strict=True):
            space = " " * (width - cell_len(own))
            shown.append(own + space if cell[0] < table.text_columns else space + own)
        return "  ".join(shown).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    # None where each row is alone, and none at the end.
    breaks = table.breaks - {len(lines) - 1} if len(table.breaks) < len(lines) else ()
    body = [text(line) + "\n" * (n in breaks) for n, line in enumerate(lines)]
    return "\n".join([*map(text, zip(*head, strict=True)), rule, *body, ""]) + "\n"


def _rich_table(table: Table) -> object:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for cell in table.cells():
        name = table.head[cell[0]]
        # No number or name is ever cut: on a narrow terminal heads wrap, then names fold, and
        # what is still too wide runs over the edge.
        texts = [*name.split(), *(joined([row[c] for c in cell]) for row in table.rows)]
        longest = max(map(len, texts), default=0)
        if cell[0] < table.text_columns:
            shown.add_column(name, min_width=min(longest, 24), overflow="fold")
        else:
            shown.add_column(name, min_width=longest, justify="right")
    previous = ""
    for number, line in enumerate(table.rows):
        cells = [_rich_cell(table, number, cell) for cell in table.cells()]
        if line[0] == previous:
            cells[0] = Text()
        previous = line[0]
        style = "dim" if number in table.reported_rows else None
        shown.add_row(*cells, end_section=number in table.breaks, style=style)
    return shown


def _rich_cell(table: Table, row: int, cell: Sequence[int]) -> Text:
    """Not as markup, which takes longer to parse than all of the table to draw."""
    from rich.text import Text

    texts = [table.rows[row][column] for column in cell]
    shown = Text(joined(texts), "dim" if cell[0] in table.reported_columns else "")
    for column, text in zip(cell, texts, strict=True):
        style = "bold" if (row, column) in table.best else ""
        style = "underline" if (row, column) in table.second else style
        if style:
            start = 0 if column == cell[0] else len(shown) - len(text)
            shown.stylize(style, start, start + len(text))
    return shown


def _markdown_table(table: Table) -> str:
    cells = table.cells()
    heads = ["<br>".join(map(_escape, table.head[cell[0]].split("\n"))) for cell in cells]
    align = ["---" if cell[0] < table.text_columns else "---:" for cell in cells]
    lines = [_markdown_row(heads), _markdown_row(align)]
    for number in range(len(table.rows)):
        lines.append(_markdown_row([_markdown_cell(table, number, cell) for cell in cells]))
    return f"**{_escape(table.title)}**\n\n" + "\n".join(lines)


def _markdown_cell(table: Table, row: int, cell: Sequence[int]) -> str:
    halves = []
    for column in cell:
        text = _escape(table.rows[row][column])
        if (row, column) in table.best:
            text = f"**{text}**"
        halves.append(f"*{text}*" if (row, column) in table.second else text)
    return joined(halves)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    """Keep names from data from becoming markup; the _ in a word is none, and stays legible."""
    markup = r"([\\`*\[\]<>|&~]|(?<![^\W_])_|_(?![^\W_]))"
    return re.sub(markup, r"\\\1", " ".join(text.split()))

"""Tables in the terminal, as Markdown and as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adbench import atomic
from adbench.comparison import Table, comparison, notes, timing_table
from adbench.records import Record
from adbench.tables import frame, rows

if TYPE_CHECKING:
    from rich.console import Console


def print_report(records: Sequence[Record], console: Console) -> None:
    """Comparison, timing and footnotes on a rich console (plain when it is no terminal)."""
    from rich.markup import escape

    for table in _tables(records):
        console.print(_rich_table(table), crop=False)
    for note in notes(records):
        console.print(f"[dim]·[/dim] {escape(note)}", highlight=False, soft_wrap=True)


def markdown(records: Sequence[Record]) -> str:
    """The same as a Markdown document; text from data is escaped."""
    parts = [_markdown_table(table) for table in _tables(records)]
    listed = "\n".join(f"- {_escape(note)}" for note in notes(records))
    return "\n\n".join([*parts, listed]) + "\n"


def csv(records: Sequence[Record]) -> str:
    """All rows (fractions, full precision), one per method, category or mean, and seed."""
    return str(frame(rows(records)).to_csv(index=False, lineterminator="\n"))


def write_reports(records: Sequence[Record], folder: Path, stem: str) -> list[Path]:
    """Write `stem`.md and `stem`.csv; gives their paths."""
    targets = {folder / f"{stem}.md": markdown(records), folder / f"{stem}.csv": csv(records)}
    for path, text in targets.items():
        atomic.write_text(path, text)
    return list(targets)


def _tables(records: Sequence[Record]) -> list[Table]:
    timing = timing_table(records)
    return [*comparison(records), *([timing] if timing else [])]


def _rich_table(table: Table) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column, name in enumerate(table.head):
        # No number or name is ever cut: on a narrow terminal heads wrap, then names fold, and
        # what is still too wide runs over the edge.
        texts = [*name.split(), *(line[column] for line in table.rows)]
        longest = max(map(len, texts), default=0)
        if column < table.text_columns:
            shown.add_column(name, min_width=min(longest, 24), overflow="fold")
        else:
            shown.add_column(name, min_width=longest, justify="right")
    previous = ""
    for number, line in enumerate(table.rows):
        cells = [
            f"[bold]{escape(text)}[/bold]" if (number, column) in table.best else escape(text)
            for column, text in enumerate(line)
        ]
        if line[0] == previous:
            cells[0] = ""
        previous = line[0]
        shown.add_row(*cells, end_section=number in table.breaks)
    return shown


def _markdown_table(table: Table) -> str:
    align = ["---" if c < table.text_columns else "---:" for c in range(len(table.head))]
    lines = [_markdown_row([_escape(h) for h in table.head]), _markdown_row(align)]
    for number, line in enumerate(table.rows):
        lines.append(
            _markdown_row(
                f"**{_escape(text)}**" if (number, column) in table.best else _escape(text)
                for column, text in enumerate(line)
            )
        )
    return f"**{_escape(table.title)}**\n\n" + "\n".join(lines)


def _markdown_row(cells: object) -> str:
    return "| " + " | ".join(cells) + " |"  # type: ignore[arg-type]


def _escape(text: str) -> str:
    """Keep names from data from becoming markup."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))

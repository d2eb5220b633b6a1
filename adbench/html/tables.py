"""A table as the template prints it: cells with their emphasis and their links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adbench.text_table import Table

if TYPE_CHECKING:
    from adbench.html.cells import CellView

FILTERED_FROM = 16
"""A table with this many rows gets a box to filter them."""


@dataclass(frozen=True)
class CellText:
    """One table cell. `link` is where the run behind it is described, or None."""

    text: str
    numeric: bool
    emphasis: str
    link: str | None


@dataclass(frozen=True)
class RowView:
    """One row: `reported` by a paper, `ends` a group."""

    cells: tuple[CellText, ...]
    reported: bool
    ends: bool


@dataclass(frozen=True)
class TableView:
    """A table, its heads as lines of text."""

    title: str
    head: tuple[tuple[str, bool], ...]
    """(text, numeric) of each column."""
    rows: tuple[RowView, ...]

    @property
    def filtered(self) -> bool:
        """Whether it is long enough for a filter."""
        return len(self.rows) >= FILTERED_FROM


def table_view(table: Table, cells: Sequence[CellView]) -> TableView:
    """`table` for the template; rows that one of `cells` stands behind link to it.

    A row belongs to the cell whose data set and scope head the title and whose category and name
    are its first two columns.
    """
    here = [c for c in cells if table.title.startswith(f"{c.dataset}, {c.scope} ")]
    link_of = {
        (category, name): cell.anchor
        for cell in reversed(here)  # of several seeds, the first
        for category in cell.categories
        for name in (cell.run, f"{cell.run} ({cell.mark})")
    }
    rows = tuple(
        RowView(
            tuple(
                CellText(
                    text,
                    column >= table.text_columns,
                    _emphasis(table, (number, column)),
                    link_of.get((line[0], text)) if column == 1 else None,
                )
                for column, text in enumerate(line)
            ),
            number in table.reported_rows,
            number in table.breaks,
        )
        for number, line in enumerate(table.rows)
    )
    head = tuple(
        (" ".join(text.split()), column >= table.text_columns)
        for column, text in enumerate(table.head)
    )
    return TableView(table.title, head, rows)


def _emphasis(table: Table, place: tuple[int, int]) -> str:
    if place in table.best:
        return "best"
    return "second" if place in table.second else ""

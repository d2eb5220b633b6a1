"""A table as the template prints it: cells with their emphasis and their links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adbench.report.text_table import Table, joined

if TYPE_CHECKING:
    from adbench.report.html.cells import CellView

FILTERED_FROM = 16
"""A table with this many rows gets a box to filter them."""


@dataclass(frozen=True)
class Half:
    """A number or a name, and its emphasis: "best", "second" or ""."""

    text: str
    emphasis: str


@dataclass(frozen=True)
class CellText:
    """One table cell, of one text or of two that belong together.

    Attributes:
        link: where the run behind it is described, or None.
        reported: whether a paper says so and not a record.
    """

    halves: tuple[Half, ...]
    numeric: bool
    link: str | None
    reported: bool


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
    columns = table.cells()
    rows = tuple(
        RowView(
            tuple(
                CellText(
                    _halves(table, number, cell),
                    cell[0] >= table.text_columns,
                    link_of.get((line[0], line[1])) if cell[0] == 1 else None,
                    cell[0] in table.reported_columns,
                )
                for cell in columns
            ),
            number in table.reported_rows,
            number in table.breaks,
        )
        for number, line in enumerate(table.rows)
    )
    head = tuple(
        (" ".join(table.head[cell[0]].split()), cell[0] >= table.text_columns) for cell in columns
    )
    return TableView(table.title, head, rows)


def _halves(table: Table, row: int, cell: Sequence[int]) -> tuple[Half, ...]:
    texts = [table.rows[row][column] for column in cell]
    if not joined(texts):
        return ()
    return tuple(
        Half(text, _emphasis(table, (row, column)))
        for text, column in zip(texts, cell, strict=True)
    )


def _emphasis(table: Table, place: tuple[int, int]) -> str:
    if place in table.best:
        return "best"
    return "second" if place in table.second else ""

"""A table that is too wide or too long, in several: with the names, or the heads, in each."""

from __future__ import annotations

import math
from dataclasses import replace

from adbench.report.text_table import PAIR, Place, Table

GAP = 2
"""Characters between columns."""


def panels(table: Table, width: int) -> list[Table]:
    """Parts of equal numbers of columns, each at most `width` characters wide where one can be.

    Pairs stay together; a table that fits, or has nothing to part, is given back as it is.
    """
    cells = table.cells()
    names = [cell for cell in cells if cell[0] < table.text_columns]
    values = [cell for cell in cells if cell[0] >= table.text_columns]
    room = width - sum(_width(table, cell) for cell in names)
    if sum(_width(table, cell) for cell in values) <= room or len(values) < 2:
        return [table]
    widest = max(_width(table, cell) for cell in values)
    count = math.ceil(len(values) / max(1, room // widest))
    size = math.ceil(len(values) / count)
    chunks = [values[first : first + size] for first in range(0, len(values), size)]
    return [
        _part(table, [*names, *chunk], f" ({number} of {len(chunks)})")
        for number, chunk in enumerate(chunks, 1)
    ]


def pages(table: Table, rows: int) -> list[Table]:
    """Parts of at most `rows` rows; they end where a group does, if a group is no longer."""
    starts = [0]
    while len(table.rows) - starts[-1] > rows:
        first = starts[-1]
        ends = [row + 1 for row in table.breaks if first < row + 1 <= first + rows]
        starts.append(max(ends, default=first + rows))
    if len(starts) == 1:
        return [table]
    limits = zip(starts, [*starts[1:], len(table.rows)], strict=True)
    return [
        _rows(table, first, last, f" ({number} of {len(starts)})")
        for number, (first, last) in enumerate(limits, 1)
    ]


def _rows(table: Table, first: int, last: int, suffix: str) -> Table:
    def places(old: frozenset[Place]) -> frozenset[Place]:
        return frozenset((row - first, column) for row, column in old if first <= row < last)

    def some(old: frozenset[int]) -> frozenset[int]:
        return frozenset(row - first for row in old if first <= row < last)

    return replace(
        _named(table, suffix),
        rows=table.rows[first:last],
        best=places(table.best),
        second=places(table.second),
        breaks=some(table.breaks),
        reported_rows=some(table.reported_rows),
    )


def _named(table: Table, suffix: str) -> Table:
    return replace(
        table,
        title=table.title + suffix,
        caption=table.caption and table.caption + suffix,
        key=table.key + suffix.translate(str.maketrans(" ", "-", "()")),
    )


def _width(table: Table, cell: tuple[int, ...]) -> int:
    halves = [max((len(row[column]) for row in table.rows), default=0) for column in cell]
    head = max(len(line) for column in cell for line in table.head[column].split("\n"))
    return max(head, sum(halves) + len(PAIR) * (len(cell) - 1)) + GAP


def _part(table: Table, cells: list[tuple[int, ...]], suffix: str) -> Table:
    columns = [column for cell in cells for column in cell]
    new = {old: number for number, old in enumerate(columns)}

    def places(old: frozenset[Place]) -> frozenset[Place]:
        return frozenset((row, new[column]) for row, column in old if column in new)

    def some(old: frozenset[int]) -> frozenset[int]:
        return frozenset(new[column] for column in old if column in new)

    return replace(
        _named(table, suffix),
        head=tuple(table.head[column] for column in columns),
        rows=tuple(tuple(row[column] for column in columns) for row in table.rows),
        best=places(table.best),
        second=places(table.second),
        pairs=some(table.pairs),
        groups=tuple(table.groups[column] for column in columns) if table.groups else (),
        reported_columns=some(table.reported_columns),
    )

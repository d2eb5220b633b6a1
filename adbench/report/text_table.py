"""The one table: columns and rows of texts with their ranks, which every format writes down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from adbench.store.records import selector_text
from adbench.text import printable

PAIR = " / "
GAP = 2
"""Characters between columns, in text and on paper."""

Rank = Literal["", "best", "second"]


@dataclass(frozen=True, slots=True)
class Value:
    """A number or a name as text, and its rank; of a run's name also the words that select it
    (`run_name`), for formats that can show them on demand. No text of a record steers a terminal
    or breaks a line, whatever the format."""

    text: str
    rank: Rank = ""
    selector: str = ""

    def __post_init__(self) -> None:
        for name in ("text", "selector"):
            object.__setattr__(self, name, printable(getattr(self, name)))


Cell = tuple[Value, ...]
"""One value, or two of one kind that are shown as `left / right`."""


@dataclass(frozen=True)
class Column:
    """Its `head` in lines, whether it holds names and not numbers, the heading that it shares with
    its neighbours, and whether a paper reports it."""

    head: str
    is_name: bool = False
    group: str = ""
    reported: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", "\n".join(map(printable, self.head.split("\n"))))


@dataclass(frozen=True)
class Row:
    """A cell a column, whether the row ends a group, and whether a paper reports it."""

    cells: tuple[Cell, ...]
    ends: bool = False
    reported: bool = False

    @property
    def texts(self) -> list[str]:
        return [joined([value.text for value in cell]) for cell in self.cells]


@dataclass(frozen=True)
class Table:
    """A writer adds nothing but its format's marks.

    `title` is one line: data set, scope, unit, seeds; `caption` a sentence or two for a paper, ""
    for the title; `key` a name for labels and files.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    key: str = "table"

    def __post_init__(self) -> None:
        for name in ("title", "caption"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def has_reported(self) -> bool:
        columns = any(column.reported for column in self.columns)
        return columns or any(row.reported for row in self.rows)

    @property
    def has_own(self) -> bool:
        columns = any(not c.is_name and not c.reported for c in self.columns)
        return columns and any(not row.reported for row in self.rows)


def columns_of(names: Iterable[str], numbers: Iterable[str]) -> tuple[Column, ...]:
    """Columns of names, then of numbers, by their heads."""
    return (*(Column(head, is_name=True) for head in names), *map(Column, numbers))


def row_of(texts: Iterable[str], *, ends: bool = False, reported: bool = False) -> Row:
    """A row without ranks."""
    return Row(tuple((Value(text),) for text in texts), ends, reported)


def joined(texts: Sequence[str]) -> str:
    """The halves of a cell as one text; nothing where both are empty."""
    return PAIR.join(texts) if any(texts) else ""


def run_name(summary: Mapping[str, Any]) -> str:
    """`method[variant] preset`, as on the command line."""
    return f"{selector_text(summary['method'], summary['variant'])} {summary['preset']}"


def preset_text(presets: Sequence[str]) -> str:
    """What is said once of a table whose rows share it."""
    return f"preset {', '.join(presets)}"


def marked(name: str, mark: str) -> str:
    """The name with what tells it from others in brackets, if anything does."""
    return f"{name} ({mark})" if mark else name


def emphasis(table_rows: Iterable[Row]) -> str:
    """What a caption says of the ranks among these rows, if there are any."""
    ranks = {value.rank for row in table_rows for cell in row.cells for value in cell}
    words = {"best": "best in bold", "second": "second best underlined"}
    told = " and ".join(text for rank, text in words.items() if rank in ranks)
    return f"{told[0].upper()}{told[1:]}, among numbers of one protocol." if told else ""


def averaged(summary: Mapping[str, Any]) -> str:
    """Over how many categories a mean is: over fewer than all, for a failed or undefined one, must
    not look like one over all."""
    of, left_out = summary["categories"], summary["undefined"]
    return f"{of - left_out} of {of}" if left_out else str(of)


def percent(value: Mapping[str, Any] | None, status: str, num_seeds: int) -> str:
    """`mean ± std` of a summarised metric; with its n where seeds are missing."""
    if value is None:
        return "–" if status == "done" else status
    text = f"{100 * value['mean']:.2f}"
    if value["std"] is not None:
        text += f" ± {100 * value['std']:.2f}"
    return text if value["n"] == num_seeds else f"{text} (n={value['n']})"


def seeds_text(seeds: Sequence[int]) -> str:
    """Which seeds a table holds, and what it shows of them."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    listed = ", ".join(map(str, seeds))
    return f"mean ± standard deviation over n={len(seeds)} seeds: {listed}"


# ------------------------------------------------------------- a table too wide or too long


def folded(table: Table) -> Table:
    """The same with heads of several words in two lines where that makes a column of numbers
    narrower by a few characters."""
    columns = [
        replace(column, head=_fold(column.head, own)) if not column.is_name else column
        for column, own in zip(table.columns, _longest_cells(table), strict=True)
    ]
    return replace(table, columns=tuple(columns))


def _fold(head: str, width: int) -> str:
    """In two lines of nearly one length, if one is too wide for the column."""
    words = head.split()
    if "\n" in head or len(words) < 2:
        return head
    halves = ((" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words)))
    best = min(halves, key=lambda lines: max(map(len, lines)))
    gained = len(head) - max(width, *map(len, best))
    return "\n".join(best) if gained > 2 else head


def panels(
    table: Table, width: int, *, name_width: int | None = None, gap: int = GAP
) -> list[Table]:
    """As few parts as can be, each with the names and at most `width` characters wide where one can
    be, of equal numbers of columns where that fits; a table that fits, or has nothing to part, is
    given back as it is. Names may fold at `name_width`."""
    widths = [
        min(own, name_width + gap) if column.is_name and name_width else own
        for column, own in zip(table.columns, column_widths(table, gap), strict=True)
    ]
    names = [index for index, column in enumerate(table.columns) if column.is_name]
    values = [index for index, column in enumerate(table.columns) if not column.is_name]
    room = width - sum(widths[index] for index in names)
    if sum(widths[index] for index in values) <= room or len(values) < 2:
        return [table]
    chunks = [[*names, *own] for own in _chunks(values, widths, room)]
    return _numbered(
        replace(
            table,
            columns=tuple(table.columns[index] for index in chunk),
            rows=tuple(
                replace(row, cells=tuple(row.cells[index] for index in chunk)) for row in table.rows
            ),
        )
        for chunk in chunks
    )


def _chunks(values: Sequence[int], widths: Sequence[int], room: int) -> list[list[int]]:
    """Neighbouring columns that fit into `room` together, or are one that does not."""
    filled: list[list[int]] = [[]]
    for index in values:
        if filled[-1] and sum(widths[i] for i in [*filled[-1], index]) > room:
            filled.append([])
        filled[-1].append(index)
    size = math.ceil(len(values) / len(filled))
    equal = [list(values[first : first + size]) for first in range(0, len(values), size)]
    fits = all(sum(widths[i] for i in own) <= room for own in equal)
    return equal if fits else filled


def pages(table: Table, rows: int) -> list[Table]:
    """Parts of at most `rows` rows; they end where a group does, if a group is no longer."""
    starts = [0]
    while len(table.rows) - starts[-1] > rows:
        first = starts[-1]
        ends = [n for n in range(first + 1, first + rows + 1) if table.rows[n - 1].ends]
        starts.append(max(ends, default=first + rows))
    if len(starts) == 1:
        return [table]
    limits = zip(starts, [*starts[1:], len(table.rows)], strict=True)
    return _numbered(replace(table, rows=table.rows[first:last]) for first, last in limits)


def _numbered(parts: Iterable[Table]) -> list[Table]:
    listed = list(parts)
    return [
        replace(
            part,
            title=f"{part.title} ({number} of {len(listed)})",
            caption=part.caption and f"{part.caption} ({number} of {len(listed)})",
            key=f"{part.key}-{number}-of-{len(listed)}",
        )
        for number, part in enumerate(listed, 1)
    ]


def column_widths(table: Table, gap: int = GAP) -> list[int]:
    """In characters, with the gap to the next column."""
    heads = (max(map(len, column.head.split("\n"))) for column in table.columns)
    cells = _longest_cells(table)
    return [max(head, own) + gap for head, own in zip(heads, cells, strict=True)]


def _longest_cells(table: Table) -> list[int]:
    """Characters of the longest cell of each column, the halves of pairs aligned."""
    found = []
    for index in range(len(table.columns)):
        cells = [[len(value.text) for value in row.cells[index]] for row in table.rows]
        halves = [max(lengths) for lengths in zip(*cells, strict=True)]
        found.append(sum(halves) + len(PAIR) * (len(halves) - 1))
    return found

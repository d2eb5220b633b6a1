"""A table as cells of text with their emphasis: what every output format is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adbench.text import printable

Place = tuple[int, int]
"""Row and column of a cell."""

PAIR = " / "
EMPHASIS = "Best in bold and second best underlined, among numbers of one protocol."
"""What a caption says of the marks."""


@dataclass(frozen=True)
class Table:
    """Text cells; a renderer adds nothing but its format's marks.

    Attributes:
        title: one line: data set, scope, unit, seeds.
        head: one text a column; lines are separated by newlines.
        rows: as many texts each.
        best: cells with the best value of their kind.
        second: cells with the second best value.
        breaks: rows that end a group.
        text_columns: how many columns, from the left, hold names and not numbers.
        pairs: columns that form one cell with the column to their right, `left / right`.
        groups: a heading above each column, equal neighbours under one; () for none.
        reported_rows: rows of numbers that a paper reports.
        reported_columns: columns of such numbers.
        caption: a sentence or two for a paper; "" for the title.
        key: a name for labels and files.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[Place] = field(default=frozenset())
    second: frozenset[Place] = field(default=frozenset())
    breaks: frozenset[int] = field(default=frozenset())
    text_columns: int = 2
    pairs: frozenset[int] = field(default=frozenset())
    groups: tuple[str, ...] = ()
    reported_rows: frozenset[int] = field(default=frozenset())
    reported_columns: frozenset[int] = field(default=frozenset())
    caption: str = ""
    key: str = "table"

    def __post_init__(self) -> None:
        """No text of a record steers a terminal or breaks a line, whatever the format."""
        head = ("\n".join(map(printable, text.split("\n"))) for text in self.head)
        rows = (tuple(map(printable, row)) for row in self.rows)
        for name, value in (
            ("title", printable(self.title)),
            ("caption", printable(self.caption)),
            ("head", tuple(head)),
            ("rows", tuple(rows)),
        ):
            object.__setattr__(self, name, value)

    @property
    def has_reported(self) -> bool:
        """Whether any number is one that a paper reports."""
        return bool(self.reported_rows or self.reported_columns)

    @property
    def has_own(self) -> bool:
        """Whether any number is ours."""
        columns = range(self.text_columns, len(self.head))
        return len(self.reported_rows) < len(self.rows) and any(
            column not in self.reported_columns for column in columns
        )

    def cells(self) -> list[tuple[int, ...]]:
        """The columns of each visible cell of a row: two where they are a pair."""
        rights = {column + 1 for column in self.pairs}
        return [
            (column, column + 1) if column in self.pairs else (column,)
            for column in range(len(self.head))
            if column not in rights
        ]


def joined(texts: Sequence[str]) -> str:
    """The halves of a cell as one text; nothing where both are empty."""
    return PAIR.join(texts) if any(texts) else ""


def run_name(summary: Mapping[str, Any]) -> str:
    """`method[variant] preset`, as on the command line."""
    method, variant, preset = (summary[name] for name in ("method", "variant", "preset"))
    return f"{method}[{variant}] {preset}" if variant else f"{method} {preset}"


def mean_label(summary: Mapping[str, Any]) -> str:
    """Over how many categories a mean is: over fewer than all, for a failed or undefined one, must
    not look like one over all."""
    of, left_out = summary["categories"], summary["undefined"]
    return f"mean of {of - left_out} of {of}" if left_out else f"mean of {of}"


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

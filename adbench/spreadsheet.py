"""The one writer of CSV. What opens it is mostly a spreadsheet, which runs what looks like a
formula: a text that begins like one gets a quotation mark before it, as spreadsheets have it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from adbench.text import printable

_FORMULA: Final = re.compile("[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r]")
"""How one begins; in some languages wide signs count as well."""
_VALUE: Final = r"[-+]?[0-9][0-9.,]*(?:[eE][-+]?[0-9]+)?%?"
_NUMBERS: Final = re.compile(f"{_VALUE}(?: ?[±/] ?{_VALUE})*")
"""A number, or several in a cell: `-0.50`, `-0.50 ± 0.20`, `97.1 / -0.5`."""


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows of numbers, texts and None (empty) as CSV with line feeds."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def rows_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of the same names as CSV under them; not empty."""
    names = list(rows[0])
    return csv_text([names, *([row[name] for name in names] for row in rows)])


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    runs = _FORMULA.match(value) and not _NUMBERS.fullmatch(value)
    return printable(f"'{value}" if runs else value)

"""How commands speak: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import IO, TYPE_CHECKING, Any

from adbench.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 180
"""Columns of a table that goes into a file or a pipe, where rich would wrap at 80."""


def json_text(value: Any) -> str:
    """Strict JSON; NaN in it is a bug and raises ValueError."""
    return json.dumps(value, indent=1, allow_nan=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json_text(value))


def say(text: str) -> None:
    """One line on stderr, so that stdout stays a table or JSON."""
    print(printable(text), file=sys.stderr)


def table_console(file: IO[str]) -> Console:
    """A console on `file` that looks as on stdout: coloured and fitted only on a terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    width = Console().width if terminal else PLAIN_WIDTH
    # No emoji: the category a of toy, "toy:a:", would print a coloured letter.
    return Console(file=file, force_terminal=terminal, width=width, emoji=False)


def counted(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Seconds in words of two or three digits, for estimates."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"

"""How commands speak: results on stdout, everything else on stderr.

All text passes here, and no other module prints: what records, data and plug-ins brought in is
shown as escapes where it would steer a terminal (`adbench.printable`).
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from typing import IO, TYPE_CHECKING, Any

from adbench.errors import StoreError
from adbench.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 180
"""Columns of a table that goes into a file or a pipe, where rich would wrap at 80."""
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def json_text(value: Any) -> str:
    """Strict JSON in ASCII; NaN in it is a bug and raises ValueError."""
    return json.dumps(value, indent=1, allow_nan=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    show_lines(json_text(value) + "\n")


def show(text: str) -> None:
    """One line on stdout."""
    show_lines(printable(text) + "\n")


def show_lines(text: str, *, coloured: bool = False) -> None:
    """Lines on stdout; `coloured`: a console of ours made them, for a terminal."""
    parts = _COLOUR.split(text) if coloured else [text]
    shown = [part if i % 2 else printable_lines(part) for i, part in enumerate(parts)]
    try:
        sys.stdout.write("".join(shown))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(unwritable(error)) from error


def unwritable(error: OSError) -> str:
    """What to say where stdout refuses."""
    reason = error.strerror or str(error)
    return f"stdout cannot be written ({reason}): expected a terminal, a file or a pipe"


def say(text: str) -> None:
    """One line on stderr, so that stdout stays a table or JSON."""
    print(printable(text), file=sys.stderr, flush=True)


def say_traceback() -> None:
    """The exception that is being handled, whole, on stderr."""
    sys.stderr.write(printable_lines(traceback.format_exc()))


def pass_on(line: str) -> None:
    """What a worker's process wrote on its stderr, as it came: that might as well be ours."""
    sys.stderr.write(line)


def table_console(file: IO[str]) -> Console:
    """A console on `file` that looks as on stdout: coloured and fitted only on a terminal."""
    from adbench.consoles import SafeConsole

    terminal = sys.stdout.isatty()
    width = SafeConsole().width if terminal else PLAIN_WIDTH
    # No emoji: the category a of toy, "toy:a:", would print a coloured letter.
    return SafeConsole(file=file, force_terminal=terminal, width=width, emoji=False)


def stderr_console() -> Console:
    """A console on the current stderr."""
    from adbench.consoles import SafeConsole

    return SafeConsole(file=sys.stderr, emoji=False)


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

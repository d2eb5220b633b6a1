"""Rich's console without a way for text to steer the terminal that it is shown on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from adbench.text import printable_lines

PLAIN_WIDTH = 180
"""Columns of a table that goes into a file or a pipe, where rich would wrap at 80."""


class SafeConsole(Console):
    """What it is given to print becomes printable before it is laid out; what it lays out, too."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A text with the markup in it."""
        return super().render_str(printable_lines(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of anything that can be shown. The cursor is moved by rich alone."""
        for segment in super().render(renderable, options):
            yield (
                segment if segment.control else segment._replace(text=printable_lines(segment.text))
            )


def table_console(file: IO[str]) -> Console:
    """A console on `file` that looks as on stdout: coloured and fitted only on a terminal."""
    terminal = sys.stdout.isatty()
    width = SafeConsole().width if terminal else PLAIN_WIDTH
    # No emoji: the category a of toy, "toy:a:", would print a coloured letter.
    return SafeConsole(file=file, force_terminal=terminal, width=width, emoji=False)


def stderr_console() -> Console:
    """A console on the current stderr."""
    return SafeConsole(file=sys.stderr, emoji=False)

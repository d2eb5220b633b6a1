"""The command line's groups, what `adbench` alone does, and where documents go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adbench.errors import WRONG_USAGE
from adbench.text import say, show, show_lines
from adbench.version import __version__

_WIDTH = {"max_content_width": 100}
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is plain text: `NAME[k=v]` is no markup, and pipes stay legible
    context_settings=_WIDTH,
)
data_app = typer.Typer(rich_markup_mode=None, context_settings=_WIDTH)
app.add_typer(data_app, name="data")
baseline_app = typer.Typer(rich_markup_mode=None, context_settings=_WIDTH)
app.add_typer(baseline_app, name="baseline")


@app.callback(invoke_without_command=True)
def adbench(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Train and score diffusion anomaly detectors on industrial images under one protocol.

    \b
    Try it, without any download, in a minute:
      adbench run --methods all --dataset synthetic --preset smoke
    Then `adbench doctor` says what this machine has, `adbench datasets NAME` where to get data.

    \b
    Exit codes: 0 ok, 1 regression found (gate), 2 wrong usage or folder, 3 some cells failed,
    4 a problem with the data, 5 nothing comparable (gate, compare), 70 adbench itself broke.
    """
    if version:
        show(__version__)
    else:
        help_unless_called(context)


def help_unless_called(context: typer.Context) -> None:
    """Print the help of a group that was given no command, and exit with 2."""
    if context.invoked_subcommand is None:
        show_lines(context.get_help() + "\n")
        raise typer.Exit(WRONG_USAGE)


def deliver(text: str, out: Path | None, *, coloured: bool = False) -> None:
    """Print a document, or write it into the file of `--out` and say so; `coloured`: it was made
    for this terminal."""
    if out is None:
        show_lines(text, coloured=coloured)
        return
    from adbench.store import files

    files.write_text(out, text)
    say(f"wrote {out}")

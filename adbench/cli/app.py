"""The command line's groups, what `adbench` alone does, and where documents go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adbench.errors import WRONG_USAGE
from adbench.text import say, show, show_lines
from adbench.version import __version__

_STYLE: dict[str, Any] = {
    "rich_markup_mode": None,  # help is plain text: `NAME[k=v]` is no markup, pipes stay legible
    "context_settings": {"max_content_width": 100},
    "invoke_without_command": True,
}
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, **_STYLE)


def _help_unless_called(context: typer.Context) -> None:
    """Print the help of a group that was given no command, and exit with 2."""
    if context.invoked_subcommand is None:
        show_lines(context.get_help() + "\n")
        raise typer.Exit(WRONG_USAGE)


data_app = typer.Typer(callback=_help_unless_called, **_STYLE)
app.add_typer(data_app, name="data", help="Check the files of a data set, or make it ready.")
baseline_app = typer.Typer(callback=_help_unless_called, **_STYLE)
app.add_typer(
    baseline_app, name="baseline", help="Keep the scores that later runs are held against."
)


@app.callback()
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
    4 a problem with the data, 5 nothing comparable (gate, compare), 70 adbench itself broke,
    130 interrupted.
    """
    if version:
        show(__version__)
    else:
        _help_unless_called(context)


def deliver(text: str, out: Path | None, *, coloured: bool = False) -> None:
    """Print a document, or write it into the file of `--out` and say so; `coloured`: it was made
    for this terminal."""
    if out is None:
        show_lines(text, coloured=coloured)
        return
    from adbench.store import files

    files.write_text(out, text)
    say(f"wrote {out}")

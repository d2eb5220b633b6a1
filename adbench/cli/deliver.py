"""Where the tables and documents of a command go: to stdout, or into the file of `--out`."""

from __future__ import annotations

from pathlib import Path

from adbench.errors import UsageError
from adbench.store import atomic
from adbench.text import say, show_lines


def deliver(text: str, out: Path | None, *, coloured: bool = False) -> None:
    """Print a document, or write it and say so; `coloured`: it was made for this terminal.

    Raises `UsageError` for a folder, `StoreError` where it cannot be written.
    """
    if out is None:
        show_lines(text, coloured=coloured)
        return
    refuse_folder(out)
    atomic.write_text(out, text)
    say(f"wrote {out}")


def refuse_folder(out: Path | None) -> None:
    """Raise `UsageError` for a folder in the place of a file to write."""
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out} is a folder: expected a file to write")

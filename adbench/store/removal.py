"""Removing what adbench wrote into a results folder, and nothing else.

A name of another form is somebody else's file and stays. A link is removed itself, never what it
points to.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Final

from adbench.errors import StoreError

_KEY: Final = "[0-9a-f]{24}"
_OURS: Final = re.compile(
    rf"(checkpoint\.pt|model|{_KEY}|timing(-[0-9a-f]+)?\.json|(record|failed|pixels)-{_KEY}\.json)"
    r"(\.damaged-[0-9a-f]{8})?"
)
_TEMPORARY: Final = re.compile(r"\.[^.].*\.\d+(\.[0-9a-f]{8})?\.tmp")


def is_ours(path: Path) -> bool:
    """Whether a thing in a cell's folder has a name that the store gives; claims apart."""
    return _OURS.fullmatch(path.name) is not None


def are_maps(path: Path) -> bool:
    """Whether a thing in a cell's folder has the name of maps and scores of some cell."""
    return re.fullmatch(_KEY, path.name) is not None


def is_temporary(path: Path) -> bool:
    """Whether it has the name of a file or folder that was being written when its writer died."""
    return _TEMPORARY.fullmatch(path.name) is not None


def refuse_other(folder: Path) -> None:
    """Raise `StoreError` for a link, a file or a pipe where a cell's folder should be.

    All behind a link would be ours to write and to delete. `--results` and `cells` may be links.
    """
    _refuse_no_folder(folder)
    if folder.is_symlink():
        raise StoreError(
            f"{folder} is a link to another place; expected a folder of adbench's own: remove the "
            "link (the cell is then made again), or make all of the results folder a link"
        )


def refuse_others(cells: Path) -> None:
    """The same for every cell's folder in `cells`, and for `cells` itself unless it is a link."""
    if not cells.is_dir():
        _refuse_no_folder(cells)
        return
    with os.scandir(cells) as entries:
        others = [e.name for e in entries if not e.is_dir(follow_symlinks=False)]
    for name in sorted(others):
        if re.fullmatch(_KEY, name):
            refuse_other(cells / name)


def _refuse_no_folder(path: Path) -> None:
    if os.path.lexists(path) and not path.is_dir():
        full = os.path.abspath(path)
        raise StoreError(
            f"{path} is no folder; expected one of adbench's own: move it away: "
            f"mv {shlex.quote(full)} {shlex.quote(full + '.moved')}"
        )


def remove(path: Path) -> None:
    """Remove a file, a folder with all it holds, or a link, of which the target stays.

    What is not there is fine. Raises OSError.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

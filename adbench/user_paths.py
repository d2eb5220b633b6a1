"""Paths as users write them: a shell leaves the ~ of a variable, or behind `--out=`, as it is."""

from __future__ import annotations

from pathlib import Path
from typing import overload

from adbench.errors import UsageError, shortened


@overload
def at_home(path: Path) -> Path: ...
@overload
def at_home(path: None) -> None: ...
@overload
def at_home(path: Path | None) -> Path | None: ...
def at_home(path: Path | None) -> Path | None:
    """The path with `~` and `~NAME` at its beginning as the home folder, None as None.

    Raises `UsageError` where there is no such home folder.
    """
    if path is None:
        return None
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(
            f"{shortened(str(path))}: found no home folder for its {path.parts[0]}; expected the "
            f"path in full, or ./~ for a folder of that name"
        ) from None

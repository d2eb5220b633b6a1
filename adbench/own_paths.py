"""Data sets by their paths: which words of `--dataset` are one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

TABLES = frozenset({".csv", ".tsv", ".parquet"})
"""Suffixes of tables of files."""
_NAMED = re.compile(r"([^\W_][\w.-]*)=(.+)", re.DOTALL)


class OwnPath(NamedTuple):
    """A path, absolute, and what its images are to be called: `NAME=PATH`; None: as it says."""

    path: Path
    name: str | None


def looks_like_path(text: str) -> bool:
    """Whether a data set's name can be nothing but a path: `./parts`, `a/b`, `~`, `parts.csv`."""
    if text.endswith(".py") or ".py:" in text:
        return False
    return text in (".", "..", "~") or "/" in text or Path(text).suffix.lower() in TABLES


def own_path(text: str) -> OwnPath | None:
    """The path that a data set is named by; None for a name, or a reference to a class."""
    named = None if os.path.exists(text) else _NAMED.fullmatch(text)
    where = text if named is None else named[2]
    if not looks_like_path(where) and not os.path.exists(where):
        return None
    path = Path(os.path.abspath(os.path.expanduser(where)))
    return OwnPath(path, None if named is None else named[1])


def parts_of_path(parts: list[str]) -> int:
    """Of a selector cut at its colons, how many parts are a path: the most that are there together,
    else one; none where it begins with a name or a reference."""
    if not looks_like_path(parts[0]):
        return int(os.path.exists(parts[0]) and not parts[0].endswith(".py"))
    for count in range(len(parts), 1, -1):
        found = own_path(":".join(parts[:count]))
        if found is not None and found.path.exists():
            return count
    return 1

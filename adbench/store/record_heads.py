"""The first lines of all records of a results folder: what orders them, read without the rest."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from adbench.errors import StoreError
from adbench.store import atomic
from adbench.store.regular_files import open_regular

_BYTES: Final = 200
_NUMBER: Final = re.compile(rb'"number":\s*(\d{1,16}),\s*"family":\s*"([0-9a-f]*)"')
_OF_BEFORE: Final = re.compile(rb'"format":\s*1\b')
_NAME: Final = re.compile(r"(record|failed)-[0-9a-f]{24}\.json")


class Head(NamedTuple):
    """`Record.number` and `Record.family`."""

    number: int
    family: str


def read_heads(cells: Path) -> dict[Path, Head]:
    """Of every record and failure in the folders of `cells`; records of before have none.

    What cannot be read is passed over: whoever reads the record whole tells of it.
    """
    found = {}
    for folder in _folders(cells):
        for name in _names(folder):
            if _NAME.fullmatch(name):
                head = _head(Path(folder, name))
                if head is not None:
                    found[Path(folder, name)] = head
    return found


def _folders(cells: Path) -> list[str]:
    try:
        with os.scandir(cells) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _head(path: Path) -> Head | None:
    try:
        with open_regular(path) as stream:
            first = stream.read(_BYTES)
        found = _NUMBER.search(first)
        if found is not None:
            return Head(int(found[1]), found[2].decode())
        if _OF_BEFORE.search(first) is not None:
            return None
        whole = atomic.read_json(path)  # a tool has sorted its lines
        return Head(int(whole["number"]), str(whole["family"]))
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return None

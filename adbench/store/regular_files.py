"""The one way to open a file that anybody may have made: in a results, cache or baseline folder.

Opened is a regular file, or a link to one, and nothing that would never end. Text is read up to a
bound, and JSON only where parsing it fits in memory.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from io import BufferedReader
from pathlib import Path
from typing import Final

from adbench.errors import StoreError

TEXT_BYTES: Final = 64_000_000
"""The most of a record, marker, claim, plan, selection, timing or report of a fit."""
LARGE_TEXT_BYTES: Final = 256_000_000
"""The most of a baseline, which holds many records, and of the index of a data set's files."""
_PARSED_BYTES: Final = 1_200_000_000
_SMALL: Final = 1_000_000
"""Bytes of JSON that may hold anything: parsed, it takes at most some 50 times as much."""
_KINDS: Final = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}


class NotAFile(OSError):
    """Under a file's name is something else; `strerror` says what."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(errno.EINVAL, what, str(path))


def open_regular(path: Path) -> BufferedReader:
    """An existing file, open for reading.

    Raises OSError: `NotAFile` for all that is no regular file, links to nothing among it, and
    FileNotFoundError for what is absent.
    """
    try:
        _require_regular(os.stat(path).st_mode, path)  # before: to open a device may do something
    except FileNotFoundError:
        if os.path.islink(path):
            raise NotAFile("it is a link to nothing", path) from None
        raise
    stream = open(path, "rb", opener=_without_waiting)
    try:
        _require_regular(os.fstat(stream.fileno()).st_mode, path)
    except NotAFile:
        stream.close()
        raise
    return stream


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK)


def _require_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise NotAFile(f"it is a {_KINDS.get(stat.S_IFMT(mode), 'device')}", path)


def read_bounded(path: Path, most: int = TEXT_BYTES) -> bytes:
    """All of a file of at most `most` bytes.

    Raises `StoreError` for a larger one, before it is read, and OSError as `open_regular` does.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(size + 1) if size <= most else b""
        if len(content) > size:  # it grows, or is one of those that have no size
            content += stream.read(most + 1 - len(content))
    if max(size, len(content)) > most:
        found = f"has {max(size, len(content)) / 1e6:,.1f} MB"
        raise _foreign(path, found, f"at most {most / 1e6:,.0f} MB")
    return content


def refuse_json_bomb(content: bytes, path: Path, most_names: int = 1_000_000) -> None:
    """Raise `StoreError` for JSON that would fill the memory.

    An upper bound of what it takes: lists and dictionaries 200 bytes each, names 100, values 80.
    `most_names` bounds lists, dictionaries and names together: each may be wrong in a way of its
    own, and what is said of one takes more than a thousand bytes.
    """
    if len(content) <= _SMALL:
        return
    containers = content.count(b"[") + content.count(b"{")
    names, values = content.count(b":"), content.count(b",")
    parsed = 200 * containers + 100 * names + 80 * values
    if parsed > _PARSED_BYTES or containers + names > most_names:
        found = f"holds {containers + names:,} lists and names and {values:,} values"
        raise _foreign(path, found, f"no more than {most_names:,} and {_PARSED_BYTES // 80:,}")


def is_readable_text(path: Path, most: int = TEXT_BYTES) -> bool:
    """Whether a regular file of at most `most` bytes is there, without opening it."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= most


def _foreign(path: Path, found: str, expected: str) -> StoreError:
    return StoreError(
        f"{path} {found}, expected {expected}: adbench did not write it; move it away: "
        f"{move_command(path, 'too-large')}"
    )


def move_command(path: Path, suffix: str) -> str:
    """What to paste to rename a file or folder, wherever one is."""
    full = os.path.abspath(path)
    return f"mv {shlex.quote(full)} {shlex.quote(f'{full}.{suffix}')}"

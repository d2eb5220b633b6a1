"""The files of the array cache: their names, headers, digests, and locks that say who lives.

One file per array: a header of 4096 bytes (JSON: shape, dtype, SHA-256 of the content), then
the content. Only names of the forms given here are ever removed: a cache folder may be shared
with other programs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

from adbench.store.regular_files import open_regular
from adbench.text import say

HEADER: Final = 4096
_FORMAT: Final = "adbench-array-1"
_CHUNK: Final = 1 << 24  # bytes hashed at a time, by a few threads

TEMPORARY: Final = re.compile(r"[0-9a-f]{64}\.array\.[0-9a-f]{32}\.tmp")
"""Names of files that are being written."""
ENTRY: Final = re.compile(r"[0-9a-f]{64}\.(array|damaged)")
"""Names of arrays, and of damaged ones that were set aside."""

Identity = tuple[int, int, int]
"""Inode, size and mtime (nanoseconds) of an open file."""


def head_of(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """What a header says beside the digest."""
    return {"format": _FORMAT, "shape": list(shape), "dtype": dtype}


def entry_name(key: str, head: dict[str, Any]) -> str:
    """The file's name: a digest, so that no key ever becomes a path."""
    return hashlib.sha256(json.dumps([key, head]).encode()).hexdigest() + ".array"


def header_bytes(head: dict[str, Any], sha256: str) -> bytes:
    """The header in full; equal bytes for equal arguments."""
    return json.dumps(head | {"sha256": sha256}).encode().ljust(HEADER, b"\0")


def damage_of(stream: IO[bytes], head: dict[str, Any], size: int) -> str | None:
    """What is wrong with an entry of `size` bytes of content, or None; reads all of it."""
    found = identity(stream)[1]
    if found != HEADER + size:
        return f"it has {found} bytes where {HEADER + size} were written"
    header = stream.read(HEADER)
    try:
        expected = json.loads(header.rstrip(b"\0"))["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "its header is unreadable"
    if expected != content_digest(stream.fileno(), size):
        return "its content does not match its SHA-256"
    if header != header_bytes(head, expected):
        return "its header is not the one that was written"
    return None


def identity(stream: IO[bytes]) -> Identity:
    """Tells one version of a file from another without reading it."""
    status = os.fstat(stream.fileno())
    return (status.st_ino, status.st_size, status.st_mtime_ns)


@cache
def say_unkept(folder: Path) -> None:
    """Say, once, that a cache folder of others is good for reading only."""
    say(
        f"note: you may not write into the cache folder {folder}: what it lacks is computed and "
        "not kept; name a folder of your own in ADBENCH_CACHE to keep it"
    )


def create_locked(path: Path) -> IO[bytes]:
    """Create a file that says, by its lock, that its writer lives."""
    while True:
        stream = path.open("x+b")
        with contextlib.suppress(OSError):  # a file system without locks: nothing is swept
            fcntl.flock(stream, fcntl.LOCK_EX)
        if path.exists():
            return stream
        stream.close()  # swept by another process before the lock was ours


def allocate(stream: IO[bytes], size: int) -> None:
    """Reserve the space now: a full disk is an error here, and SIGBUS in a memory map."""
    try:
        os.posix_fallocate(stream.fileno(), 0, size)
    except (OSError, AttributeError) as error:  # macOS has no such call
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        for start in range(0, size, _CHUNK):
            stream.write(bytes(min(_CHUNK, size - start)))
        stream.flush()
        stream.seek(0)


def remove_unless_locked(path: Path) -> bool:
    """Remove a file that no living process writes or maps; whether it is gone.

    A link is removed itself; what is neither file nor link stays.
    """
    try:
        if path.is_symlink():
            path.unlink()
            return True
        with open_regular(path) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def content_digest(descriptor: int, size: int) -> str:
    """SHA-256 over the SHA-256 of each chunk: chunks are hashed in parallel."""

    def digest(start: int) -> bytes:
        length = min(_CHUNK, size - start)
        return hashlib.sha256(os.pread(descriptor, length, HEADER + start)).digest()

    with ThreadPoolExecutor(4) as pool:
        chunks = pool.map(digest, range(0, size, _CHUNK))
        return hashlib.sha256(b"".join(chunks)).hexdigest()

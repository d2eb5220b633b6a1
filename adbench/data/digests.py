"""SHA-256 of many files, remembered: a rerun on unchanged files only stats them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from adbench.data.remembered import add_rows, kept_file, read_rows
from adbench.errors import DataError
from adbench.machine.threads import in_threads
from adbench.store.regular_files import open_regular

Stamp = list[int]
"""Size, mtime, ctime (nanoseconds) and inode: what must be unchanged for a digest to hold."""

_VERSION = "adbench-digests-1"
_THREADS = 4
_SETTLED_NS = 100_000_000
"""A file that changed this shortly before it was read could change again within one tick of
the file system's clock and keep its stamp; such a digest is used but not remembered."""


def content_digests(root: Path, paths: Sequence[str], index_folder: Path) -> list[str]:
    """SHA-256 (hex) of the bytes of each file, in the order of `paths`.

    Args:
        root: the folder that `paths` are relative to.
        paths: POSIX paths.
        index_folder: where the index lies; created when there is something to remember.

    Raises:
        DataError: a file is missing or cannot be read.
        StoreError: the index cannot be written.
    """
    base = os.path.abspath(root)
    file = kept_file(root, index_folder, "index")
    index = read_rows(file, _VERSION)
    digests, stale = {}, []
    for path in dict.fromkeys(paths):
        match index.get(path), _stamp(base, path):
            case [*known, str(digest)], stamp if known == stamp and len(digest) == 64:
                digests[path] = digest
            case _:
                stale.append(path)
    fresh = {}
    found = in_threads(partial(_hash, base), stale, _THREADS) if stale else ()
    for path, (stamp, digest, settled) in zip(stale, found, strict=True):
        digests[path] = digest
        if settled:
            fresh[path] = [*stamp, digest]
    if fresh:
        add_rows(file, _VERSION, fresh)
    return [digests[path] for path in paths]


def _stamp(base: str, path: str) -> Stamp:
    try:
        return _stamp_of(os.stat(os.path.join(base, path)))
    except OSError as error:
        raise _unreadable(base, path, error) from None


def _stamp_of(status: os.stat_result) -> Stamp:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _hash(base: str, path: str) -> tuple[Stamp, str, bool]:
    """Stamp, digest, and whether the digest may be remembered."""
    try:
        with open_regular(Path(base, path)) as stream:
            now = time.time_ns()
            before = os.fstat(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise _unreadable(base, path, error) from None
    stamp = _stamp_of(before)
    # ctime, not mtime: archives restore mtimes, also ones in the future; nobody can set ctime.
    return stamp, digest, stamp == _stamp_of(after) and now - before.st_ctime_ns > _SETTLED_NS


def _unreadable(base: str, path: str, error: OSError) -> DataError:
    reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
    return DataError(
        f"{os.path.join(base, path)}: {reason}; expected an image of the data set: restore it "
        "from the archive"
    )

"""SHA-256 of many files, remembered: a rerun on unchanged files only stats them.

The index is one file per data-set root. It is a cache and nothing more: where it is missing,
damaged or overwritten by another process, digests are computed again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adbench.errors import DataError, StoreError
from adbench.store.files import forbids_writing, is_damage, say_damaged, say_unkept
from adbench.store.regular_files import (
    LARGE_TEXT_BYTES,
    open_regular,
    read_bounded,
    refuse_json_bomb,
)

Stamp = tuple[int, int, int, int]
"""Size, mtime, ctime (nanoseconds) and inode: what must be unchanged for a digest to hold."""

Index = dict[str, tuple[Stamp, str]]

_FORMAT = "adbench-digests-1"
_THREADS = 4

_SETTLED_NS = 100_000_000
"""A file that changed this shortly before it was read could change again within one tick of
the file system's clock and keep its stamp; such a digest is used but not remembered."""


def content_digests(root: Path, paths: Sequence[str], index_folder: Path) -> list[str]:
    """SHA-256 (hex) of the bytes of each file, in the order of `paths`.

    Args:
        root: the folder that `paths` are relative to.
        paths: POSIX paths.
        index_folder: where the index lives; created when there is something to remember.

    Raises:
        DataError: a file is missing or cannot be read.
        StoreError: the index cannot be written.
    """
    base = os.path.abspath(root)
    file = index_folder / f"{hashlib.sha256(os.fsencode(base)).hexdigest()[:32]}.index"
    index = _read_index(file)
    stamps = {path: _stamp(base, path) for path in dict.fromkeys(paths)}
    stale = [p for p, stamp in stamps.items() if p not in index or index[p][0] != stamp]
    if not stale:
        return [index[path][1] for path in paths]
    with ThreadPoolExecutor(_THREADS) as pool:
        fresh = list(pool.map(lambda path: _hash(base, path), stale))
    digests = {path: index[path][1] for path in stamps if path in index}
    digests |= {path: digest for path, (_, digest, _) in zip(stale, fresh, strict=True)}
    settled = {p: (s, d) for p, (s, d, keep) in zip(stale, fresh, strict=True) if keep}
    if settled:
        _write_index(file, settled)
    return [digests[path] for path in paths]


def _stamp(base: str, path: str) -> Stamp:
    try:
        return _stamp_of(os.stat(os.path.join(base, path)))
    except OSError as error:
        raise _unreadable(base, path, error) from None


def _stamp_of(status: os.stat_result) -> Stamp:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


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
    keep = stamp == _stamp_of(after) and now - before.st_ctime_ns > _SETTLED_NS
    return stamp, digest, keep


def _unreadable(base: str, path: str, error: OSError) -> DataError:
    reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
    return DataError(
        f"{os.path.join(base, path)}: {reason}; expected an image of the data set: restore it "
        "from the archive"
    )


def _read_index(file: Path) -> Index:
    """The stored index, or an empty one where it is missing; a damaged one is named, set aside."""
    try:
        content = read_bounded(file, LARGE_TEXT_BYTES)
        refuse_json_bomb(content, file, most_names=4_000_000)
    except FileNotFoundError:
        return {}
    except OSError as error:
        if is_damage(error):
            name = file.name
            say_damaged(file, f"the index of file digests {name} is damaged ({error.strerror})")
        return {}
    try:
        checksum, body = content.split(b"\n", 1)
        if checksum.decode() != hashlib.sha256(body).hexdigest():
            raise ValueError("it does not match its checksum")
        stored = json.loads(body)
        if stored["format"] != _FORMAT:
            return {}  # of another version
        return {path: _row(row) for path, row in stored["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        say_damaged(file, f"the index of file digests {file.name} is damaged")
        return {}


def _row(row: object) -> tuple[Stamp, str]:
    match row:
        case [int(size), int(mtime), int(ctime), int(inode), str(digest)] if len(digest) == 64:
            return (size, mtime, ctime, inode), digest
    raise ValueError("not a row of an index")


def _write_index(file: Path, fresh: Index) -> None:
    """Merge `fresh` into what is stored now and replace the file in one step, where we may.

    Two writers at once may lose one's rows; those are computed again by whoever needs them.
    """
    rows = {path: (*stamp, digest) for path, (stamp, digest) in (_read_index(file) | fresh).items()}
    body = json.dumps({"format": _FORMAT, "files": rows}, separators=(",", ":")).encode()
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=file.stem, suffix=".new", dir=file.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        os.replace(temporary, file)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if forbids_writing(error):
            say_unkept(file.parent)
            return
        way_out = "free some space, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise StoreError(
            f"the index of file digests in {file.parent} cannot be written: {error.strerror}; "
            f"{way_out}name a writable folder in ADBENCH_CACHE"
        ) from None

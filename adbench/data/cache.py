"""Arrays computed once and read back memory-mapped, shared by methods, runs and processes.

The header of a file is written last and the file renamed into place, so that a file under its
final name is whole; its digest is checked once per run all the same. File locks say who is
alive: a writer holds one on its temporary file, and every mapped array holds a shared one on its
entry (the mapping keeps the descriptor, hence the lock, until it is freed). The kernel drops both
when a process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from adbench.errors import StoreError
from adbench.store.atomic import forbids_writing
from adbench.store.cache_files import (
    ENTRY,
    HEADER,
    TEMPORARY,
    Identity,
    allocate,
    content_digest,
    create_locked,
    damage_of,
    entry_name,
    head_of,
    header_bytes,
    identity,
    remove_unless_locked,
    say_unkept,
)
from adbench.store.regular_files import NotAFile, open_regular
from adbench.text import at_home


class CacheWarning(UserWarning):
    """A cache entry was damaged; it was set aside and is computed again."""


def default_cache_folder() -> Path:
    """`$ADBENCH_CACHE`, else `adbench` in `$XDG_CACHE_HOME`, else `~/.cache/adbench`."""
    if own := os.environ.get("ADBENCH_CACHE"):
        return at_home(Path(own))
    return at_home(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "adbench"


class DiskCache:
    """An `ArrayCache` in one folder.

    Attributes:
        folder: created when the first array is stored.
        limit_bytes: when a new entry takes the folder over this, least recently used entries
            go, but none that this object opened and none that any process has mapped. None:
            no limit.
        hits, misses: how many calls of `array` were answered from disk, and how many computed.
    """

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0
        self._verified: dict[str, Identity] = {}
        self._swept = False

    def array(
        self,
        key: str,
        shape: tuple[int, ...],
        dtype: str,
        fill: Callable[[NDArray[Any]], None],
    ) -> NDArray[Any]:
        """The read-only memory-mapped array stored under `key`, `shape` and `dtype`.

        On a miss, `fill` gets a writable, zeroed array of that shape; what it raises passes
        through and leaves nothing behind.

        Args:
            key: any text; it is hashed and never becomes a path.
            shape: sizes.
            dtype: anything that `numpy.dtype` reads, without Python objects.
            fill: writes the content. Two processes may both run it: the results must be equal.

        Raises:
            StoreError: the folder cannot be used or the disk is full. In a folder that others
                own and we may only read, what is not there is computed for this call alone.
        """
        if math.prod(shape) == 0:
            empty = np.zeros(shape, dtype)
            empty.flags.writeable = False
            return empty
        head = head_of(shape, dtype)
        name = entry_name(key, head)
        found = self._open(name, head, shape, dtype)
        if found is not None:
            self.hits += 1
            return found
        self.misses += 1
        if not self._may_store():
            return self._computed(shape, dtype, fill)
        self._store(name, head, shape, dtype, fill)
        stored = self._open(name, head, shape, dtype)
        if stored is None:
            raise StoreError(
                f"{self.folder / name} vanished or changed while it was written: another "
                "program cleans this folder; name one of its own in ADBENCH_CACHE"
            )
        return stored

    # -------------------------------------------------------------------------- reading

    def _open(
        self, name: str, head: dict[str, Any], shape: tuple[int, ...], dtype: str
    ) -> NDArray[Any] | None:
        path = self.folder / name
        try:
            stream = open_regular(path)
        except FileNotFoundError:
            return None
        except NotAFile as error:
            self._set_aside(path, str(error.strerror))
            return None
        except OSError as error:
            raise self._trouble(error, 0) from None
        with stream:
            # Shared, and kept by the mapping: nobody evicts an array that somebody reads.
            with contextlib.suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            reason = self._damage(stream, name, head, _num_bytes(shape, dtype))
            if reason is not None:
                self._set_aside(path, reason)
                return None
            with contextlib.suppress(OSError):  # a read-only folder is fine to read from
                # The access time is the time of last use; set here because mounts may not.
                modified = os.fstat(stream.fileno()).st_mtime_ns
                os.utime(stream.fileno(), ns=(time.time_ns(), modified))
            mapped: NDArray[Any] = np.memmap(stream, dtype, "r", offset=HEADER, shape=shape)
        return mapped

    def _damage(self, stream: IO[bytes], name: str, head: dict[str, Any], size: int) -> str | None:
        """What is wrong with an entry, or None. The content is hashed once per run."""
        found = identity(stream)
        if self._verified.get(name) == found:
            return None
        try:
            reason = damage_of(stream, head, size)
        except OSError as error:  # a sector that cannot be read
            return f"it cannot be read ({error.strerror})"
        if reason is None:
            self._verified[name] = found
        return reason

    def _set_aside(self, path: Path, reason: str) -> None:
        done = "set aside as *.damaged"
        try:
            os.replace(path, path.with_suffix(".damaged"))
        except FileNotFoundError:
            pass
        except OSError as error:
            if not forbids_writing(error):
                raise self._trouble(error, 0) from None
            done = "left where it is"
        warnings.warn(
            f"cache entry {path} is damaged ({reason}): {done} and computed "
            "again; if this repeats, check the disk",
            CacheWarning,
            stacklevel=4,
        )

    # -------------------------------------------------------------------------- writing

    def _store(
        self,
        name: str,
        head: dict[str, Any],
        shape: tuple[int, ...],
        dtype: str,
        fill: Callable[[NDArray[Any]], None],
    ) -> None:
        size = _num_bytes(shape, dtype)
        with self._temporary(name, size) as (stream, temporary):
            content: NDArray[Any] = np.memmap(stream, dtype, "r+", offset=HEADER, shape=shape)
            fill(content)
            with self._usable(size):
                content.flush()  # type: ignore[attr-defined]
                stream.seek(0)
                stream.write(header_bytes(head, content_digest(stream.fileno(), size)))
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(temporary, self.folder / name)
                self._verified[name] = identity(stream)
        self._evict(keep=name)

    def _may_store(self) -> bool:
        """Whether we may write into the folder, which is created; where not, that is said."""
        try:
            self._sweep()
            if os.access(self.folder, os.W_OK | os.X_OK):
                return True
        except OSError as error:
            if not forbids_writing(error):
                raise self._trouble(error, 0) from None
        say_unkept(self.folder)
        return False

    def _computed(
        self, shape: tuple[int, ...], dtype: str, fill: Callable[[NDArray[Any]], None]
    ) -> NDArray[Any]:
        """An array in a file without a name, which goes when nobody maps it any more."""
        size = _num_bytes(shape, dtype)
        with tempfile.TemporaryFile() as stream:
            try:
                allocate(stream, size)
            except OSError as error:
                raise StoreError(
                    f"{tempfile.gettempdir()} has no room for {size / 2**20:.1f} MiB "
                    f"({error.strerror}): name a folder of your own in ADBENCH_CACHE"
                ) from None
            content: NDArray[Any] = np.memmap(stream, dtype, "r+", shape=shape)
        fill(content)
        content.flags.writeable = False
        return content

    @contextlib.contextmanager
    def _temporary(self, name: str, size: int) -> Iterator[tuple[IO[bytes], Path]]:
        """A locked temporary file with its space allocated; removed if it was not renamed."""
        path = self.folder / f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            with self._usable(size):
                stream = create_locked(path)
            with stream:
                with self._usable(size):
                    allocate(stream, HEADER + size)
                yield stream, path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def _sweep(self) -> None:
        """Create the folder; remove temporary files whose writer is dead. Once per run."""
        if self._swept:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.tmp"):
            if TEMPORARY.fullmatch(path.name):
                remove_unless_locked(path)
        self._swept = True

    def _evict(self, keep: str) -> None:
        """Remove entries until the folder is within its limit: damaged ones, then the oldest."""
        if self.limit_bytes is None:
            return
        entries = []
        for path in self.folder.iterdir():
            if ENTRY.fullmatch(path.name) is None:
                continue
            with contextlib.suppress(OSError):  # another process may remove it meanwhile
                status = path.lstat()
                entries.append((path.suffix == ".array", status.st_atime_ns, path, status.st_size))
        excess = sum(size for *_, size in entries) - self.limit_bytes
        for _, _, path, size in sorted(entries):
            if excess <= 0:
                return
            if path.name != keep and path.name not in self._verified:
                excess -= size if remove_unless_locked(path) else 0

    # --------------------------------------------------------------------------- errors

    @contextlib.contextmanager
    def _usable(self, size: int) -> Iterator[None]:
        """Turns the operating system's refusals into a `StoreError`."""
        try:
            yield
        except OSError as error:
            raise self._trouble(error, size) from None

    def _trouble(self, error: OSError, size: int) -> StoreError:
        way_out = "name a writable folder in ADBENCH_CACHE"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            way_out = (
                f"{size / 2**20:.1f} MiB are needed: free some space, or name a folder on "
                "another disk in ADBENCH_CACHE"
            )
        reason = os.strerror(error.errno) if error.errno else str(error)
        return StoreError(f"the cache folder {self.folder} cannot be used: {reason}; {way_out}")


def _num_bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize

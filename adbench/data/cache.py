"""Arrays computed once and read back memory-mapped, shared by methods, runs and processes.

One file per array: a header of 4096 bytes (JSON: shape, dtype, SHA-256 of the content), written
last, then the content; it is renamed into place, so that a file under its final name is whole. Its
digest is checked once per run all the same. File locks say who is alive: a writer holds one on its
temporary file, and every mapped array a shared one on its entry (the mapping keeps the descriptor).
The kernel drops both when a process dies. Only names of the forms given here are ever removed: a
cache folder may be shared with other programs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from adbench.errors import StoreError
from adbench.store.files import checked, explain_cache_error, forbids_writing, say_unkept
from adbench.store.regular_files import open_regular
from adbench.text import at_home

_HEADER: Final = 4096
_CHUNK: Final = 1 << 24  # bytes hashed at a time, by a few threads
_TEMPORARY: Final = re.compile(r"[0-9a-f]{64}\.array\.[0-9a-f]{32}\.tmp")
_ENTRY: Final = re.compile(r"[0-9a-f]{64}\.(array(\.damaged-[0-9a-f]{8})?|damaged)")

Fill = Callable[[NDArray[Any]], None]


def default_cache_folder() -> Path:
    """`$ADBENCH_CACHE`, else `adbench` in `$XDG_CACHE_HOME`, else `~/.cache/adbench`."""
    if own := os.environ.get("ADBENCH_CACHE"):
        return at_home(Path(own))
    return at_home(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "adbench"


@dataclass(frozen=True)
class Entry:
    """What is stored under a key, a shape and a type, in a file of its own."""

    key: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def head(self) -> dict[str, Any]:
        """What the header says beside the digest."""
        return {"format": "adbench-array-1", "shape": list(self.shape), "dtype": self.dtype}

    @cached_property
    def name(self) -> str:
        """The file's name: a digest, so that no key ever becomes a path."""
        return hashlib.sha256(json.dumps([self.key, self.head]).encode()).hexdigest() + ".array"

    @property
    def size(self) -> int:
        """Bytes of content."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def header(self, sha256: str) -> bytes:
        """The header in full; equal bytes for equal arguments."""
        return json.dumps(self.head | {"sha256": sha256}).encode().ljust(_HEADER, b"\0")

    def map(self, stream: IO[bytes], mode: Any, offset: int = _HEADER) -> NDArray[Any]:
        """The content, mapped."""
        return np.memmap(stream, self.dtype, mode, offset, self.shape)

    def content_digest(self, stream: IO[bytes]) -> str:
        """SHA-256 over the SHA-256 of each chunk: chunks are hashed in parallel."""

        def digest(start: int) -> bytes:
            length = min(_CHUNK, self.size - start)
            return hashlib.sha256(os.pread(stream.fileno(), length, _HEADER + start)).digest()

        with ThreadPoolExecutor(4) as pool:
            chunks = pool.map(digest, range(0, self.size, _CHUNK))
            return hashlib.sha256(b"".join(chunks)).hexdigest()

    def check(self, stream: IO[bytes]) -> None:
        """Raise ValueError unless the file is as it was written; reads all of it."""
        found = os.fstat(stream.fileno()).st_size
        if found != _HEADER + self.size:
            raise ValueError(f"it has {found} bytes where {_HEADER + self.size} were written")
        header = stream.read(_HEADER)
        try:
            expected = json.loads(header.rstrip(b"\0"))["sha256"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("its header is unreadable") from None
        if expected != self.content_digest(stream):
            raise ValueError("its content does not match its SHA-256")
        if header != self.header(expected):
            raise ValueError("its header is not the one that was written")


class DiskCache:
    """An `ArrayCache` in one folder.

    Attributes:
        folder: created when the first array is stored.
        limit_bytes: when a new entry takes the folder over this, least recently used entries
            go, but none that this object opened and none that any process has mapped. None:
            no limit.
        hits, misses: how many calls of `array` were answered from disk, and how many computed.
        seconds: how long it took to compute them.
    """

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0
        self.seconds = 0.0
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._swept = False

    def array(self, key: str, shape: tuple[int, ...], dtype: str, fill: Fill) -> NDArray[Any]:
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
        entry = Entry(key, shape, dtype)
        found = self._open(entry) if entry.size else np.zeros(shape, dtype)
        if found is not None:
            self.hits += bool(entry.size)
            found.flags.writeable = False
            return found
        self.misses += 1
        if not self._may_store():
            return _computed(entry, self._timed(fill))
        self._store(entry, self._timed(fill))
        stored = self._open(entry)
        if stored is None:
            raise StoreError(
                f"{self.folder / entry.name} vanished or changed while it was written: another "
                "program cleans this folder; name one of its own in ADBENCH_CACHE"
            )
        return stored

    def _timed(self, fill: Fill) -> Fill:
        def timed(content: NDArray[Any]) -> None:
            began, before = time.monotonic(), self.seconds
            fill(content)
            # Not the sum of both: one that is computed from another holds that one's seconds.
            self.seconds = before + time.monotonic() - began

        return timed

    def _open(self, entry: Entry) -> NDArray[Any] | None:
        path, remedy = self.folder / entry.name, "computed again; if this repeats, check the disk"
        return checked(path, partial(self._read, entry), f"cache entry {path}", remedy)

    def _read(self, entry: Entry, path: Path) -> NDArray[Any]:
        with open_regular(path) as stream:
            # Shared, and kept by the mapping: nobody evicts an array that somebody reads.
            with contextlib.suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            version = _version(stream)
            if self._verified.get(entry.name) != version:  # once per run
                entry.check(stream)
                self._verified[entry.name] = version
            with contextlib.suppress(OSError):  # a read-only folder is fine to read from
                # The access time is the time of last use; set here because mounts may not.
                os.utime(stream.fileno(), ns=(time.time_ns(), version[2]))
            return entry.map(stream, "r")

    def _store(self, entry: Entry, fill: Fill) -> None:
        with self._temporary(entry) as (stream, temporary):
            content = entry.map(stream, "r+")
            fill(content)
            with self._usable(entry):
                content.flush()  # type: ignore[attr-defined]
                stream.seek(0)
                stream.write(entry.header(entry.content_digest(stream)))
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(temporary, self.folder / entry.name)
                self._verified[entry.name] = _version(stream)
        self._evict(keep=entry.name)

    def _may_store(self) -> bool:
        """Whether we may write into the folder, which is created; where not, that is said."""
        try:
            self._sweep()
            if os.access(self.folder, os.W_OK | os.X_OK):
                return True
        except OSError as error:
            if not forbids_writing(error):
                raise _trouble(self.folder, error, 0) from None
        say_unkept(self.folder)
        return False

    @contextlib.contextmanager
    def _temporary(self, entry: Entry) -> Iterator[tuple[IO[bytes], Path]]:
        """A locked temporary file with its space allocated; removed if it was not renamed."""
        path = self.folder / f"{entry.name}.{uuid.uuid4().hex}.tmp"
        try:
            with self._usable(entry):
                stream = _create_locked(path)
            with stream:
                with self._usable(entry):
                    _allocate(stream, _HEADER + entry.size)
                yield stream, path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def _sweep(self) -> None:
        """Create the folder; remove temporary files whose writer is dead. Once per run."""
        if not self._swept:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob("*.tmp"):
                if _TEMPORARY.fullmatch(path.name):
                    _remove_unless_locked(path)
            self._swept = True

    def _evict(self, keep: str) -> None:
        """Remove entries until the folder is within its limit: damaged ones, then the oldest."""
        if self.limit_bytes is None:
            return
        entries = []
        for path in filter(lambda path: _ENTRY.fullmatch(path.name), self.folder.iterdir()):
            with contextlib.suppress(OSError):  # another process may remove it meanwhile
                status = path.lstat()
                entries.append((path.suffix == ".array", status.st_atime_ns, path, status.st_size))
        excess = sum(size for *_, size in entries) - self.limit_bytes
        for _, _, path, size in sorted(entries):
            if excess <= 0:
                return
            if path.name != keep and path.name not in self._verified:
                excess -= size if _remove_unless_locked(path) else 0

    @contextlib.contextmanager
    def _usable(self, entry: Entry) -> Iterator[None]:
        """Turns the operating system's refusals into a `StoreError`."""
        try:
            yield
        except OSError as error:
            raise _trouble(self.folder, error, entry.size) from None


def _trouble(folder: Path | str, error: OSError, size: int) -> StoreError:
    needed = f"{size / 2**20:.1f} MiB are needed: "
    return explain_cache_error(f"the cache folder {folder} cannot be used", error, needed)


def _version(stream: IO[bytes]) -> tuple[int, int, int]:
    """Inode, size and mtime: tells one version of a file from another without reading it."""
    status = os.fstat(stream.fileno())
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _computed(entry: Entry, fill: Fill) -> NDArray[Any]:
    """An array in a file without a name, which goes when nobody maps it any more."""
    with tempfile.TemporaryFile() as stream:
        try:
            _allocate(stream, entry.size)
        except OSError as error:
            raise _trouble(tempfile.gettempdir(), error, entry.size) from None
        content = entry.map(stream, "r+", 0)
    fill(content)
    content.flags.writeable = False
    return content


def _create_locked(path: Path) -> IO[bytes]:
    """Create a file that says, by its lock, that its writer lives."""
    while True:
        stream = path.open("x+b")
        with contextlib.suppress(OSError):  # a file system without locks: nothing is swept
            fcntl.flock(stream, fcntl.LOCK_EX)
        if path.exists():
            return stream
        stream.close()  # swept by another process before the lock was ours


def _allocate(stream: IO[bytes], size: int) -> None:
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


def _remove_unless_locked(path: Path) -> bool:
    """Remove a file that no living process writes or maps, or a link itself; whether it is gone."""
    try:
        if not path.is_symlink():
            with open_regular(path) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        else:
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True

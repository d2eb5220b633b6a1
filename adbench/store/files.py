"""The one checked file format: written whole with a seal, checked when read, set aside if damaged.

A file is written beside its name, flushed and renamed. A JSON document ends with its seal; an
archive (a training state, a chunk of maps) begins with it. Whatever reads one is a function of its
path that raises ValueError for damage; `checked` does the rest, the same for all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from adbench.errors import StoreError
from adbench.store.regular_files import (
    TEXT_BYTES,
    NotAFile,
    open_regular,
    read_bounded,
    refuse_json_bomb,
)
from adbench.text import printable_lines, say

T = TypeVar("T")
SEAL, CHECKSUM = "seal", "checksum"
_SEALED = re.compile(rb',\n "seal": "([0-9a-f]{64})",\n "checksum": "[0-9a-f]{64}"\n}\n$')
_DIGEST_BYTES, _END_BYTES = 32, 22
_BAD_FILE = {errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EBADMSG} | {
    getattr(errno, name) for name in ("EUCLEAN", "ENODATA", "EREMOTEIO") if hasattr(errno, name)
}


# ------------------------------------------------------------------------------------- writing


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Raises `StoreError` for a full disk, a read-only folder and the like.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync_file(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise explain_os_error(error, path) from error
    finally:
        # Best effort: what is left over after a kill is removed by the next owner of the folder.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Return once the content is on the disk; raises OSError where the disk refuses."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are on the disk, where the file system can say so."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by a document (UTF-8) atomically, printable whatever it is made of."""
    with replacing(path) as temporary:
        temporary.write_bytes(printable_lines(text).encode())


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace `path` by `value`, not empty, and behind it a SHA-256 of all text before, its seal.

    So it is checked without making the text again. What a tool wrote anew, line ends for instance,
    is told from damage by a checksum of the canonical form, in which the seal counts as one of the
    values: versions before seals find the checksum right, and refuse what is too new for them.
    """
    body = {name: item for name, item in value.items() if name not in (SEAL, CHECKSUM)}
    text = json.dumps(body, indent=1, allow_nan=False).removesuffix("\n}")
    seal = hashlib.sha256(text.encode()).hexdigest()
    checksum = digest({**body, SEAL: seal})
    write_text(path, f'{text},\n "{SEAL}": "{seal}",\n "{CHECKSUM}": "{checksum}"\n}}\n')


class Sealing:
    """A stream that digests what goes through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.sha256 = stream, hashlib.sha256()

    def write(self, part: bytes | memoryview) -> int:
        """Pass it on."""
        self.sha256.update(part)
        return self._stream.write(part)

    def flush(self) -> None:
        """Nothing: the file is flushed when it is whole."""


def write_archive(path: Path, write: Callable[[Sealing], object]) -> None:
    """Replace `path` by a zip archive, as numpy and torch make them, behind its SHA-256.

    `write` puts the archive into a stream, from its begin to its end: it is in memory at no time.
    """
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(bytes(_DIGEST_BYTES))
        sealing = Sealing(stream)
        write(sealing)
        stream.seek(0)
        stream.write(sealing.sha256.digest())


def canonical_json(value: Any) -> str:
    """One text per value: sorted names, no spaces; the input of every digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# ------------------------------------------------------------------------------------- reading


def read_json(path: Path, most: int = TEXT_BYTES) -> dict[str, Any]:
    """Read what `write_json` wrote, of at most `most` bytes.

    Raises ValueError when it is damaged, OSError as `open_regular` does, and `StoreError` for what
    is too large to be read.
    """
    content = read_bounded(path, most)
    refuse_json_bomb(content, path)
    try:
        value = json.loads(content.decode(), parse_float=_finite, parse_constant=_finite)
        found = value.pop(CHECKSUM, None) if isinstance(value, dict) else None
        if not isinstance(value, dict) or found is None:
            raise ValueError(f"{path.name} has no checksum")
        whole = _SEALED.search(content)
        if whole and hashlib.sha256(content[: whole.start()]).hexdigest() == whole[1].decode():
            value.pop(SEAL)
            return value
        expected = digest(value)
        value.pop(SEAL, None)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, too deep, not finite
        raise ValueError(f"{path.name} is not valid JSON ({error})") from error
    if found != expected:
        raise ValueError(f"{path.name} does not match its checksum")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"found {text[:20]}, expected a finite number")
    return value


def read_archive(path: Path) -> bytes:
    """Read what `write_archive` wrote; raises ValueError when it is damaged, OSError likewise."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        tail = os.pread(stream.fileno(), _END_BYTES, max(0, size - _END_BYTES))
        # Looked at first: a file of any length may stand under the name.
        if size < _DIGEST_BYTES + _END_BYTES or not tail.startswith(b"PK\5\6"):
            raise ValueError("it does not end as it was written")
        if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            raise ValueError(f"it has {size / 1e9:,.1f} GB, more than this machine's memory")
        expected, body = stream.read(_DIGEST_BYTES), stream.read(size - _DIGEST_BYTES)
    if hashlib.sha256(body).digest() != expected:
        raise ValueError("it does not match its SHA-256")
    return body


def read_or_set_aside(path: Path, remedy: str = "will be made again") -> dict[str, Any] | None:
    """What `write_json` wrote, as `checked` gives it."""
    return checked(path, read_json, remedy=remedy)


def checked(
    path: Path, read: Callable[[Path], T], what: str = "", remedy: str = "will be made again"
) -> T | None:
    """What `read` makes of a file, or None where it is absent; a damaged one is named, renamed and
    absent. Raises `StoreError` for what may be read another time, and for what is too large.

    `what` names it to people, where the reason alone does not.
    """
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        reason = str(error)
    except OSError as error:
        name = Path(os.fsdecode(error.filename or path))
        if not is_damage(error):
            raise StoreError(f"cannot read {name}: {error.strerror}") from error
        reason = f"{name.name} cannot be read ({error.strerror})"
    say_damaged(path, f"{what} is damaged ({reason})" if what else reason, remedy)
    return None


def is_damage(error: OSError) -> bool:
    """Whether reading failed for the file itself: a bad sector, or no file under its name.

    A lack of rights, memory or descriptors, or a server that is away, says nothing about it.
    """
    return isinstance(error, NotAFile) or error.errno in _BAD_FILE


def say_damaged(path: Path, reason: str, remedy: str = "will be made again") -> None:
    """Warn on stderr and rename a damaged file or folder, so that it is kept for a look and never
    read again; where it cannot be renamed, it stays."""
    target = path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}")
    try:
        os.replace(path, target)
        kept = target.name
    except OSError:
        kept = "(could not be renamed)"
    say(f"warning: {reason}; set aside as {kept}, {remedy}")


# ---------------------------------------------------------------------------- places that refuse


def remove(path: Path) -> None:
    """Remove a file, a folder with all it holds, or a link, of which the target stays.

    What is not there is fine. Raises OSError.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def forbids_writing(error: OSError) -> bool:
    """Whether the place may not be written by us, be it as good as ever to read."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


@cache
def say_unkept(folder: Path) -> None:
    """Say, once, that a cache folder of others is good for reading only."""
    say(
        f"note: you may not write into the cache folder {folder}: what it lacks is computed and "
        "not kept; name a folder of your own in ADBENCH_CACHE to keep it"
    )


def explain_cache_error(what: str, error: OSError, needed: str = "") -> StoreError:
    """The one-line error for a cache folder that refuses, `what` saying to what end."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    way_out = f"{needed}free some space, or " if is_full else ""
    return StoreError(f"{what}: {reason}; {way_out}name a writable folder in ADBENCH_CACHE")


def explain_os_error(error: OSError, path: Path) -> StoreError:
    """The one-line error for a disk or permission problem at `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and _is_full(path)):
        way_out = "the disk is full: free space or give another folder with --results DIR"
    elif forbids_writing(error):
        way_out = "the folder is not writable: give another with --results DIR or mend its rights"
    else:
        way_out = f"{error.strerror or error}: give another folder with --results DIR"
    return StoreError(f"cannot write {path}: {way_out}")


def _is_full(path: Path) -> bool:
    """Whether the disk of `path` has no block left: libraries raise their errors without a code."""
    try:
        return shutil.disk_usage(path.parent).free == 0
    except OSError:
        return False

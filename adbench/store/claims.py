"""Who works on a cell: a claim file per owner generation, on a folder that may be shared.

`claim.1` is created exclusively. A claim whose owner is dead is taken over by creating `claim.2`
exclusively, and so on: the highest generation owns the cell, and two takers can never both win.

When an owner counts as dead:
- a process of this host (same boot, same process namespace) as soon as it is gone: a pid together
  with its start time names a process for good;
- any other, and one that /proc hides from us, when its heartbeat has stood still for
  `STALE_SECONDS`. A live owner touches its claim every `HEARTBEAT_SECONDS`.

Clocks need not agree: a heartbeat is a *change* of the file's modification time, and the patience
is measured by the watcher's own monotonic clock. Whoever takes over has watched for that long; a
launcher that lives long watches for its workers (`Look.mark`).

Network file systems: a claim is written under another name and linked into place, which is atomic
on every version of NFS; where the answer to the link is lost and the retry says "exists", the link
count tells whether it was ours. File systems without hard links get an exclusive create. A claim
is opened before it is looked at, which revalidates attributes that may be cached for a minute.

An owner that was paused past the patience must not publish over its successor: it asks `is_ours`
before each checkpoint, model and record. Its heartbeat and its release touch a claim only while
that still holds its own token, for a third owner's claim may have the same name by then. What is
left is a pause between the question and a rename: then two owners publish the same numbers, since
a record's name is a digest of all that decides them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from adbench.contracts.interruptions import ClaimLost
from adbench.errors import StoreError
from adbench.store.files import explain_os_error
from adbench.store.owners import host_identity, is_hidden, process_start
from adbench.store.regular_files import NotAFile, open_regular, read_bounded
from adbench.text import say

HEARTBEAT_SECONDS = 20.0
STALE_SECONDS = 180.0
UNREADABLE_SECONDS = 5.0
"""Patience with a claim that names no owner: only a failing disk or a tool of others makes one."""
FORGOTTEN_SECONDS = 86_400.0
"""After which any claim of a finished cell goes: a run that finds all done waits for nobody."""
LAST_GENERATION = 999_999
_CLAIM = re.compile(r"claim\.[1-9][0-9]{0,5}")
_CLAIM_BYTES = 64_000
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


@dataclass
class Claim:
    """A held claim; its heartbeat runs until `release`."""

    path: Path
    generation: int
    token: str
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def is_ours(self) -> bool:
        """False once somebody took over (we were paused past the patience) or it is released."""
        if self._stop.is_set() or _latest(self.path.parent) != self.generation:
            return False
        return (_read(self.path) or {}).get("token") == self.token

    def require(self) -> None:
        """Raise `ClaimLost` unless it is ours."""
        if not self.is_ours():
            raise ClaimLost

    def release(self) -> None:
        """Stop the heartbeat; if it is still ours, remove this and all earlier claims."""
        ours = self.is_ours()
        self.abandon()
        # Lowest first: while one is left, it is the one that says whose the cell is.
        with contextlib.suppress(OSError):  # gone, or read-only by now: it is free when we are gone
            for generation in sorted(_generations(self.path.parent)) if ours else ():
                if generation <= self.generation:
                    with contextlib.suppress(OSError):  # a folder of this name stays
                        self.path.with_name(f"claim.{generation}").unlink(missing_ok=True)

    def abandon(self) -> None:
        """Stop the heartbeat and leave the file."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _beat(self) -> None:
        """Touch the claim until told to stop or it is another's; needs no room on the disk."""
        while not self._stop.wait(HEARTBEAT_SECONDS):
            owner = _read(self.path)
            if owner is not None and owner.get("token") != self.token:
                return
            with contextlib.suppress(OSError):  # staleness is the fallback
                os.utime(self.path)


@dataclass(frozen=True)
class Look:
    """What a watcher knows of a cell's claim.

    Attributes:
        mark: names exactly the claim that was looked at; empty for "free".
    """

    state: Literal["free", "live", "dead"]
    mark: str = ""


class ClaimWatch:
    """Decides whether a claim is dead; remembers heartbeats seen, so keep one per run."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Any, float]] = {}

    def look(self, folder: Path) -> Look:
        """Whether a cell is claimed and by a live owner, as far as is known by now."""
        generation = _latest(folder)
        if not generation:
            return Look("free")
        path = folder / f"claim.{generation}"
        alive = self._is_alive(path)
        return Look("live" if alive else "dead", _mark(path))

    def try_claim(self, folder: Path, known_dead: str | None = None) -> Claim | None:
        """Claim the cell, taking over a dead owner's claim; None while a live owner has it.

        `known_dead` is the mark of a claim that another watcher found dead.

        Raises `StoreError` where the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            look = self.look(folder)
            if look.state == "live" and look.mark != known_dead:
                return None
            return _take(folder, look.mark)
        except (FileExistsError, FileNotFoundError):
            return None  # another taker was faster, or swept the folder under our hands
        except OSError as error:
            raise explain_os_error(error, folder) from error

    def sweep(self, folder: Path) -> None:
        """Remove what a dead owner's claim left in the folder of a finished cell, if we may."""
        look = self.look(folder)
        # So long ago that no two clocks differ by as much.
        beat = _beat_of(folder / look.mark.partition(":")[0]) if look.mark else None
        forgotten = beat is not None and time.time() - beat[0] / 1e9 > FORGOTTEN_SECONDS
        if look.state == "dead" or forgotten:
            with contextlib.suppress(StoreError):  # a folder that may only be read
                claim = self.try_claim(folder, look.mark)
                if claim is not None:
                    claim.release()

    def _is_alive(self, path: Path) -> bool:
        owner = _read(path)
        if owner is not None and owner["host"] == host_identity() and owner["start"] is not None:
            start = process_start(owner["pid"])
            if start is not None or not is_hidden(owner["pid"]):
                return bool(start == owner["start"])
        beat = _beat_of(path)
        if path not in self._seen or self._seen[path][0] != beat:
            self._seen[path] = (beat, time.monotonic())
            return True
        patience = UNREADABLE_SECONDS if owner is None else STALE_SECONDS
        return time.monotonic() - self._seen[path][1] < patience


def _latest(folder: Path) -> int:
    """The highest generation in a folder, 0 where there is none."""
    return max(_generations(folder), default=0)


def _generations(folder: Path) -> list[int]:
    """The generations of all claims in a folder; a number that none can have is told."""
    try:
        names = [n for n in os.listdir(folder) if n.startswith("claim.") and n[6:].isdigit()]
    except FileNotFoundError:
        return []
    for name in names:
        if not _CLAIM.fullmatch(name):
            _tell(folder / name, f"expected claim.1 to claim.{LAST_GENERATION}")
    return [int(name[6:]) for name in names if _CLAIM.fullmatch(name)]


@cache
def _tell(path: Path, why: str) -> None:
    """Warn, once, of what is no claim."""
    say(f"warning: {path} is no claim and is passed over: {why}")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(read_bounded(path, _CLAIM_BYTES))
    except (NotAFile, StoreError) as error:
        _tell(path, str(getattr(error, "strerror", None) or error))
        return None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not {"host", "start"} <= set(value):
        return None
    return value if isinstance(value.get("pid"), int) else None


def _beat_of(path: Path) -> tuple[int, int] | None:
    """What a heartbeat changes. Opened first: that makes a network file system look again."""
    try:
        with open_regular(path) as stream:
            status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _mark(path: Path) -> str:
    return f"{path.name}:{(_read(path) or {}).get('token', '')}"


def _take(folder: Path, dead: str) -> Claim | None:
    """Create the generation after the one marked `dead` (or the first, for an empty mark)."""
    generation = int(dead.partition(":")[0].removeprefix("claim.")) if dead else 0
    if generation >= LAST_GENERATION:
        path = os.path.abspath(folder / f"claim.{generation}")
        raise StoreError(
            f"{path} is the last claim there can be; remove it: rm {shlex.quote(path)}"
        )
    claim = _create(folder, generation + 1)
    # The dead claim may have been taken over, worked off and released since it was looked at,
    # and somebody else may own the cell by its first name: then ours is the later claim. Or ours
    # is the earlier one: what we looked at is gone, and a later one was there all the time. Of two
    # whose claims cross like this at most one stays; where none does, the cell is free again.
    if not _is_last(folder, generation + 1) or (
        dead and _mark(folder / f"claim.{generation}") != dead
    ):
        claim.abandon()
        claim.path.unlink(missing_ok=True)
        return None
    return claim


def _is_last(folder: Path, generation: int) -> bool:
    try:
        return _latest(folder) == generation
    except OSError:  # we cannot tell; whoever asks again may
        return False


def _create(folder: Path, generation: int) -> Claim:
    """Create the claim with its whole content; raises FileExistsError where it is there."""
    path, token, pid = folder / f"claim.{generation}", uuid.uuid4().hex, os.getpid()
    owner = {"host": host_identity(), "pid": pid, "start": process_start(pid), "token": token}
    # Named as all that is being written here, so that whoever sweeps knows it.
    temporary = folder / f".claim.{generation}.{pid}.{token[:8]}.tmp"
    try:
        temporary.write_text(json.dumps(owner))
        os.link(temporary, path)
    except FileExistsError:
        if os.stat(temporary).st_nlink != 2:
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("x") as stream:
            stream.write(json.dumps(owner))
    finally:
        temporary.unlink(missing_ok=True)
    return Claim(path, generation, token)

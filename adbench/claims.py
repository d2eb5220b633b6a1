"""Who works on a cell: a claim file per owner generation, on a folder that may be shared.

`claim.1` is created exclusively. A claim whose process is dead on this host is taken over at
once by creating `claim.2` exclusively, and so on: the highest generation owns the cell, and two
takers can never both win. A claim of another host counts as dead when its heartbeat counter has
not moved for `STALE_SECONDS` of *this* host's clock, so clocks need not agree.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adbench.atomic import explain_os_error

HEARTBEAT_SECONDS = 20.0
STALE_SECONDS = 180.0


@cache
def host_identity() -> str:
    """Tells machines and containers apart; written to claims only, never to records."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot, namespace = "", ""
    return f"{socket.gethostname()}/{boot}/{namespace}"


def process_start(pid: int) -> str | None:
    """The start time of a live process in clock ticks, or None when there is none.

    Together with the pid it names a process for good: pids are reused, pairs are not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


@dataclass
class Claim:
    """A held claim; its heartbeat runs until `release`."""

    path: Path
    generation: int
    _stop: threading.Event
    _thread: threading.Thread

    def is_ours(self) -> bool:
        """False once somebody took over (we were paused past the time-out)."""
        return _latest(self.path.parent) == self.generation

    def release(self) -> None:
        """Stop the heartbeat and remove this and all earlier claims."""
        self._stop.set()
        self._thread.join()
        for generation in range(1, self.generation + 1):
            (self.path.parent / f"claim.{generation}").unlink(missing_ok=True)


class ClaimWatch:
    """Decides whether a claim is dead; remembers heartbeats seen, so keep one per run."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Any, float]] = {}

    def try_claim(self, folder: Path) -> Claim | None:
        """Claim the cell, taking over a dead owner's claim; None while a live owner has it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            generation = _latest(folder)
            if generation and self._is_alive(folder / f"claim.{generation}"):
                return None
            return _create(folder, generation + 1)
        except FileExistsError:
            return None
        except OSError as error:
            raise explain_os_error(error, folder) from error

    def _is_alive(self, path: Path) -> bool:
        owner = _read(path)
        if owner is None:
            # Just created and not yet written, or cut off by a kill: judged by standing still.
            owner = {"host": None, "beat": -1}
        if owner["host"] == host_identity():
            return bool(process_start(int(owner["pid"])) == owner["start"])
        beat = owner.get("beat")
        first, since = self._seen.get(path, (None, 0.0))
        if first != beat:
            self._seen[path] = (beat, time.monotonic())
            return True
        patience = STALE_SECONDS if owner["host"] else 5.0
        return time.monotonic() - since < patience


def _latest(folder: Path) -> int:
    generations = [p.suffix[1:] for p in folder.glob("claim.*")]
    return max((int(g) for g in generations if g.isdigit()), default=0)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    required = {"host", "pid", "start"}
    return value if isinstance(value, dict) and required <= set(value) else None


def _create(folder: Path, generation: int) -> Claim:
    path = folder / f"claim.{generation}"
    owner = {
        "host": host_identity(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "beat": 0,
    }
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(json.dumps(owner))
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(path, owner, stop), daemon=True)
    thread.start()
    return Claim(path, generation, stop, thread)


def _beat(path: Path, owner: dict[str, Any], stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        owner["beat"] += 1
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(owner))
            os.replace(temporary, path)
        except OSError:
            continue  # a full disk now may have room at the next beat; staleness is the fallback

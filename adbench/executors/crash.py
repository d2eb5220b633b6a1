"""A process that died in the middle of a cell becomes a failed record."""

from __future__ import annotations

import platform
import re
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from adbench.cell.cell_records import cell_record, plugin_environment
from adbench.executors.attempt import cached_outcome
from adbench.executors.base import Crash
from adbench.machine.environment import git_state, package_versions
from adbench.plan import Cell
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.records import Failure, Record
from adbench.version import __version__

STDERR_LINES = 30
_QUOTED = re.compile(r'"(/[^"\n]+)"')
_BARE = re.compile(r"(?<![\w./~-])(?:~|/)(?:[\w.+@%=-]+/)+[\w.+@%=-]*")


def crash_of(returncode: int, stderr: Iterable[str], memory_kills: int) -> Crash:
    """What to say of a process that ended with `returncode` (negative: a signal).

    `memory_kills` is how many processes the system has killed for memory meanwhile.
    """
    lines = tuple(portable_line(line) for line in stderr)
    if returncode >= 0:
        return Crash(f"its process ended with exit code {returncode} in the middle of it", lines)
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    starved = name == "SIGKILL" and memory_kills > 0
    reason = signal.strsignal(-returncode) or "no description"
    if starved:
        reason = "the system had no memory left"
    return Crash(f"its process was killed by {name} ({reason})", lines, starved)


def memory_kills() -> int:
    """Processes that this system has killed for lack of memory since it started."""
    try:
        counters = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(c.split()[1]) for c in counters if c.startswith("oom_kill ")), 0)


def publish_crash(cell: Cell, crash: Crash, store: Store, watch: ClaimWatch) -> Record | None:
    """Record a cell as failed; None while its claim still looks alive: try again later.

    Where somebody has finished it meanwhile, that outcome stays and is given back.
    """
    folder = store.cell(cell)
    claim = watch.try_claim(folder.path)
    if claim is None:
        return None
    try:
        record = cached_outcome(cell, store, "failed")
        if record is None:
            record = folder.write_record(_failed(cell, crash))
        return record
    finally:
        claim.release()


def _failed(cell: Cell, crash: Crash) -> Record:
    # Not the device: asking for its name needs torch, and a driver that may be what broke.
    environment = {
        "adbench": __version__,
        "git": git_state(),
        **plugin_environment(cell),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {n: v for n, v in package_versions().items() if v},
    }
    failure = Failure(type="ProcessDied", message=crash.what, traceback=list(crash.lines))
    return cell_record(cell, "failed", failure=failure, environment=environment)


def portable_line(line: str) -> str:
    """A line without what names a machine: paths from their package on, no host."""
    line = _QUOTED.sub(lambda found: f'"{_short(found[1])}"', line)
    line = _BARE.sub(lambda found: _short(found[0]), line)
    host = socket.gethostname()
    return re.sub(rf"\b{re.escape(host)}\b", "HOST", line) if host else line


def _short(path: str) -> str:
    full = Path(path)
    roots = [Path(p) for p in sys.path if p]
    inside = [full.relative_to(r) for r in roots if full.is_relative_to(r) and full != r]
    return min(inside, key=lambda p: len(p.parts)).as_posix() if inside else full.name

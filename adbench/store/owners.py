"""Which machine this is, and whether a process of it is still the one that it was."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


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


def is_hidden(pid: int) -> bool:
    """Whether a process is there of which /proc tells us nothing: another user's, by hidepid."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return pid > 0 and not os.access(f"/proc/{pid}/stat", os.R_OK)
    except (OSError, OverflowError):
        pass
    return False

"""How much of the machine other processes use while something is timed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FOREIGN_LOAD = 0.10
"""Share of the machine's processor time that others may use before a timing is invalid."""


class ForeignLoad:
    """Processor time that other processes use, from /proc, since construction."""

    def __init__(self) -> None:
        self._start = self._read()

    def share(self) -> float | None:
        """Fraction of the whole machine used by others; None where the system does not tell."""
        end = self._read()
        if self._start is None or end is None or end[0] <= self._start[0]:
            return None
        total, busy, own = (b - a for a, b in zip(self._start, end, strict=True))
        return max(0.0, (busy - own) / total)

    def verdict(self, whole: bool = True) -> dict[str, Any]:
        """The share and whether a time measured since construction may be shown.

        `whole` is False where a part of the work was not done but taken from a cache.
        """
        share = self.share()
        return {
            "foreign_load": None if share is None else round(share, 3),
            "valid": whole and (share is None or share <= FOREIGN_LOAD),
        }

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        try:
            fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        except OSError:
            return None
        ticks = [int(f) / os.sysconf("SC_CLK_TCK") for f in fields]
        idle = ticks[3] + ticks[4]
        own = os.times()  # children count once they have ended: those that shared a training
        mine = own.user + own.system + own.children_user + own.children_system
        return sum(ticks), sum(ticks) - idle, mine

"""How long, as people and SLURM write it."""

from __future__ import annotations

import re

from adbench.errors import UsageError

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WORDS = re.compile(r"(?:(\d+(?:\.\d+)?)([dhms]))+")
_WORD = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `45m`, `1h30m`, `2d` or `[D-]HH:MM:SS`; more than 0.

    Raises `UsageError` for anything else.
    """
    stripped = text.strip()
    seconds = 0.0
    if _WORDS.fullmatch(stripped):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _WORD.findall(stripped))
    elif clock := _CLOCK.fullmatch(stripped):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        seconds = 86400.0 * days + 3600 * hours + 60 * minutes + rest
    if not 0 < seconds < 1e9:
        raise UsageError(
            f"--time-limit {text!r}: expected a duration like 90s, 45m, 1h30m, 2d or 12:00:00"
        )
    return seconds

"""Words in and out: what can be printed, how commands speak, and paths and durations as users
write them.

Results go to stdout, everything else to stderr. All text passes here, and no other module prints:
what records, data and plug-ins brought in is shown as escapes where it would steer a terminal.
A name from data that breaks a line, steers a terminal or is not UTF-8 is refused where it is read.
What is printed is besides free of characters that nobody sees: those that turn the direction of the
text around them (U+202E), have no width, or carry a hidden message (tags). The joiners U+200C and
U+200D stay, since Persian, the scripts of India and emoji are written with them, and so do the
number signs of Arabic and Kaithi, which can be seen.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Final, overload

from adbench.errors import StoreError, UsageError, shortened

_CONTROLS: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
"""Control characters, line and paragraph separators, and the surrogates that stand for bytes that
are not UTF-8."""
_UNSEEN: Final = (
    "\xad\u061c\u070f\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_STEERING: Final = re.compile(f"[{_CONTROLS}]")
_UNPRINTABLE: Final = re.compile(f"[{_CONTROLS}{_UNSEEN}]")
_UNPRINTABLE_IN_LINES: Final = re.compile(f"(?![\n\t])[{_CONTROLS}{_UNSEEN}]")


def is_printable(text: str) -> bool:
    """False for a text that would break a line, steer a terminal or not be UTF-8."""
    return _STEERING.search(text) is None


def printable(text: str) -> str:
    """The text in one line, with what cannot be printed as an escape: `a\\\\nb`."""
    return _UNPRINTABLE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """The same for a text of many lines, with line feeds and tabulators."""
    return _UNPRINTABLE_IN_LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def json_text(value: Any) -> str:
    """Strict JSON in ASCII; NaN in it is a bug and raises ValueError."""
    return json.dumps(value, indent=1, allow_nan=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    show_lines(json_text(value) + "\n")


def show(text: str) -> None:
    """One line on stdout."""
    show_lines(printable(text) + "\n")


def show_lines(text: str, *, coloured: bool = False) -> None:
    """Lines on stdout; `coloured`: a console of ours made them, for a terminal."""
    parts = _COLOUR.split(text) if coloured else [text]
    shown = [part if i % 2 else printable_lines(part) for i, part in enumerate(parts)]
    try:
        sys.stdout.write("".join(shown))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(unwritable(error)) from error


def unwritable(error: OSError) -> str:
    """What to say where stdout refuses."""
    reason = error.strerror or str(error)
    return f"stdout cannot be written ({reason}): expected a terminal, a file or a pipe"


def say(text: str) -> None:
    """One line on stderr, so that stdout stays a table or JSON."""
    print(printable(text), file=sys.stderr, flush=True)


def say_traceback() -> None:
    """The exception that is being handled, whole, on stderr."""
    sys.stderr.write(printable_lines(traceback.format_exc()))


def pass_on(line: str) -> None:
    """What a worker's process wrote on its stderr, as it came: that might as well be ours."""
    sys.stderr.write(line)


def counted(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Seconds in words of two or three digits, for estimates."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


@overload
def at_home(path: Path) -> Path: ...
@overload
def at_home(path: None) -> None: ...
@overload
def at_home(path: Path | None) -> Path | None: ...
def at_home(path: Path | None) -> Path | None:
    """The path with `~` and `~NAME` at its beginning as the home folder, None as None.

    Raises `UsageError` where there is no such home folder.
    """
    if path is None:
        return None
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(
            f"{shortened(str(path))}: found no home folder for its {path.parts[0]}; expected the "
            f"path in full, or ./~ for a folder of that name"
        ) from None


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WORD = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_WORDS = re.compile(f"(?:{_WORD.pattern})+")
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

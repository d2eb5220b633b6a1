"""Which text can stand in a table, a record and on a terminal.

Two rules. A name from data that breaks a line, steers a terminal or is not UTF-8 is refused where
it is read. What is printed or written into a document is besides free of characters that nobody
sees: those that turn the direction of the text around them (U+202E), have no width, or carry a
hidden message (tags); they become escapes. The joiners U+200C and U+200D stay, since Persian, the
scripts of India and emoji are written with them, and so do the number signs of Arabic and Kaithi,
which are of this category of Unicode (Cf) and can be seen.
"""

from __future__ import annotations

import re
from typing import Final

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

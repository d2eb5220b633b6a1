"""Which text can stand in a table, a record and on a terminal."""

from __future__ import annotations

import re
from typing import Final

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line and paragraph separators, and the surrogates that stand for bytes that
are not UTF-8."""


def is_printable(text: str) -> bool:
    """False for a text that would break a line, steer a terminal or not be UTF-8."""
    return _UNPRINTABLE.search(text) is None


def printable(text: str) -> str:
    """The text in one line, with what cannot be printed as an escape: `a\\\\nb`."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)

"""Text that people edit by hand: tables and lists of files."""

from __future__ import annotations

import codecs
from pathlib import Path

from adbench.store.regular_files import open_regular

_MOST_BYTES = 64_000_000


def read_text(file: Path) -> str:
    """The text of a UTF-8 file with or without a byte order mark, or of UTF-16 with one; of a
    regular file only, since a pipe would wait for ever.

    Raises ValueError with the reason.
    """
    try:
        with open_regular(file) as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from None
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8: save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"line {line} holds a null byte: save it as UTF-8")
    return text

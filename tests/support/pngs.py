"""PNG files that no library would write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

GREY, COLOUR, COLOUR_ALPHA = 0, 2, 6


def write_png(
    path: Path, width: int, height: int, data: bytes, *, bits: int = 8, colour: int = GREY
) -> Path:
    """A PNG that says any size and holds any data, its rows with a filter byte each."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    return path

"""Files of a SHA-256 and the zip archive that it stands for: checkpoints, and chunks of maps."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import IO

from adbench.store.regular_files import open_regular

DIGEST_BYTES = 32
_END = struct.Struct("<4s4H2LH")
"""The last record of a zip archive: among it the size of the list of contents, where that begins,
and the length of a comment, of which ours have none."""
_LARGE_END = struct.Struct("<4sLQL")
"""What stands before it in a large archive, and in all of torch: where a longer such record is."""
_LARGE_RECORD = 56


def read_archive(path: Path) -> tuple[bytes, bytes]:
    """The digest and the archive, in memory, once the archive's end says that it is this long.

    Raises ValueError for a file of another length or content, OSError as `open_regular` does.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size < DIGEST_BYTES + _END.size or _declared(stream, size) != size:
            raise ValueError("it does not end as it was written")
        if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            raise ValueError(f"it has {size / 1e9:,.1f} GB, more than this machine's memory")
        return stream.read(DIGEST_BYTES), stream.read(size - DIGEST_BYTES)


def _declared(stream: IO[bytes], size: int) -> int | None:
    """The length of the file as the archive's last bytes tell it, None where they tell nothing."""
    tail = os.pread(
        stream.fileno(), _LARGE_END.size + _END.size, size - _LARGE_END.size - _END.size
    )
    magic, *_, length, start, comment = _END.unpack(tail[_LARGE_END.size :])
    if magic != b"PK\5\6" or comment:
        return None
    magic, _, large, _ = _LARGE_END.unpack(tail[: _LARGE_END.size])
    if magic == b"PK\6\7":
        return int(large) + _LARGE_RECORD + len(tail) + DIGEST_BYTES
    return int(start + length) + _END.size + DIGEST_BYTES

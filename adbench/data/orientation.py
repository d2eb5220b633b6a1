"""The tag by which a file asks to be shown turned or mirrored. It is met, said and never applied.

Masks are drawn on pixels as stored by every data set of the field, so that a turned image would
have every defect beside its mask.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, Any, Final

from PIL import Image

TAG: Final = 0x0112
UPRIGHT: Final = 1

APPLIED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a viewer that heeds the tag shows the stored pixels."""

_UNDOING: Final = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TEXTS: Final = frozenset({b"IHDR", b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
_MOST_TEXT: Final = 1 << 20
_MOST_CHUNKS: Final = 100_000


def orientation_of(image: Image.Image, stream: IO[bytes]) -> int:
    """2 to 8, or 1 for a file without a tag, or with one that means nothing. Decodes no pixels;
    `stream`, from which `image` was opened, stays where it is."""
    found = _tag_of(image)
    if found == UPRIGHT and image.format == "PNG":
        place = stream.tell()
        try:
            return _png_tag(stream)
        finally:
            stream.seek(place)
    return found


def load_as_stored(image: Image.Image) -> Image.Image:
    """The image with its pixels read, as stored: Pillow turns TIFF files while it reads them,
    which is undone here, exactly."""
    before = _tag_of(image) if image.format == "TIFF" else UPRIGHT
    image.load()
    if before == UPRIGHT or _tag_of(image) != UPRIGHT:
        return image
    return image.transpose(_UNDOING.get(before, APPLIED[before]))


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the pixels as stored, from the header."""
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        return int(tags[256]), int(tags[257])
    return image.size


def _tag_of(image: Image.Image) -> int:
    try:
        # The base class's: PNG's own reads all pixels first, for what stands behind them.
        found = Image.Image.getexif(image).get(TAG, UPRIGHT)
        return int(found) if found in APPLIED else UPRIGHT
    except Exception:  # a damaged block of EXIF data turns no picture in any viewer
        return UPRIGHT


def _png_tag(stream: IO[bytes]) -> int:
    """The tag of a PNG wherever in the file it stands: its texts alone are read."""
    stream.seek(len(_SIGNATURE))
    kept = [_SIGNATURE]
    for _ in range(_MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if kind in _TEXTS and length <= _MOST_TEXT:
            kept.append(head + stream.read(length + 4))
        else:
            stream.seek(length + 4, io.SEEK_CUR)
    kept += [_chunk(b"IDAT"), _chunk(b"IEND")]
    try:
        with Image.open(io.BytesIO(b"".join(kept)), formats=("PNG",)) as image:
            return _tag_of(image)
    except Exception:  # as above
        return UPRIGHT


def _chunk(kind: bytes) -> bytes:
    return struct.pack(">I", 0) + kind + struct.pack(">I", zlib.crc32(kind))

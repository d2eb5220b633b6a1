"""Image files to uint8 arrays, or one line that says why not.

What is not plainly an 8-bit grey, palette or RGB image is refused, because each way to squeeze
a 16-bit or transparent image into 8 bits gives other scores; so is a file of several pictures.
A channel of transparency that is opaque everywhere loses nothing and is dropped.
Only the formats of data sets are read: Pillow knows more, and starts Ghostscript for one of them.

Pixels are as stored in every format; `adbench.data.orientation` says why.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from adbench.data.orientation import load_as_stored, orientation_of, stored_size
from adbench.errors import AdbenchError, DataError
from adbench.machine.threads import MemoryBudget
from adbench.store.regular_files import open_regular

_IMAGE_MODES: Final = frozenset({"1", "L", "P", "RGB"})
_ALPHA_MODES: Final = frozenset({"LA", "PA", "RGBA"})
_FORMATS: Final = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_DEEP_MODES: Final = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_MASK_MODES: Final = _IMAGE_MODES | _ALPHA_MODES | _DEEP_MODES
_FOUND: Final = {
    "I;16": "16-bit grey",
    "I": "integer grey of more than 8 bits",
    "F": "floating-point grey",
    "LA": "grey with transparency",
    "PA": "palette with transparency",
    "RGBA": "RGB with transparency",
    "CMYK": "CMYK",
}
_IMAGE_BYTES: Final = {"RGB": 4, "L": 5, "P": 5, "1": 5}
"""A pixel, of an image at native size until it is resized."""
_MASK_BYTES: Final = 12
"""A pixel, at most: of a mask, of another kind of image, and of what is made of it."""
_budget: Final = MemoryBudget(1 << 30)

# What is freed must go back to the system, whichever thread took it: the C library does so at once
# for blocks above 32 MiB, and else keeps them for each thread. Pillow's own size is 16 MiB.
Image.core.set_block_size(1 << 26)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file says of itself before its pixels are read.

    Width and height are those of the pixels as stored, `mode` is Pillow's; `orientation` is 1, or
    the tag, 2 to 8, by which viewers turn the picture; alpha may be used or not.
    """

    width: int
    height: int
    mode: str
    orientation: int
    has_alpha: bool
    lossy: bool


def decode_image(path: Path) -> NDArray[np.uint8]:
    """The pixels of an 8-bit grey, palette or RGB file, as stored: uint8 (H, W, 3), RGB.

    Raises `DataError` for what is missing, truncated, not an image, or of another kind.
    """
    with plain_image(path) as image:
        return np.asarray(image)


@contextlib.contextmanager
def plain_image(path: Path) -> Iterator[Image.Image]:
    """The same as a picture in RGB, whose memory is counted for the time of the block."""
    with room_for(path, mask=False), _opened(path) as (image, _):
        found = _kind_if_not_plain(image)
        if found is None:
            image = load_as_stored(image)
            found = None if _is_opaque(image) else _transparent(image)
        if found is not None:
            raise DataError(
                f"{path}: found {found}, expected 8-bit grey, palette or RGB: copy the file, then "
                "convert it with: "
                f"mogrify -alpha off -colorspace sRGB -depth 8 {_quoted(path)}"
            )
        with contextlib.closing(_rgb(image)) as plain:  # freed before its room is
            if plain is not image:
                image.close()
            yield plain


def decode_mask(path: Path, threshold: int) -> NDArray[np.bool_]:
    """Where any colour channel is greater than `threshold`: bool (H, W).

    A palette counts by its colours; transparency does not count; values of 16-bit masks are
    compared as they are stored. Raises `DataError`.
    """
    with mask_image(path) as image:
        anomalous: NDArray[np.bool_] = mask_values(image) > threshold
    return anomalous


@contextlib.contextmanager
def mask_image(path: Path) -> Iterator[Image.Image]:
    """A mask as it is stored, whose memory is counted for the time of the block."""
    with room_for(path), _opened(path) as (image, _):
        if image.mode not in _MASK_MODES or _has_deep_colour(image):
            deep = "16-bit " * _has_deep_colour(image)
            raise DataError(
                f"{path}: found a mask of mode {deep}{image.mode}, expected grey, palette or RGB: "
                f"copy the file, then convert it with: mogrify -type bilevel {_quoted(path)}"
            )
        with contextlib.closing(load_as_stored(image)) as stored:
            yield stored


def mask_values(image: Image.Image) -> NDArray[Any]:
    """What a mask's threshold is compared with: its greatest colour channel, (H, W)."""
    if image.mode in _DEEP_MODES or image.mode in ("1", "L"):
        values = np.asarray(image)
    else:
        opaque = image.copy() if "transparency" in image.info else image
        opaque.info.pop("transparency", None)
        values = np.asarray(_rgb(opaque)).max(axis=2)
    if values.dtype == np.bool_:  # bilevel: Pillow's 255 is numpy's True
        values = values * np.uint8(255)
    return values


def image_header(path: Path) -> ImageHeader:
    """What the header says; raises `DataError`."""
    with _opened(path) as (image, stream):
        tag = orientation_of(image, stream)
        lossy = _is_lossy(image, stream)
        return ImageHeader(*stored_size(image), image.mode, tag, has_alpha(image), lossy)


def has_alpha(image: Image.Image) -> bool:
    """Whether there is transparency, be it used or not."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def _is_lossy(image: Image.Image, stream: IO[bytes]) -> bool:
    if image.format == "WEBP":
        stream.seek(0)
        return b"VP8L" not in stream.read(4096)
    if image.format == "TIFF":
        return image.info.get("compression") in ("jpeg", "webp")
    return image.format in ("JPEG", "MPO")


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as stored, from the file's header; raises `DataError`."""
    with _opened(path) as (image, _):
        return stored_size(image)


@contextlib.contextmanager
def room_for(path: Path, *, mask: bool = True) -> Iterator[None]:
    """Counts the memory of all that a block makes of one file; raises `DataError`.

    Threads that decode wait here until there is room, so that many threads and large images
    together stay within about 1 GiB, or take one image at a time.
    """
    with _opened(path) as (image, _):
        width, height = stored_size(image)
        plain = not mask and not has_alpha(image)
        each = _IMAGE_BYTES.get(image.mode, _MASK_BYTES) if plain else _MASK_BYTES
    with _budget.hold(width * height * each):
        yield


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _kind_if_not_plain(image: Image.Image) -> str | None:
    """What an image is, in words, when it is not 8-bit grey, palette or RGB, be it opaque."""
    if image.mode not in _IMAGE_MODES | _ALPHA_MODES:
        return _FOUND.get(image.mode[:4], image.mode)
    return f"16-bit {image.mode}" if _has_deep_colour(image) else None


def _is_opaque(image: Image.Image) -> bool:
    if image.mode in _ALPHA_MODES:
        return bool(image.getchannel("A").getextrema() == (255, 255))
    if "transparency" not in image.info:
        return True
    return bool(image.convert("RGBA").getchannel("A").getextrema() == (255, 255))


def _transparent(image: Image.Image) -> str:
    return _FOUND.get(image.mode, f"{image.mode} with transparency")


def _has_deep_colour(image: Image.Image) -> bool:
    # Pillow reads 16-bit RGB as 8-bit RGB without a word; only the raw mode tells.
    raw = str(getattr(image, "tile", ""))
    return image.mode in ("RGB", "RGBA", "LA") and re.search(r";16[BLN]", raw) is not None


def _quoted(path: Path) -> str:
    """For a command that can be pasted in any folder."""
    return shlex.quote(os.path.abspath(path))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, IO[bytes]]]:
    """An open image; what goes wrong while it is read or decoded becomes a `DataError`."""
    try:
        with open_regular(path) as stream, _quiet_pillow:
            with Image.open(stream, formats=_FORMATS) as image:
                _refuse_several(path, image)
                yield image, stream
    except (AdbenchError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(path, error)) from None
    except Exception as error:  # decoders meet damaged bytes with a dozen kinds of exception
        raise DataError(
            f"{path}: {_complaint(path, error)}; expected a readable 8-bit image: restore it "
            "from the data set's archive"
        ) from None


def _refuse_several(path: Path, image: Image.Image) -> None:
    # A camera's JPEG with a preview behind it ("MPO") is one picture.
    pictures = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if pictures > 1:
        raise DataError(
            f"{path}: found {pictures} pictures in one file, expected one: keep the one that is "
            f"meant, for instance with: convert {_quoted(path)}'[0]' NEW.png"
        )


def _too_large(path: Path, error: Exception) -> str:
    found = re.search(r"\((\d+) pixels\)", str(error))
    size = f"{int(found[1]):,} pixels" if found else "too many pixels"
    return (
        f"{path}: found {size}, expected at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,}, so that no "
        "decompression bomb fills the memory: scale the image down, or restore it if it is damaged"
    )


def _complaint(path: Path, error: Exception) -> str:
    if not os.path.exists(path):
        return "the link leads nowhere" if os.path.islink(path) else "no such file"
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return "the file is empty (0 bytes)"
    if isinstance(error, OSError) and error.strerror:  # Pillow's own have none
        return error.strerror
    if isinstance(error, UnidentifiedImageError):
        return "the content is not an image"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"the image is damaged or cannot be decoded ({reason})"


class _QuietPillow:
    """Silences Python warnings while any thread decodes: by `warnings.catch_warnings` alone, the
    last one to leave would restore a state that the first one changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore.close()


_quiet_pillow = _QuietPillow()

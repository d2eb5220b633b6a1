"""Image files to uint8 arrays, or one line that says why not.

What is not plainly an 8-bit grey, palette or RGB image is refused, because each way to squeeze
a 16-bit or transparent image into 8 bits gives other scores; so is a file of several pictures.
Only the formats of data sets are read: Pillow knows more, and starts Ghostscript for one of them.

EXIF orientation is not applied: masks carry none and belong to the pixels as stored, so that
turning the image would move every defect off its mask. (Pillow itself turns oriented TIFF
files while it decodes them, images and masks alike.)
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from adbench.errors import DataError

_IMAGE_MODES: Final = frozenset({"1", "L", "P", "RGB"})
_FORMATS: Final = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_DEEP_MODES: Final = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_MASK_MODES: Final = _IMAGE_MODES | _DEEP_MODES | {"LA", "PA", "RGBA"}
_FOUND: Final = {
    "I;16": "16-bit grey",
    "I": "integer grey of more than 8 bits",
    "F": "floating-point grey",
    "LA": "grey with transparency",
    "PA": "palette with transparency",
    "RGBA": "RGB with transparency",
    "CMYK": "CMYK",
}


def decode_image(path: Path) -> NDArray[np.uint8]:
    """The pixels of an 8-bit grey, palette or RGB file, as stored: uint8 (H, W, 3), RGB.

    Raises:
        DataError: missing, truncated, not an image, or of another kind.
    """
    with _opened(path) as image:
        found = _kind_if_not_plain(image)
        if found is not None:
            raise DataError(
                f"{path}: found {found}, expected 8-bit grey, palette or RGB: convert it with: "
                f"magick mogrify -alpha off -colorspace sRGB -depth 8 {shlex.quote(str(path))}"
            )
        return np.asarray(image.convert("RGB"))


def decode_mask(path: Path, threshold: int) -> NDArray[np.bool_]:
    """Where any colour channel is greater than `threshold`: bool (H, W).

    A palette counts by its colours; transparency does not count; values of 16-bit masks are
    compared as they are stored.

    Raises:
        DataError: missing, truncated, not an image, or of a kind that no mask has.
    """
    with _opened(path) as image:
        if image.mode not in _MASK_MODES or _has_deep_colour(image):
            raise DataError(
                f"{path}: found a mask of mode {image.mode}, expected grey, palette or RGB: "
                f"convert it with: magick mogrify -type bilevel {shlex.quote(str(path))}"
            )
        image.info.pop("transparency", None)
        grey = image.mode in _DEEP_MODES or image.mode in ("1", "L")
        values = np.asarray(image if grey else image.convert("RGB"))
    if values.dtype == np.bool_:  # bilevel: Pillow's 255 is numpy's True
        values = values * np.uint8(255)
    if values.ndim == 3:
        values = values.max(axis=2)
    anomalous: NDArray[np.bool_] = values > threshold
    return anomalous


def image_mode(path: Path) -> str:
    """Pillow's name of how pixels are stored, like "RGB" or "L"; raises `DataError`."""
    with _opened(path) as image:
        return image.mode


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels from the file's header; raises `DataError`."""
    with _opened(path) as image:
        return image.size


def _kind_if_not_plain(image: Image.Image) -> str | None:
    """What an image is, in words, when it is not 8-bit grey, palette or RGB."""
    if image.mode not in _IMAGE_MODES:
        return _FOUND.get(image.mode[:4], image.mode)
    if _has_deep_colour(image):
        return "16-bit RGB"
    return f"{image.mode} with transparency" if "transparency" in image.info else None


def _has_deep_colour(image: Image.Image) -> bool:
    # Pillow reads 16-bit RGB as 8-bit RGB without a word; only the raw mode tells.
    raw = str(getattr(image, "tile", ""))
    return image.mode == "RGB" and re.search(r";16[BLN]", raw) is not None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open image; what goes wrong while it is read or decoded becomes a `DataError`."""
    try:
        with _quiet_pillow, Image.open(path, formats=_FORMATS) as image:
            _refuse_several(path, image)
            yield image
    except (DataError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(path, error)) from None
    except Exception as error:  # decoders meet damaged bytes with a dozen kinds of exception
        raise DataError(
            f"{path}: {_complaint(path, error)}; expected a readable 8-bit image: restore it "
            "from the data set's archive, then check the rest with: adbench data verify NAME"
        ) from None


def _refuse_several(path: Path, image: Image.Image) -> None:
    # A camera's JPEG with a preview behind it ("MPO") is one picture.
    pictures = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if pictures > 1:
        raise DataError(
            f"{path}: found {pictures} pictures in one file, expected one: keep the one that is "
            f"meant, for instance with: magick {shlex.quote(f'{path}[0]')} NEW"
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
    if isinstance(error, UnidentifiedImageError):
        return "the content is not an image"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"the image is damaged or cannot be decoded ({reason})"


class _QuietPillow:
    """Silences Python warnings while any thread decodes.

    `warnings.catch_warnings` alone is not safe in threads: the last one to leave would restore
    a state that the first one changed.
    """

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

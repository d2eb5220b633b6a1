"""What every method sees: images and masks decoded, resized, cropped, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, __version__

from adbench.contracts import Geometry, Images, Sample
from adbench.data.cache import DiskCache
from adbench.data.decode import decode_image as decode_image
from adbench.data.decode import decode_mask as decode_mask
from adbench.data.decode import image_header, plain_image, room_for
from adbench.data.digests import content_digests
from adbench.data.doubts import other_size
from adbench.errors import DataError, UsageError
from adbench.machine.threads import in_threads
from adbench.metrics.exact import count_regions

MaskRule = Literal["nearest", "area_max"]

_DECODER: Final = f"2 pillow-{__version__}"
"""Part of every cache key: another decoder or resize may give other pixels."""


@dataclass(frozen=True)
class Masks:
    """Ground truth of N samples at the size that maps are scored on.

    Attributes:
        pixels: bool (N, S, S), read-only memory map; all False where a sample has no mask.
        regions_before: int32 (N,), 8-connected regions of each mask at native size.
        regions_after: int32 (N,), the same after resize and crop.
        empty: indices of anomalous samples that have a mask, all zero at native size.
    """

    pixels: NDArray[np.bool_]
    regions_before: NDArray[np.int32]
    regions_after: NDArray[np.int32]
    empty: tuple[int, ...]


def prepare_image(pixels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Resize and crop: uint8 (H, W, 3) to (S, S, 3), S = `geometry.size`.

    Bilinear with Pillow's antialias, aspect ratio ignored, then the centre crop.
    """
    return _prepared(Image.fromarray(pixels), geometry)


def _prepared(image: Image.Image, geometry: Geometry) -> NDArray[np.uint8]:
    size = (geometry.resize, geometry.resize)
    return _crop(np.asarray(image.resize(size, Image.Resampling.BILINEAR)), geometry)


def resize_mask(mask: NDArray[np.bool_], geometry: Geometry, rule: MaskRule) -> NDArray[np.bool_]:
    """Resize and crop a binary mask: bool (H, W) to (S, S), S = `geometry.size`.

    "nearest" samples where Pillow's NEAREST does; regions of a few pixels may vanish. "area_max"
    is True where a pixel's box touches any anomalous one; nothing vanishes, but small ones grow.
    """
    side = geometry.resize
    if rule == "nearest":
        image = Image.fromarray(mask.astype(np.uint8))
        resized = np.asarray(image.resize((side, side), Image.Resampling.NEAREST)) > 0
    else:
        resized = _any_in_box(_any_in_box(mask, side).T, side).T
    return _crop(resized, geometry)


def _any_in_box(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Reduce axis 0 to `side` rows: row i is the union of the rows that its box touches."""
    height = len(mask)
    edges = np.arange(side)
    first = edges * height // side
    end = -(-(edges + 1) * height // side)  # rounded up: a row touched in part counts
    bounds = np.stack([first, end], axis=1).reshape(-1)
    padded = np.concatenate([mask, np.zeros_like(mask[:1])])  # reduceat wants end < length
    reduced: NDArray[np.bool_] = np.logical_or.reduceat(padded, bounds, axis=0)[::2]
    return reduced


def _crop(square: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    margin = geometry.resize - geometry.size
    if margin < 0:
        raise UsageError(
            f"the crop of {geometry.size} pixels is larger than the image after its resize to "
            f"{geometry.resize}: choose a crop of at most {geometry.resize}"
        )
    start = margin // 2
    return square[start : start + geometry.size, start : start + geometry.size]


# ------------------------------------------------------------------------------ whole sets


def load_images(
    root: Path,
    samples: Sequence[Sample],
    geometry: Geometry,
    cache: DiskCache,
    *,
    workers: int | None = None,
) -> Images:
    """Images of `samples`, in order: decoded once, then memory-mapped from `cache`.

    Its key is made of the files' contents and the geometry, so that a moved or renamed data set
    is not decoded again and a changed file is. `workers` decode; None: one per core, at most 8.

    Raises:
        DataError: a file is missing, damaged or of an unsupported kind.
        StoreError: the cache cannot be written.
    """
    paths = [sample.path for sample in samples]
    digests = content_digests(root, paths, cache.folder)
    key = _key("images", asdict(geometry), digests)

    def fill(pixels: NDArray[Any]) -> None:
        def one(i: int) -> None:
            with plain_image(root / paths[i]) as image:
                pixels[i] = _prepared(image, geometry)

        deque(in_threads(one, range(len(paths)), workers), maxlen=0)

    shape = (len(paths), geometry.size, geometry.size, 3)
    pixels = cache.array(key, shape, "uint8", fill)
    return Images(pixels, tuple(paths), tuple(s.category for s in samples), key)


def load_masks(
    root: Path,
    samples: Sequence[Sample],
    geometry: Geometry,
    *,
    rule: MaskRule,
    threshold: int,
    cache: DiskCache,
    workers: int | None = None,
) -> Masks:
    """Masks of `samples`, in order, binarised at native size and resized by `rule`.

    Raises:
        DataError: a mask or its image is missing or damaged, or their sizes differ.
        StoreError: the cache cannot be written.
    """
    masked = [(i, s.path, s.mask_path) for i, s in enumerate(samples) if s.mask_path is not None]
    # The images count too: that their sizes agree with the masks' is part of what is stored.
    files = [path for _, image, mask in masked for path in (image, mask)]
    digests = content_digests(root, files, cache.folder)
    places = [i for i, _, _ in masked]
    key = _key("masks", asdict(geometry), rule, threshold, len(samples), places, digests)

    def fill(rows: NDArray[Any]) -> None:
        def one(j: int) -> None:
            i, image, mask = masked[j]
            with room_for(root / mask):
                native = _mask_of(root, image, mask, threshold)
                final = resize_mask(native, geometry, rule)
                rows[i] = (final, count_regions(native), count_regions(final))

        deque(in_threads(one, range(len(masked)), workers), maxlen=0)

    # One entry holds the masks and their counts, so that neither exists without the other.
    size = geometry.size
    rows = cache.array(key, (len(samples),), f"({size},{size})?,<i4,<i4", fill)
    before, after = np.array(rows["f1"]), np.array(rows["f2"])
    empty = tuple(i for i, s in enumerate(samples) if s.label and s.mask_path and before[i] == 0)
    return Masks(rows["f0"], before, after, empty)


def _mask_of(root: Path, image: str, mask: str, threshold: int) -> NDArray[np.bool_]:
    native = decode_mask(root / mask, threshold)
    header = image_header(root / image)
    if native.shape != (header.height, header.width):
        said = other_size(mask, image, header, image_header(root / mask))
        raise DataError(f"{root}{os.sep}{said}")
    return native


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps([_DECODER, *parts]).encode()).hexdigest()

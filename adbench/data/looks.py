"""One look at an image's header, or at a mask's pixels: all that `doubts` speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adbench.data.decode import has_alpha, image_header, mask_image, mask_values
from adbench.data.doubts import ImageLook, MaskLook

_CHUNK: Final = 1 << 20  # pixels counted at a time
_TINGE: Final = 32


def look_at_image(path: Path) -> ImageLook:
    """From the header alone; raises `DataError`."""
    header = image_header(path)
    return ImageLook(header.width, header.height, header.orientation)


def look_at_mask(path: Path) -> MaskLook:
    """Decodes the mask; raises `DataError`."""
    header = image_header(path)
    with mask_image(path) as image:
        values = mask_values(image)
        levels = _levels(values)
        clipped: dict[int, int] = {}
        for value, count in levels:
            level = min(max(value, 0), 255)
            clipped[level] = clipped.get(level, 0) + count
        return MaskLook(
            width=header.width,
            height=header.height,
            orientation=header.orientation,
            lossy=header.lossy,
            distinct=len(levels),
            largest=max((value for value, _ in levels), default=0),
            border=min((_greatest(side) for side in _sides(values)), default=0),
            coloured=_is_coloured(image),
            alpha_differs=_alpha_differs(image, values),
            hides_entries=_hides_entries(image),
            levels=tuple(clipped.items()),
        )


def _sides(values: NDArray[Any]) -> list[NDArray[Any]]:
    return [values[0], values[-1], values[:, 0], values[:, -1]] if values.size else []


def _greatest(values: NDArray[Any]) -> int:
    return int(values.max())


def _levels(values: NDArray[Any]) -> list[tuple[int, int]]:
    """Each value with how many pixels have it, in order."""
    if values.dtype != np.uint8:
        found, counts = np.unique(values, return_counts=True)
        return list(zip(found.tolist(), counts.tolist(), strict=True))
    total = np.zeros(256, np.int64)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _CHUNK):  # numpy counts in 8 bytes a pixel
        total += np.bincount(flat[start : start + _CHUNK], minlength=256)
    return [(value, count) for value, count in enumerate(total.tolist()) if count]


def _is_coloured(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA", "RGB", "RGBA"):
        return False
    bands = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    # A lossy format gives grey a tinge, which is no colour.
    return bool((bands.max(axis=2) - bands.min(axis=2) > _TINGE).any())


def _alpha_differs(image: Image.Image, values: NDArray[Any]) -> bool:
    if not has_alpha(image) or image.mode.startswith("I"):
        return False
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if alpha.min() == alpha.max():
        return False
    return bool(((alpha > 0) != (values > 0)).any())


def _hides_entries(image: Image.Image) -> bool:
    if image.mode != "P":
        return False
    palette = image.getpalette("RGB") or []
    used = [entry for entry, count in enumerate(image.histogram()) if count]
    colours = {tuple(palette[3 * entry : 3 * entry + 3]) for entry in used}
    return len(colours) < len(used)

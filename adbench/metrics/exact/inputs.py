"""What the metrics accept: score arrays, masks, limits; else a ValueError that names the image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Images: TypeAlias = Sequence[Array] | Array
"""2-D arrays (H, W), whose sizes may differ, or one array (N, H, W)."""
Chunks: TypeAlias = Callable[[], Iterable[tuple[Images, Images]]]
"""Starts a pass over the data: (maps, masks) of some images at a time."""

_LARGEST_EXACT_INTEGER = 2**53  # beyond it float64 rounds, which would create ties


def paired_images(chunks: Iterable[tuple[Images, Images]]) -> Iterator[tuple[int, Array, Array]]:
    """Yield (index, map, mask) of every image, the index counted over all chunks."""
    index = 0
    for maps, masks in chunks:
        if len(maps) != len(masks):
            raise ValueError(f"found {len(maps)} maps and {len(masks)} masks, expected one each")
        for score_map, mask in zip(map(np.asarray, maps), map(np.asarray, masks), strict=True):
            if score_map.ndim != 2 or score_map.size == 0:
                raise ValueError(
                    f"map of image {index}: found shape {score_map.shape}, "
                    "expected (H, W), not empty"
                )
            if mask.shape != score_map.shape:
                raise ValueError(
                    f"mask of image {index}: found shape {mask.shape}, "
                    f"expected that of its map, {score_map.shape}"
                )
            yield index, score_map, mask
            index += 1


def score_dtype(scores: Array, name: str) -> np.dtype[Any]:
    """The float type, float32 or float64, that holds every score exactly; ValueError for NaN."""
    return score_range(scores, name)[0]


def score_range(scores: Array, name: str) -> tuple[np.dtype[Any], float]:
    """That type, and the largest size of a score."""
    kind, width = scores.dtype.kind, scores.dtype.itemsize
    if kind not in "buif" or width > 8:
        raise ValueError(f"{name}: found type {scores.dtype}, expected float16 to float64 or int")
    # The maximum is NaN if any score is; it needs no array of its own as isnan would. Its
    # "invalid value" warning would only say what the error below says better.
    with np.errstate(invalid="ignore"):
        highest, lowest = scores.max(), scores.min()
    if kind == "f":
        if np.isnan(highest):
            raise ValueError(f"{name}: found NaN, expected numbers (infinities are allowed)")
        size = max(float(highest), -float(lowest))
        return np.dtype(np.float32 if width <= 4 else np.float64), size
    largest = max(int(highest), -int(lowest))
    if largest > _LARGEST_EXACT_INTEGER:
        raise ValueError(f"{name}: found integer of size {largest}, expected at most 2**53")
    return np.dtype(np.float32 if width <= 2 else np.float64), float(largest)


def anomalous_indices(mask: Array, name: str) -> npt.NDArray[np.intp]:
    """Flat, ascending indices of the nonzero entries of a mask (or of labels), any shape.

    Raises ValueError for float values other than 0, 1 and 255, the trace of an interpolated resize.
    """
    if mask.dtype.kind not in "buif":
        raise ValueError(f"{name}: found type {mask.dtype}, expected bool, integer or float")
    flat = mask.reshape(-1)
    indices = np.flatnonzero(flat != 0)  # flatnonzero is many times faster on bool than on uint8
    if mask.dtype.kind == "f":
        nonzero = flat[indices]
        odd = nonzero[(nonzero != 1) & (nonzero != 255)]
        if odd.size:
            raise ValueError(f"{name}: found float value {odd[0]:g}, expected only 0, 1 and 255")
    return indices


def aupro_keys(limits: Iterable[float]) -> dict[str, float]:
    """Result key -> limit, e.g. {"aupro@0.3": 0.3}."""
    keys: dict[str, float] = {}
    for limit in limits:
        if not 0 < limit <= 1:
            raise ValueError(f"AUPRO limit: found {limit}, expected a rate in (0, 1]")
        key = f"aupro@{limit:g}"
        if key in keys:
            raise ValueError(f"AUPRO limits: found {key} twice, expected limits that print apart")
        keys[key] = float(limit)
    return keys

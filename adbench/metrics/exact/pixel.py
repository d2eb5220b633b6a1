"""Metrics over pixels: AUROC, AP, F1max and AUPRO of one group of images, exact, in two passes.

The first pass keeps the anomalous pixels (commonly 1 %), whose scores are the only thresholds that
matter; the second counts all pixels against them. Memory: the anomalous pixels plus one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.curves import aupros, auroc, average_precision, f1max
from adbench.metrics.exact.inputs import (
    Chunks,
    Images,
    anomalous_indices,
    aupro_keys,
    paired_images,
    score_range,
)
from adbench.metrics.exact.ranking import ScoreCounter, ThresholdCounts, chunk_size
from adbench.metrics.exact.regions import RunTable
from adbench.metrics.exact.tagged import counts_by_tags, scale_below_two
from adbench.metrics.exact.undefined import warn_of_undefined

_PIXELS_PER_TAG = 32
"""The largest number of pixels per anomalous one with which these are many."""


def pixel_metrics(
    maps: Images, masks: Images, aupro_limits: Sequence[float] = (0.3, 0.05)
) -> dict[str, float]:
    """AUROC, AP, F1max and its lowest threshold, and AUPRO at each limit, over a group's pixels.

    `maps` and `masks`: (H, W) arrays, of any sizes, or (N, H, W). Maps: float16 to float64, or
    integers up to 2**53, infinities allowed. Masks: nonzero = anomalous, the size of their maps.
    AUPRO is that of MVTec AD (Bergmann et al., IJCV 2021): every 8-connected region of every mask
    weighs the same, normal pixels of all images make one false-positive rate, and the area up to
    the limit, cut by linear interpolation, is divided by the limit.

    Without anomalous pixels every value is NaN, without normal pixels AUROC and AUPRO are, with an
    `UndefinedMetricWarning`. Raises ValueError for NaN (naming the image), maps and masks that do
    not fit together, no image, interpolated float masks, and a limit outside (0, 1].
    """
    return _pixel_metrics(lambda: [(maps, masks)], aupro_limits)


def pixel_metrics_streamed(
    chunks: Chunks, aupro_limits: Sequence[float] = (0.3, 0.05)
) -> dict[str, float]:
    """`pixel_metrics` of maps that need not be in memory together.

    `chunks` is called two or three times; each call starts a pass over the same data in any
    grouping. Raises ValueError as `pixel_metrics`, and if a later pass gives other data than the
    first.
    """
    return _pixel_metrics(chunks, aupro_limits)


def _pixel_metrics(chunks: Chunks, aupro_limits: Sequence[float]) -> dict[str, float]:
    limits = aupro_keys(aupro_limits)
    anomalous = _anomalous_pixels(chunks)
    counts = _counts(chunks, anomalous)
    best_f1, best_threshold = f1max(counts)
    metrics = {
        "pixel_auroc": auroc(counts),
        "pixel_aupr": average_precision(counts),
        "pixel_f1max": best_f1,
        "pixel_f1max_threshold": best_threshold,
    }
    metrics |= aupros(counts, limits, anomalous.scores, anomalous.regions)
    warn_of_undefined(metrics, unit="pixel", num_anomalous=counts.num_anomalous, stacklevel=3)
    return metrics


def _counts(chunks: Chunks, anomalous: _AnomalousPixels) -> ThresholdCounts:
    """The second pass: all scores at the anomalous ones."""
    num_anomalous, num_pixels = anomalous.scores.size, anomalous.num_pixels
    size = chunk_size(num_anomalous, num_pixels)
    # The tags of many cost less than a search for each; of few, more.
    if size == num_pixels <= _PIXELS_PER_TAG * num_anomalous:
        scale = scale_below_two(anomalous.scores.dtype, anomalous.largest)
        if scale is not None:
            counts = counts_by_tags(chunks, anomalous.scores, num_pixels, scale)
            if counts is not None:
                return counts
    thresholds, anomalous_at = np.unique(anomalous.scores, return_counts=True)
    counter = ScoreCounter(thresholds, size)
    for _, score_map, _ in paired_images(chunks()):
        counter.add(score_map)
    return counter.counts(anomalous_at, num_scores=num_pixels)


@dataclass(frozen=True)
class _AnomalousPixels:
    scores: npt.NDArray[np.floating[Any]]
    """(P,) in the type that holds all scores of the group exactly."""
    regions: npt.NDArray[np.int32]
    """(P,) the region of each pixel, numbered over the whole group."""
    num_pixels: int
    """Of the group, normal ones included."""
    largest: float
    """The largest size of a score of the group, anomalous or not."""


def _anomalous_pixels(chunks: Chunks) -> _AnomalousPixels:
    """The first pass: checks every image and keeps its anomalous pixels."""
    scores: list[npt.NDArray[np.floating[Any]]] = []
    runs = RunTable()
    num_pixels, largest = 0, 0.0
    for index, score_map, mask in paired_images(chunks()):
        dtype, size = score_range(score_map, f"map of image {index}")
        pixels = anomalous_indices(mask, f"mask of image {index}")
        # Kept even when empty: a float64 map without anomalous pixels decides the type, too.
        scores.append(score_map.reshape(-1)[pixels].astype(dtype))
        runs.add(pixels, mask.shape)
        num_pixels += mask.size
        largest = max(largest, size)
    if not scores:
        raise ValueError("maps: found no image, expected at least one")
    return _AnomalousPixels(np.concatenate(scores), runs.regions()[1], num_pixels, largest)

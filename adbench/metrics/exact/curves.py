"""AUROC, AP, F1max and AUPRO in closed form, from the counts at every threshold.

Symbols: P, N anomalous and normal scores; at threshold t, p anomalous scores equal t, a normal
scores lie above it and b normal scores at or above it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.ranking import ThresholdCounts


def auroc(counts: ThresholdCounts) -> float:
    """The share of (anomalous, normal) pairs ranked rightly, ties half (Mann-Whitney U); NaN where
    there are none. The numerator is an integer, so the result is the exact value rounded once."""
    num_pairs = counts.num_anomalous * counts.num_normal
    if num_pairs == 0:
        return math.nan
    # Twice the normal scores below plus those equal, (D,): (N - b) + (N - a).
    wins = 2 * counts.num_normal - counts.normal_above - counts.normal_from
    if 2 * num_pairs < 2**63:
        total = int(np.dot(counts.anomalous_at, wins))
    else:  # the sum may not fit int64
        total = sum(p * w for p, w in zip(counts.anomalous_at.tolist(), wins.tolist(), strict=True))
    return total / (2 * num_pairs)


def average_precision(counts: ThresholdCounts) -> float:
    """The sum of precision times the step in recall, as in scikit-learn; NaN without anomalous
    scores. Not the trapezoid under the precision-recall curve, which is too optimistic."""
    if counts.num_anomalous == 0:
        return math.nan
    hits = counts.anomalous_from
    precision = hits / (hits + counts.normal_from)
    return float(np.sum(counts.anomalous_at * precision)) / counts.num_anomalous


def f1max(counts: ThresholdCounts) -> tuple[float, float]:
    """The largest F1 over all thresholds, [0, 1], and the lowest threshold that reaches it.

    Both are NaN without anomalous scores. F1 can only be largest at an anomalous score: any other
    threshold can rise to the next one and lose false positives alone.
    """
    if counts.num_anomalous == 0:
        return math.nan, math.nan
    hits = counts.anomalous_from
    f1 = 2 * hits / (hits + counts.normal_from + counts.num_anomalous)
    best = int(np.argmax(f1))  # the first, hence the lowest threshold
    return float(f1[best]), float(counts.thresholds[best])


def overlap_per_threshold(counts: ThresholdCounts, limit: float) -> npt.NDArray[np.floating[Any]]:
    """(D,) what an anomalous pixel with that score adds to its region's PRO area, [0, 1].

    PRO (Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021) is a mean over pixels of
    steps: a pixel counts as soon as the threshold falls to its score. Its part of the area up to
    false-positive rate `limit`, divided by `limit`, therefore depends on a and b alone. Tied
    pixels enter together, so that the step is a slope from a to b, cut at limit * N.
    """
    above, from_ = counts.normal_above, counts.normal_from
    cut = limit * counts.num_normal  # in normal pixels, not rounded: the curve is interpolated
    area = np.maximum(1 - (above + from_) / (2 * cut), 0.0)
    crosses = (above < cut) & (cut < from_)
    a, b = above[crosses], from_[crosses]
    area[crosses] = (1 - a / cut) ** 2 * cut / (2 * (b - a))
    return area


def aupro(
    counts: ThresholdCounts,
    limit: float,
    threshold_of_pixel: npt.NDArray[np.intp],
    region_of_pixel: npt.NDArray[np.int32],
) -> float:
    """Area under the per-region-overlap curve up to FPR `limit`, divided by `limit`, [0, 1].

    `threshold_of_pixel` (P,) indexes the thresholds and `region_of_pixel` (P,) the regions of the
    group; every region weighs the same. NaN without anomalous or without normal pixels.
    """
    if counts.num_anomalous == 0 or counts.num_normal == 0:
        return math.nan
    area_of_pixel = overlap_per_threshold(counts, limit)[threshold_of_pixel]
    total_of_region = np.bincount(region_of_pixel, weights=area_of_pixel)
    area_of_region = total_of_region / np.bincount(region_of_pixel)
    # fsum rounds once, so the order of the images does not matter.
    return math.fsum(area_of_region) / area_of_region.size

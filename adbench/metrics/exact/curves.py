"""AUROC, AP, F1max and AUPRO in closed form, from the counts at every threshold.

Symbols: P, N anomalous and normal scores; at threshold t, p anomalous scores equal t, a normal
scores lie above it and b normal scores at or above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.ranking import BLOCK, ThresholdCounts, ascending_order


def auroc(counts: ThresholdCounts) -> float:
    """The share of (anomalous, normal) pairs ranked rightly, ties half (Mann-Whitney U); NaN where
    there are none. The numerator is an integer, so the result is the exact value rounded once."""
    num_pairs = counts.num_anomalous * counts.num_normal
    if num_pairs == 0:
        return math.nan
    total = 0
    for part in counts.blocks():
        # Twice the normal scores below plus those equal, (D,): (N - b) + (N - a).
        wins = 2 * counts.num_normal - part.normal_above - part.normal_from
        if 2 * num_pairs < 2**63:
            total += int(np.dot(part.anomalous_at, wins))
        else:  # the sum may not fit int64
            pairs = zip(part.anomalous_at.tolist(), wins.tolist(), strict=True)
            total += sum(p * w for p, w in pairs)
    return total / (2 * num_pairs)


def average_precision(counts: ThresholdCounts) -> float:
    """The sum of precision times the step in recall, as in scikit-learn; NaN without anomalous
    scores. Not the trapezoid under the precision-recall curve, which is too optimistic."""
    if counts.num_anomalous == 0:
        return math.nan
    steps = np.empty(counts.thresholds.size)
    for start, part in enumerate(counts.blocks()):
        hits = part.anomalous_from
        own = steps[start * BLOCK : (start + 1) * BLOCK]
        np.multiply(part.anomalous_at, hits / (hits + part.normal_from), out=own)
    return float(np.sum(steps)) / counts.num_anomalous


def f1max(counts: ThresholdCounts) -> tuple[float, float]:
    """The largest F1 over all thresholds, [0, 1], and the lowest threshold that reaches it.

    Both are NaN without anomalous scores. F1 can only be largest at an anomalous score: any other
    threshold can rise to the next one and lose false positives alone.
    """
    if counts.num_anomalous == 0:
        return math.nan, math.nan
    best, threshold = -1.0, math.nan
    for part in counts.blocks():
        hits = part.anomalous_from
        f1 = 2 * hits / (hits + part.normal_from + counts.num_anomalous)
        index = int(np.argmax(f1))
        if f1[index] > best:  # the first of equals, hence the lowest threshold
            best, threshold = float(f1[index]), float(part.thresholds[index])
    return best, threshold


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


def aupros(
    counts: ThresholdCounts,
    limits: Mapping[str, float],
    scores: npt.NDArray[np.floating[Any]],
    regions: npt.NDArray[np.int32],
) -> dict[str, float]:
    """Area under the per-region-overlap curve up to each FPR limit, divided by it, [0, 1].

    `scores` (P,) and `regions` (P,) are those of the group's anomalous pixels; every region weighs
    the same. NaN without anomalous or without normal pixels.
    """
    if counts.num_anomalous == 0 or counts.num_normal == 0:
        return dict.fromkeys(limits, math.nan)
    sizes = np.bincount(regions)
    # A pixel with as many normal ones above it as the largest limit allows adds nothing.
    allowed = max(limits.values(), default=0.0) * counts.num_normal
    start = int(np.count_nonzero(counts.normal_above >= allowed))
    reached = counts.part(start, counts.thresholds.size)
    if reached.thresholds.size == 0:
        return dict.fromkeys(limits, 0.0)
    pixels = np.flatnonzero(scores >= reached.thresholds[0])
    order, regions = ascending_order(scores[pixels]), regions[pixels]
    found = {}
    area_of_pixel = np.empty(pixels.size)
    for key, limit in limits.items():
        done = 0
        for part in reached.blocks():
            area = np.repeat(overlap_per_threshold(part, limit), part.anomalous_at)
            area_of_pixel[order[done : done + area.size]] = area
            done += area.size
        area_of_region = np.bincount(regions, weights=area_of_pixel, minlength=sizes.size) / sizes
        # fsum rounds once, so the order of the images does not matter.
        found[key] = math.fsum(area_of_region) / sizes.size
    return found

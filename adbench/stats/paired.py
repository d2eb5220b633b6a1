"""Differences of all metrics between two detectors on the same images, each with its variance.

Image AUROC falls to DeLong's test, everything else to the paired bootstrap: the same images are
drawn for both sides, so what both find hard cancels. The bootstrap's standard error is read as that
of a t statistic with as many degrees of freedom as the rarer label has images, less one: unlike the
share of resamples beyond zero, such a p-value can be small enough to survive a correction for
hundreds of comparisons, and it keeps its level where few images decide (docs/power.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adbench.metrics.resampled import Weights, stratified_weights
from adbench.metrics.table import METRICS
from adbench.stats.bootstrap import RESAMPLES, image_resamples
from adbench.stats.delong import FEWEST, auroc_difference, growth, ranked_alike
from adbench.stats.estimate import Estimate, without_dust
from adbench.stats.pixels import PixelHistograms

_PIXEL_GROWTH = 0.05
"""As `delong.growth`, for pixel metrics: many pixels an image, so one falls by degrees."""


def image_differences(
    labels: npt.ArrayLike,
    base: npt.ArrayLike,
    head: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Head less base for every image metric; empty with fewer than 2 images of a label.

    `labels` (n,); `base` and `head` (n,), or (seeds, n), of which the mean over seeds is compared.
    """
    anomalous = np.asarray(labels) != 0
    if not _enough(anomalous):
        return {}
    sides = [np.atleast_2d(np.asarray(s, dtype=np.float64)) for s in (base, head)]
    # Row 0 draws every image once: the observed values.
    weights = _with_observed(anomalous, resamples, seed)
    drawn = [
        _mean_over_seeds([image_resamples(anomalous, row, weights) for row in side])
        for side in sides
    ]
    found = _differences(anomalous, *drawn)
    if not ranked_alike(*sides):
        rarer = _rarer(anomalous)
        for name, own in found.items():
            alone = sum(float(np.nanvar(values[name][1:])) for values in drawn)
            found[name] = replace(own, growth=growth(own.variance, alone, rarer))
    exact = {n: auroc_difference(anomalous, *sides) for n in found if METRICS[n].test == "DeLong"}
    return found | exact


def pixel_differences(
    labels: npt.ArrayLike,
    base: Sequence[PixelHistograms],
    head: Sequence[PixelHistograms],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Head less base for every pixel metric, binned; empty with fewer than 2 images of a label.

    `base` and `head` hold one histogram of the same (n,) images per seed; the mean over seeds is
    compared. Images whose pixels have no labels take no part.
    """
    counted = base[0].counted
    anomalous = np.asarray(labels)[counted] != 0
    base, head = ([histograms.take(counted) for histograms in side] for side in (base, head))
    if not _enough(anomalous):
        return {}
    weights = _with_observed(anomalous, resamples, seed)
    drawn = [
        _mean_over_seeds([histograms.metrics(weights) for histograms in side])
        for side in (base, head)
    ]
    found = _differences(anomalous, *drawn)
    if all(mine.equals(other) for mine, other in zip(base, head, strict=True)):
        return found
    grows = _PIXEL_GROWTH / _rarer(anomalous)
    return {name: replace(own, growth=grows) for name, own in found.items()}


def _enough(anomalous: npt.NDArray[np.bool_]) -> bool:
    return _rarer(anomalous) >= FEWEST


def _rarer(anomalous: npt.NDArray[np.bool_]) -> int:
    return min(int(anomalous.sum()), int((~anomalous).sum()))


def _with_observed(anomalous: npt.NDArray[np.bool_], resamples: int, seed: int) -> Weights:
    drawn = stratified_weights(anomalous, resamples, np.random.default_rng(seed))
    return np.concatenate([np.ones((1, anomalous.size)), drawn])


def _mean_over_seeds(values: Sequence[Mapping[str, Weights]]) -> dict[str, Weights]:
    return {name: np.mean([v[name] for v in values], axis=0) for name in values[0]}


def _differences(
    anomalous: npt.NDArray[np.bool_], base: Mapping[str, Weights], head: Mapping[str, Weights]
) -> dict[str, Estimate]:
    """One estimate a metric that is defined on all images and in nearly every resample."""
    found: dict[str, Estimate] = {}
    for name in base:
        observed, *rest = head[name] - base[name]
        drawn = np.array(rest)
        drawn = drawn[~np.isnan(drawn)]
        if np.isnan(observed) or drawn.size < 0.9 * len(rest):
            continue
        spread = float(drawn.std(ddof=1))
        found[name] = Estimate(
            difference=without_dust(float(observed)),
            variance=without_dust(spread) ** 2,
            degrees=_rarer(anomalous) - 1,
            num_images=anomalous.size,
            test="bootstrap",
        )
    return found

"""Bootstrap over images, stratified by label: how far a metric, or a paired difference, can move.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. Images are the units, for pixel
metrics too: pixels of one image are no independent witnesses. A resample is a row of weights, how
often each image counts, and every metric of all of them is computed at once (`metrics.resampled`).

Differences are paired: the same images are drawn for both sides, so what both find hard cancels.
The bootstrap's standard error is read as that of a t statistic with as many degrees of freedom as
the rarer label has images, less one: unlike the share of resamples beyond zero, such a p-value can
be small enough to survive a correction for hundreds of comparisons, and it keeps its level where
few images decide (docs/power.md). Image AUROC falls to DeLong's test.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from adbench.metrics.resampled import ResampledCounts, Weights, stratified_weights
from adbench.metrics.table import METRICS, Metric, image_names, value_of
from adbench.stats.delong import FEWEST, auroc_difference, growth, ranked_alike
from adbench.stats.estimate import Estimate, without_dust
from adbench.stats.pixels import PixelHistograms

Labels = npt.NDArray[np.bool_]
Draw = Callable[[Weights], dict[str, Weights]]
"""Every metric of every resample, (R,), of weights (R, n)."""

RESAMPLES = 1000
_ELEMENTS_AT_ONCE = 2**23
_PIXEL_GROWTH = 0.05
"""As `delong.growth`, for pixel metrics: many pixels an image, so one falls by degrees."""


def image_resamples(
    anomalous: Labels, scores: npt.ArrayLike, weights: Weights
) -> dict[str, Weights]:
    """Every image metric of every resample: (R,) each, exact for the weights (R, n)."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != anomalous.shape or values.size == 0:
        raise ValueError(f"found scores {values.shape}, expected {anomalous.shape}, not empty")
    if np.isnan(values).any():
        raise ValueError("scores: found NaN, expected numbers (infinities are allowed)")
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    found: dict[str, list[Weights]] = {name: [] for name in image_names()}
    step = max(1, _ELEMENTS_AT_ONCE // values.size)
    for first in range(0, len(weights), step):
        part = weights[first : first + step]
        own = part[:, order]
        counts = ResampledCounts(
            np.add.reduceat(own * anomalous[order], starts, axis=1),
            np.add.reduceat(own * ~anomalous[order], starts, axis=1),
        )
        for name, parts in found.items():
            row = METRICS[name]
            parts.append(
                row.resampled(counts)
                if row.resampled is not None
                else _one_by_one(row, anomalous, values, part)
            )
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _one_by_one(row: Metric, anomalous: Labels, values: Weights, weights: Weights) -> Weights:
    """The metric's function of every resample, an image as often as it was drawn."""
    index = np.arange(values.size)
    drawn = [np.repeat(index, own) for own in weights.astype(np.intp)]
    return np.array([value_of(row, anomalous[i], values[i]) for i in drawn], dtype=np.float64)


def percentiles(drawn: Weights, level: float = 0.95) -> tuple[float, float]:
    """The central `level` of the resamples; undefined ones are left out, (NaN, NaN) if all are.

    A metric that no resample can change, such as the AUROC of perfectly separated scores, has an
    interval of no width: that the sample is small is not seen from inside the sample.
    """
    defined = drawn[~np.isnan(drawn)]
    if defined.size == 0:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def seed_of(*names: str) -> int:
    """A seed that depends on these names alone: two categories draw independently of each other."""
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], "big")


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
    sides = [np.atleast_2d(np.asarray(s, dtype=np.float64)) for s in (base, head)]
    draws = [[partial(image_resamples, anomalous, row) for row in side] for side in sides]
    grows = _no_growth if ranked_alike(*sides) else partial(growth, rarer=_rarer(anomalous))
    found = _differences(anomalous, draws, grows, resamples, seed)
    exact = [name for name in found if METRICS[name].test == "DeLong"]
    return found | {name: auroc_difference(anomalous, *sides) for name in exact}


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
    sides = [[histograms.take(counted) for histograms in side] for side in (base, head)]
    draws = [[histograms.metrics for histograms in side] for side in sides]
    is_alike = all(mine.equals(other) for mine, other in zip(*sides, strict=True))

    def grows(variance: float, alone: float) -> float:
        return 0.0 if is_alike else _PIXEL_GROWTH / _rarer(anomalous)

    return _differences(anomalous, draws, grows, resamples, seed)


def _no_growth(variance: float, alone: float) -> float:
    return 0.0


def _rarer(anomalous: Labels) -> int:
    return min(int(anomalous.sum()), int((~anomalous).sum()))


def _differences(
    anomalous: Labels,
    sides: Sequence[Sequence[Draw]],
    grows: Callable[[float, float], float],
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    """One estimate a metric that is defined on all images and in nearly every resample; `sides`
    holds base's and head's seeds, `grows` is of the variance and the sides' own."""
    if _rarer(anomalous) < FEWEST:
        return {}
    drawn = stratified_weights(anomalous, resamples, np.random.default_rng(seed))
    # Row 0 draws every image once: the observed values.
    weights = np.concatenate([np.ones((1, anomalous.size)), drawn])
    base, head = ([draw(weights) for draw in side] for side in sides)
    found: dict[str, Estimate] = {}
    for name in base[0]:
        before, after = (np.mean([own[name] for own in side], axis=0) for side in (base, head))
        observed, *rest = after - before
        moves = np.array(rest)
        moves = moves[~np.isnan(moves)]
        if np.isnan(observed) or moves.size < 0.9 * len(rest):
            continue
        variance = without_dust(float(moves.std(ddof=1))) ** 2
        alone = sum(float(np.nanvar(own[1:])) for own in (before, after))
        found[name] = Estimate(
            difference=without_dust(float(observed)),
            variance=variance,
            degrees=_rarer(anomalous) - 1,
            num_images=anomalous.size,
            test="bootstrap",
            growth=grows(variance, alone),
        )
    return found

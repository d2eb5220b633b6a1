"""Bootstrap over images, stratified by label: intervals of metrics and of paired differences.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. Images are the units, for pixel
metrics too: pixels of one image are no independent witnesses.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt

from adbench.metrics.resampled import ResampledCounts, Weights, stratified_weights
from adbench.metrics.table import METRICS, Metric, image_names, value_of
from adbench.stats.pixels import PixelHistograms

RESAMPLES = 1000
_ELEMENTS_AT_ONCE = 2**23


def image_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    metric: str,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of an image metric, by its name; (NaN, NaN) where undefined.

    `labels` (n,), nonzero = anomalous; `scores` (n,), or (seeds, n): then of the mean over seeds,
    every seed seeing the same resampled images. A metric that no resample can change, such as the
    AUROC of perfectly separated scores, has an interval of no width: that the sample is small is
    not seen from inside the sample. Raises ValueError as `adbench.metrics.exact.image_metrics`.
    """
    anomalous = np.asarray(labels) != 0
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    rng = np.random.default_rng(seed)
    weights = stratified_weights(anomalous, resamples, rng)
    drawn = np.mean([image_resamples(anomalous, s, weights)[metric] for s in table], axis=0)
    return percentiles(drawn, level)


def pixel_interval(
    labels: npt.ArrayLike,
    histograms: PixelHistograms,
    metric: str,
    value: float,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a pixel metric around its exact `value`; (NaN, NaN) where undefined.

    The spread is that of the binned metric, moved by what the bins cost (`value` less the binned
    value of all images). `labels` (N,) are those of the histograms' images; images whose pixels
    have no labels take no part.
    """
    anomalous = np.asarray(labels)[histograms.counted] != 0
    histograms = histograms.take(histograms.counted)
    weights = stratified_weights(anomalous, resamples, np.random.default_rng(seed))
    drawn = histograms.metrics(weights)[metric]
    binned = histograms.metrics(np.ones((1, len(histograms))))[metric][0]
    low, high = percentiles(drawn + (value - binned), level)
    return max(0.0, low), min(1.0, high)


def image_resamples(
    anomalous: npt.NDArray[np.bool_], scores: npt.ArrayLike, weights: Weights
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
        own = weights[first : first + step, order]
        counts = ResampledCounts(
            np.add.reduceat(own * anomalous[order], starts, axis=1),
            np.add.reduceat(own * ~anomalous[order], starts, axis=1),
        )
        for name, parts in found.items():
            row = METRICS[name]
            parts.append(
                row.resampled(counts)
                if row.resampled is not None
                else _one_by_one(row, anomalous, values, weights[first : first + step])
            )
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _one_by_one(
    row: Metric, anomalous: npt.NDArray[np.bool_], values: Weights, weights: Weights
) -> Weights:
    """The metric's function of every resample, an image as often as it was drawn."""
    index = np.arange(values.size)
    drawn = [np.repeat(index, own) for own in weights.astype(np.intp)]
    return np.array([value_of(row, anomalous[i], values[i]) for i in drawn], dtype=np.float64)


def percentiles(drawn: Weights, level: float = 0.95) -> tuple[float, float]:
    """The central `level` of the resamples; undefined ones are left out, (NaN, NaN) if all are."""
    defined = drawn[~np.isnan(drawn)]
    if defined.size == 0:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def seed_of(*names: str) -> int:
    """A seed that depends on these names alone: two categories draw independently of each other."""
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], "big")

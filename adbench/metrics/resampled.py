"""Ranking metrics of many weighted samples at once: one row a resample, one column a threshold.

Resampling images only changes how often each one counts. So a resample is a row of weights, and
every metric is a sum over ascending thresholds of weighted counts; the definitions are those of
`adbench.metrics.exact`. Symbols: R resamples, D thresholds; tied scores enter together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ResampledCounts:
    """Weighted counts at each threshold, in ascending order.

    Attributes:
        anomalous: (R, D) weight of the anomalous scores at each threshold.
        normal: (R, D) the same of the normal scores.
        overlap: (R, D) of pixels: the weighted sum over regions of the share of each region's
            pixels at a threshold.
        regions: (R,) of pixels: the weighted number of regions.
    """

    anomalous: Weights
    normal: Weights
    overlap: Weights | None = None
    regions: Weights | None = None

    @cached_property
    def _hits(self) -> Weights:
        return _from(self.anomalous)

    @cached_property
    def _false(self) -> Weights:
        return _from(self.normal)

    def auroc(self) -> Weights:
        """(R,) share of (anomalous, normal) pairs ranked rightly, ties half; NaN without either."""
        below = self._false[:, :1] - self._false + self.normal / 2
        pairs = self._hits[:, 0] * self._false[:, 0]
        return _ratio(np.einsum("rd,rd->r", self.anomalous, below), pairs)

    def average_precision(self) -> Weights:
        """(R,) the sum of precision times the step in recall; NaN without anomalous scores."""
        hits, false = self._hits, self._false
        # Above the first drawn score nothing is predicted: no precision, and no step in recall.
        precision = np.divide(hits, hits + false, out=np.zeros_like(hits), where=hits > 0)
        return _ratio(np.einsum("rd,rd->r", self.anomalous, precision), hits[:, 0])

    def f1max(self) -> Weights:
        """(R,) the largest F1 over all thresholds; NaN without anomalous scores."""
        hits, total = self._hits, self._hits[:, :1]
        # Every denominator holds the total, so without anomalous scores it alone may be 0.
        f1 = np.divide(hits, hits + self._false + total, out=np.zeros_like(hits), where=total > 0)
        return np.where(total[:, 0] > 0, 2 * f1.max(axis=1), np.nan)

    def aupro(self, limit: float) -> Weights:
        """(R,) area under the per-region-overlap curve up to FPR `limit`, divided by `limit`.

        Of pixels alone. The closed form is that of
        `adbench.metrics.exact.curves.overlap_per_threshold`; NaN without regions or normal pixels.
        """
        assert self.overlap is not None and self.regions is not None
        from_, above = self._false, self._false - self.normal
        has_normal = from_[:, 0] > 0
        cut = np.where(has_normal, limit * from_[:, 0], 1.0)[:, None]  # in normal pixels
        area = np.maximum(1 - (above + from_) / (2 * cut), 0.0)
        rows, columns = np.nonzero((above < cut) & (cut < from_))  # one a resample
        a, b, c = above[rows, columns], from_[rows, columns], cut[rows, 0]
        area[rows, columns] = (1 - a / c) ** 2 * c / (2 * (b - a))
        values = _ratio(np.einsum("rd,rd->r", self.overlap, area), self.regions)
        return np.where(has_normal, values, np.nan)


def stratified_weights(
    labels: npt.NDArray[np.bool_], resamples: int, rng: np.random.Generator
) -> Weights:
    """(R, n) how often each image is drawn, with replacement, within its own label.

    Drawing within labels keeps the numbers of normal and anomalous images, which the data set's
    makers chose, as they are (stratified bootstrap; Efron and Tibshirani 1993, section 8.3).
    """
    weights = np.empty((resamples, labels.size))
    for label in (False, True):
        members = np.flatnonzero(labels == label)
        if members.size:
            share = np.full(members.size, 1 / members.size)
            weights[:, members] = rng.multinomial(members.size, share, size=resamples)
    return weights


def _from(counts: Weights) -> Weights:
    """(R, D) weight at or above each threshold."""
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _ratio(numerator: Weights, denominator: Weights) -> Weights:
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)

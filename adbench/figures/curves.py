"""ROC, precision-recall and PRO curves from scores: exact points, then few enough to draw.

The points come from the same counts as the metrics (`adbench.metrics.exact`), so the area under a
curve before thinning is the metric to the last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.inputs import Chunks, anomalous_indices, paired_images, score_dtype
from adbench.metrics.exact.ranking import ScoreCounter, ThresholdCounts, chunk_size
from adbench.metrics.exact.regions import RunTable

Floats = npt.NDArray[np.float64]
PRO_LIMIT = 0.3
"""The false-positive rate up to which AUPRO@0.3 integrates; the PRO curve ends there."""
MAX_POINTS = 160
"""Of a drawn curve: at most 2 / 160 of the axes' length apart, below a line's width on paper."""


@dataclass(frozen=True)
class Curve:
    """Points (n,) of one curve, x ascending, rates in [0, 1]."""

    x: Floats
    y: Floats

    def thinned(self, most: int = MAX_POINTS) -> Curve:
        """At most `most` of its points, first and last included, evenly along its length."""
        if self.x.size <= most:
            return self
        width = float(self.x[-1] - self.x[0]) or 1.0
        steps = np.abs(np.diff(self.x)) / width + np.abs(np.diff(self.y))
        length = np.concatenate([[0.0], np.cumsum(steps)])
        wanted = np.linspace(0.0, length[-1], most)
        chosen = np.unique(np.searchsorted(length, wanted).clip(0, self.x.size - 1))
        chosen[0], chosen[-1] = 0, self.x.size - 1
        return Curve(self.x[chosen], self.y[chosen])

    def to_json(self) -> list[list[float]]:
        """[x, y] of its points, to five digits."""
        return [[round(float(v), 5) for v in axis] for axis in (self.x, self.y)]

    @classmethod
    def from_json(cls, value: Sequence[Sequence[float]]) -> Curve:
        """What `to_json` gave."""
        return cls(np.asarray(value[0], np.float64), np.asarray(value[1], np.float64))


def image_curves(scores: Sequence[float], labels: Sequence[int]) -> dict[str, Curve]:
    """ "roc" and "pr" over images; empty where there are no anomalous or no normal ones."""
    values = np.asarray(scores, np.float64)
    anomalous = values[np.asarray(labels, bool)]
    if not 0 < anomalous.size < values.size:
        return {}
    thresholds, at = np.unique(anomalous, return_counts=True)
    counter = ScoreCounter(thresholds, capacity=values.size)
    counter.add(values)
    counts = counter.counts(at, num_scores=values.size)
    return {"roc": roc(counts), "pr": precision_recall(counts)}


def pixel_curves(chunks: Chunks) -> dict[str, Curve]:
    """ "roc", "pr" and "pro" over the pixels of one category; empty where undefined.

    `chunks` starts a pass over (maps, masks), as for `pixel_metrics_streamed`; it is called twice.
    """
    scores, regions, num_pixels = _anomalous_pixels(chunks)
    if not 0 < scores.size < num_pixels:
        return {}
    thresholds, place, at = np.unique(scores, return_inverse=True, return_counts=True)
    counter = ScoreCounter(thresholds, chunk_size(thresholds.size, num_pixels))
    for _, score_map, _ in paired_images(chunks()):
        counter.add(score_map)
    counts = counter.counts(at, num_scores=num_pixels)
    overlap = per_region_overlap(counts, place, regions)
    return {"roc": roc(counts), "pr": precision_recall(counts), "pro": overlap}


def roc(counts: ThresholdCounts) -> Curve:
    """True-positive rate over false-positive rate; tied scores are a slope, as in the AUROC."""
    share = counts.anomalous_at.astype(np.float64) / counts.num_anomalous
    return _over_false_positives(counts, share)


def precision_recall(counts: ThresholdCounts) -> Curve:
    """Precision over recall, to be drawn as steps: a precision holds back to the recall before.

    The area under the steps is the average precision.
    """
    hits = counts.anomalous_from[::-1]
    recall = hits / counts.num_anomalous
    precision = hits / (hits + counts.normal_from[::-1])
    first = precision[:1]
    return Curve(np.concatenate([[0.0], recall]), np.concatenate([first, precision]))


def per_region_overlap(
    counts: ThresholdCounts, place: npt.NDArray[np.intp], regions: npt.NDArray[np.int32]
) -> Curve:
    """Mean overlap of the regions over the false-positive rate, up to `PRO_LIMIT`.

    `place` (P,) indexes the thresholds and `regions` (P,) the regions of the anomalous pixels:
    Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.
    """
    sizes = np.bincount(regions)
    weight_of_pixel = 1.0 / (sizes[regions] * sizes.size)
    num = counts.thresholds.size
    steps = np.asarray(np.bincount(place, weights=weight_of_pixel, minlength=num), np.float64)
    whole = _over_false_positives(counts, steps)
    inside = whole.x < PRO_LIMIT
    end = np.interp(PRO_LIMIT, whole.x, whole.y)
    x, y = np.append(whole.x[inside], PRO_LIMIT), np.append(whole.y[inside], end)
    return Curve(x, y)


def _over_false_positives(counts: ThresholdCounts, steps: Floats) -> Curve:
    """The curve that gains `steps` (D,) at the thresholds, taken from the highest down."""
    after = np.cumsum(steps[::-1])
    before = after - steps[::-1]
    rates = [counts.normal_above[::-1], counts.normal_from[::-1]]
    x = np.stack(rates, axis=1).reshape(-1) / counts.num_normal  # (2D,): above, from, above, ...
    y = np.stack([before, after], axis=1).reshape(-1)
    return Curve(np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]]))


def _anomalous_pixels(
    chunks: Chunks,
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.int32], int]:
    """Scores (P,) and regions (P,) of the anomalous pixels, and the number of all pixels."""
    found: list[npt.NDArray[np.floating[Any]]] = []
    runs = RunTable()
    num_pixels = 0
    for index, score_map, mask in paired_images(chunks()):
        name = f"map of image {index}"
        pixels = anomalous_indices(mask, f"mask of image {index}")
        found.append(score_map.reshape(-1)[pixels].astype(score_dtype(score_map, name)))
        runs.add(pixels, mask.shape)
        num_pixels += mask.size
    return np.concatenate(found), runs.regions()[1], num_pixels

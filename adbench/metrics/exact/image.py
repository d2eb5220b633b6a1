"""Metrics over images: one score and one label per image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.curves import auroc, average_precision, f1max
from adbench.metrics.exact.inputs import anomalous_indices, score_dtype
from adbench.metrics.exact.ranking import ScoreCounter
from adbench.metrics.exact.undefined import warn_of_undefined


def image_metrics(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """AUROC, AP, F1max and the threshold that reaches F1max, over the images of one group.

    `scores` (n,), infinities allowed; `labels` (n,), nonzero = anomalous. Without anomalous images
    every value is NaN, without normal images the AUROC is, with an `UndefinedMetricWarning`. Raises
    ValueError for NaN (naming the image), arrays that do not fit together, and odd float labels.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"image scores: found shape {scores.shape}, expected (n,), not empty")
    if labels.shape != scores.shape:
        raise ValueError(f"image labels: found shape {labels.shape}, expected {scores.shape}")
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        index = int(np.argmax(np.isnan(scores)))
        raise ValueError(f"score of image {index}: found NaN, expected a number")
    scores = scores.astype(score_dtype(scores, "image scores"))
    anomalous = scores[anomalous_indices(labels, "image labels")]

    thresholds, anomalous_at = np.unique(anomalous, return_counts=True)
    counter = ScoreCounter(thresholds, capacity=scores.size)
    counter.add(scores)
    counts = counter.counts(anomalous_at, num_scores=scores.size)
    best_f1, best_threshold = f1max(counts)
    metrics = {
        "image_auroc": auroc(counts),
        "image_aupr": average_precision(counts),
        "image_f1max": best_f1,
        "image_f1max_threshold": best_threshold,
    }
    warn_of_undefined(metrics, unit="image", num_anomalous=anomalous.size, stacklevel=2)
    return metrics

"""DeLong's test: the variance of AUROCs, and of their difference on the same images.

DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver
Operating Characteristic Curves", Biometrics 44, 1988, with the midrank algorithm of Sun and Xu,
"Fast Implementation of DeLong's Algorithm", IEEE Signal Processing Letters 21, 2014: O(n log n).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from adbench.stats.estimate import Estimate, without_dust

FEWEST = 2
"""Images of each label below which a variance is undefined."""
_DUST = 1e-24  # differences of equal placements may leave 1e-17, which is no variance


def placements(
    labels: npt.ArrayLike, scores: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """DeLong's structural components, (..., P) of anomalous and (..., N) of normal images.

    `labels` (n,), nonzero = anomalous; `scores` (..., n), higher = more anomalous, infinities
    allowed. An anomalous image's is the share of normal images below it, a normal image's the share
    of anomalous ones above it, ties counting half; the mean of either is the AUROC.

    Raises ValueError for NaN, and where labels and scores do not fit together or a label is absent.
    """
    anomalous = np.asarray(labels) != 0
    values = np.asarray(scores, dtype=np.float64)
    if anomalous.ndim != 1 or values.shape[-1:] != anomalous.shape:
        raise ValueError(
            f"found labels {anomalous.shape} and scores {values.shape}, expected (n,) and (..., n)"
        )
    if np.isnan(values).any():
        raise ValueError("scores: found NaN, expected numbers (infinities are allowed)")
    positive, negative = values[..., anomalous], values[..., ~anomalous]
    if positive.shape[-1] == 0 or negative.shape[-1] == 0:
        raise ValueError("labels: found one label only, expected normal and anomalous images")
    ranks = _ranks(values)
    above = ranks[..., anomalous] - _ranks(positive)
    below = ranks[..., ~anomalous] - _ranks(negative)
    return above / negative.shape[-1], 1 - below / positive.shape[-1]


def auroc_difference(labels: npt.ArrayLike, base: npt.ArrayLike, head: npt.ArrayLike) -> Estimate:
    """The AUROC of `head` less that of `base`, two detectors on the same images.

    `base` and `head` are (n,), or (seeds, n): then the mean AUROC over seeds is compared, with the
    images, shared by all seeds, as the only source of chance. The variance is that of the mean
    difference of placements, label by label; degrees of freedom by Welch and Satterthwaite.
    Raises ValueError as `placements`, and for fewer than 2 images of a label.
    """
    base_above, base_below = _mean_placements(labels, base)
    head_above, head_below = _mean_placements(labels, head)
    counts = base_above.size, base_below.size
    if min(counts) < FEWEST:
        raise ValueError(
            f"found {counts[0]} anomalous and {counts[1]} normal images, expected at least "
            f"{FEWEST} of each: a variance needs them"
        )
    above, below = head_above - base_above, head_below - base_below
    parts = _variance_of_mean(above), _variance_of_mean(below)
    alone = sum(map(_variance_of_mean, (base_above, base_below, head_above, head_below)))
    squares = parts[0] ** 2 / (above.size - 1) + parts[1] ** 2 / (below.size - 1)
    return Estimate(
        difference=without_dust(float(above.mean())),
        variance=sum(parts),
        degrees=sum(parts) ** 2 / squares if squares > 0 else math.inf,
        num_images=sum(counts),
        test="DeLong",
        growth=0.0 if ranked_alike(base, head) else growth(sum(parts), alone, min(counts)),
    )


def ranked_alike(base: npt.ArrayLike, head: npt.ArrayLike) -> bool:
    """Whether both put all images into one order, (n,) or (seeds, n): then no metric can differ."""
    return np.array_equal(_ranks(base), _ranks(head))


def growth(variance: float, alone: float, rarer: int) -> float:
    """`Estimate.growth` of image metrics: how a true drop adds to the `variance` of a difference.

    `alone` is the sum of both sides' own variances, `rarer` the images of the rarer label. Fitted
    to binormal scores of AUROC 0.90 to 0.98 and correlation 0.3 to 0.98: docs/power.md shows what
    comes of it. Where nothing varies, as of two perfect detectors, half is taken to be shared.
    """
    apart = min(1.0, variance / alone) if alone > 0 else 0.5
    return (0.15 + 0.45 * apart) / rarer


def _mean_placements(
    labels: npt.ArrayLike, scores: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    above, below = placements(labels, np.atleast_2d(np.asarray(scores)))
    return above.mean(axis=0), below.mean(axis=0)


def _variance_of_mean(values: npt.NDArray[np.float64]) -> float:
    variance = float(values.var(ddof=1)) / values.size
    return variance if variance > _DUST else 0.0


def _ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mid-ranks along the last axis."""
    from scipy import stats  # takes a second, and reports without intervals of AUROC need none

    ranks: npt.NDArray[np.float64] = stats.rankdata(values, axis=-1)
    return ranks

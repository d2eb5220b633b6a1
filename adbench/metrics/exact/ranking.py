"""Counts at every threshold: the only thing that the ranking metrics need to know of the scores.

Only anomalous scores are kept as thresholds. Between two of them recall stands still, so neither
AUROC, AP, F1max nor AUPRO needs the normal scores one by one, only how many lie above and at each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.inputs import Array

Counts = npt.NDArray[np.int64]

BLOCK = 2**15
"""How many numbers are handled together, so that what is made of them stays in the cache."""

_STRIDE = 256
"""Scores between those that a search looks at first: a power of 2."""

# A chunk costs its sort plus a binary search per threshold, and a search costs several times what
# sorting a score does. From about 256 scores per threshold on the sort dominates; a larger chunk
# only leaves the processor's cache and takes memory.
_SCORES_PER_THRESHOLD = 256
_FEWEST_SCORES_PER_THRESHOLD = 4
_SMALLEST_CHUNK = 2**20
_LARGEST_CHUNK = 2**24


@dataclass(frozen=True)
class ThresholdCounts:
    """A group's counts, (D,) each, at (`_at`), above, or at and above (`_from`) each of the D
    distinct anomalous scores, ascending."""

    thresholds: npt.NDArray[np.floating[Any]]
    anomalous_at: Counts
    anomalous_from: Counts
    normal_above: Counts
    normal_from: Counts
    num_anomalous: int
    num_normal: int

    def part(self, start: int, stop: int) -> ThresholdCounts:
        """Thresholds `start` to `stop` - 1 of the same group."""
        return replace(
            self,
            thresholds=self.thresholds[start:stop],
            anomalous_at=self.anomalous_at[start:stop],
            anomalous_from=self.anomalous_from[start:stop],
            normal_above=self.normal_above[start:stop],
            normal_from=self.normal_from[start:stop],
        )

    def blocks(self) -> Iterator[ThresholdCounts]:
        """All thresholds, ascending, so few at a time that they stay in the processor's cache."""
        for start in range(0, self.thresholds.size, BLOCK):
            yield self.part(start, start + BLOCK)


class ScoreCounter:
    """Counts, for ascending distinct thresholds, the scores below each and up to each.

    Scores are collected in a buffer of fixed size, sorted there and looked up, so memory does not
    grow with their number. All counts are int64, hence the same for every order and chunking.
    """

    def __init__(self, thresholds: npt.NDArray[np.floating[Any]], capacity: int) -> None:
        self._thresholds = thresholds
        self._capacity = capacity
        self._buffer = np.empty(capacity + _STRIDE, dtype=thresholds.dtype)  # NaN at the end
        self._filled = 0
        self._total = 0
        self._below = np.zeros(thresholds.size, dtype=np.int64)
        self._up_to = np.zeros(thresholds.size, dtype=np.int64)

    def add(self, scores: Array) -> None:
        """Count an array of scores of any shape; it is copied, never changed."""
        rest = scores.reshape(-1)
        while rest.size:
            end = min(self._filled + rest.size, self._capacity)
            space = self._buffer[self._filled : end]
            space[:] = rest[: space.size]
            self._filled += space.size
            self._total += space.size
            rest = rest[space.size :]
            if self._filled == self._capacity:
                self._empty_buffer()

    def _empty_buffer(self) -> None:
        self._buffer[: self._filled].sort()
        self._buffer[self._filled : self._filled + _STRIDE] = np.nan
        below = _places(self._buffer, self._filled, self._thresholds)
        # Only thresholds that occur twice or more are searched again; the others are told by the
        # next two scores (or the NaN after the last).
        up_to = below + (self._buffer[below] == self._thresholds)
        tied = np.flatnonzero(self._buffer[below + 1] == self._thresholds)
        scores = self._buffer[: self._filled]
        up_to[tied] = np.searchsorted(scores, self._thresholds[tied], side="right")
        self._below += below
        self._up_to += up_to
        self._filled = 0

    def counts(self, anomalous_at: Counts, num_scores: int) -> ThresholdCounts:
        """The counts of all scores, of which `anomalous_at` (D,) at the thresholds are anomalous.

        Raises ValueError if the scores cannot be the `num_scores` that the thresholds came from.
        """
        self._empty_buffer()
        if self._total != num_scores or np.any(self._up_to - self._below < anomalous_at):
            raise other_data(self._total, num_scores)
        num_anomalous = int(anomalous_at.sum())
        anomalous_from: Counts = anomalous_at[::-1].cumsum()[::-1]
        above: Counts = num_scores - self._up_to
        from_: Counts = num_scores - self._below
        return ThresholdCounts(
            # Adding zero turns -0.0, which equals 0.0, into 0.0, so that reports show one of them.
            thresholds=self._thresholds + self._thresholds.dtype.type(0),
            anomalous_at=anomalous_at,
            anomalous_from=anomalous_from,
            normal_above=above - (anomalous_from - anomalous_at),
            normal_from=from_ - anomalous_from,
            num_anomalous=num_anomalous,
            num_normal=num_scores - num_anomalous,
        )


def _places(
    scores: npt.NDArray[np.floating[Any]], num_scores: int, thresholds: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """How many of the first `num_scores`, ascending, lie below each of the ascending thresholds.

    After them `scores` holds `_STRIDE` NaN. As `np.searchsorted`, whose every search wanders
    through all of a large array: here the first steps stay in the processor's cache, and each of
    the others is made for all thresholds at once.
    """
    sparse = np.searchsorted(scores[:num_scores:_STRIDE], thresholds)
    place = np.maximum((sparse - 1) * _STRIDE + 1, 0)
    step = _STRIDE // 2
    while step:
        place += step * (scores[place + (step - 1)] < thresholds)  # NaN is not: the end holds
        step //= 2
    return place


def chunk_size(num_thresholds: int, num_scores: int) -> int:
    """How many scores to sort at a time, between 1 and `num_scores`."""
    good = _SCORES_PER_THRESHOLD * num_thresholds
    size = min(max(good, _SMALLEST_CHUNK), _LARGEST_CHUNK)
    return min(max(size, _FEWEST_SCORES_PER_THRESHOLD * num_thresholds), num_scores)


def other_data(num_found: int, num_scores: int) -> ValueError:
    """What is wrong where a later pass differs from the first."""
    return ValueError(
        f"second pass: found {num_found} scores, expected the same {num_scores} as in the first; "
        "each call of chunks() must start anew and give the same data"
    )


def ascending_order(scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.integer[Any]]:
    """The indices (n,) that sort `scores`, in any order among equal ones, as `np.argsort`.

    A float32 and its index are sorted as one integer, which is several times faster.
    """
    if scores.dtype != np.float32 or scores.size >= 2**31:
        return np.argsort(scores)
    bits = scores.view(np.int32)
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)  # ordered as the scores are
    keys <<= 32
    keys |= np.arange(scores.size)
    keys.sort()
    keys &= 0x7FFFFFFF
    return keys

"""Counts of a group with many anomalous pixels: all scores sorted once, each with its class in it.

A float32 below 2 in size leaves the highest bit of its exponent free. Shifted by one, sign and
size are an int32 of the same order whose lowest bit is free: it is 1 for anomalous pixels. After
one sort the places of those bits are the counts, without a search for each threshold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from adbench.metrics.exact.inputs import Array, Chunks, paired_images
from adbench.metrics.exact.ranking import BLOCK, ThresholdCounts, other_data

Keys = npt.NDArray[np.int32]


def scale_below_two(dtype: np.dtype[Any], largest: float) -> float | None:
    """The power of two, at most 1, that makes scores up to `largest` in size smaller than 2; None
    where their type or an infinity leaves no bit free."""
    if dtype != np.float32 or not math.isfinite(largest):
        return None
    return 2.0 ** min(1 - math.frexp(largest)[1], 0)


def counts_by_tags(
    chunks: Chunks, anomalous: Array, num_pixels: int, scale: float
) -> ThresholdCounts | None:
    """The counts at the scores of the `anomalous` pixels (P,), in one pass over all `num_pixels`.

    None if `scale` rounds a score (one that it makes subnormal): the group has no such order then.
    Raises ValueError if the pass gives other anomalous scores or another number of pixels.
    """
    keys = np.empty(num_pixels, dtype=np.int32)
    filled = num_tagged = 0
    for _, score_map, mask in paired_images(chunks()):
        own = keys[filled : filled + score_map.size]
        filled += score_map.size
        if filled > num_pixels:
            break
        if not _write_keys(score_map, scale, own):
            return None
        tags = mask.reshape(-1) != 0
        own += tags
        num_tagged += int(np.count_nonzero(tags))
    if (filled, num_tagged) != (num_pixels, anomalous.size):
        raise other_data(filled, num_pixels)
    keys.sort()
    counts, total = _counts(keys, anomalous.size, scale)
    expected = np.empty(anomalous.size, dtype=np.int32)
    _write_keys(anomalous, scale, expected)
    # In another order, but the same scores give the same sum.
    if total != int(expected.sum(dtype=np.int64)) + anomalous.size:
        raise other_data(filled, num_pixels)
    return counts


def _write_keys(scores: Array, scale: float, out: Keys) -> bool:
    """Write scores times `scale` as even integers of the same order, 0.0 and -0.0 alike; False if
    a product is rounded."""
    values = np.ascontiguousarray(scores, dtype=np.float32).reshape(-1)
    if scale != 1:
        scaled = values * np.float32(scale)
        if not np.array_equal(scaled / np.float32(scale), values):
            return False
        values = scaled
    bits = values.view(np.int32)
    sign = bits >> 31  # 0 or -1
    np.left_shift(bits, 1, out=out)  # the sign leaves at the top, and the free bit is there now
    out ^= sign
    out -= sign  # of a negative one: -n is ~n + 1
    return True


def _counts(keys: Keys, num_anomalous: int, scale: float) -> tuple[ThresholdCounts, int]:
    """From all keys, ascending; and the sum of the anomalous ones among them.

    Block by block, so that what is made on the way stays in the processor's cache.
    """
    num_normal = keys.size - num_anomalous
    anomalous_from, normal_above, normal_from = np.empty((3, num_anomalous), np.int64)
    thresholds = np.empty(num_anomalous, np.float32)
    done = num_found = total = 0
    last = np.zeros(1, np.int32)  # no key with a tag is even
    for start in range(0, keys.size, 4 * BLOCK):
        block = keys[start : start + 4 * BLOCK]
        place = np.flatnonzero((block & 1).astype(bool))
        found = block[place]
        total += int(found.sum(dtype=np.int64))
        first = np.flatnonzero(np.diff(found, prepend=last))  # pixel of each distinct score
        last, num_earlier = found[-1:] if found.size else last, num_found
        num_found += place.size
        place, found, first = place[first] + start, found[first], first + num_earlier
        # Before it stand `first` anomalous pixels and, as a tag sorts last, the normal ones up to
        # it. Below it are fewer where a normal one is equal (the key before place 0 never is).
        own = slice(done, done + first.size)
        done = own.stop
        np.subtract(num_anomalous, first, out=anomalous_from[own])
        np.subtract(first + num_normal, place, out=normal_above[own])
        normal_from[own] = normal_above[own]
        tied = np.flatnonzero(keys[place - 1] == found - 1)
        if tied.size:
            below = np.searchsorted(keys, found[tied] - 1) - first[tied]
            normal_from[own][tied] = num_normal - below
        thresholds[own] = _scores(found, scale)
    counts = ThresholdCounts(
        thresholds=thresholds[:done],
        anomalous_at=-np.diff(anomalous_from[:done], append=0),
        anomalous_from=anomalous_from[:done],
        normal_above=normal_above[:done],
        normal_from=normal_from[:done],
        num_anomalous=num_anomalous,
        num_normal=num_normal,
    )
    return counts, total


def _scores(keys: Keys, scale: float) -> npt.NDArray[np.float32]:
    """The scores of keys with a tag."""
    half = keys >> 1  # rounded down, which takes the tag off
    size = np.abs(half).view(np.float32) / np.float32(scale)
    signed: npt.NDArray[np.float32] = np.copysign(size, half.astype(np.float32))
    return signed

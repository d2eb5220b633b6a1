"""The counts behind the metrics: exact integers at any size."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbench.metrics.exact.curves import auroc, average_precision, f1max, overlap_per_threshold
from adbench.metrics.exact.ranking import (
    ScoreCounter,
    ThresholdCounts,
    ascending_order,
    chunk_size,
)

SCORES = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0, 3.0, 7.0]), max_size=25)


@settings(deadline=None)
@given(SCORES, SCORES, st.integers(1, 9), st.sampled_from([np.float32, np.float64]))
def test_counts_do_not_depend_on_the_capacity(
    anomalous: list[float], normal: list[float], capacity: int, dtype: Any
) -> None:
    thresholds, anomalous_at = np.unique(np.array(anomalous, dtype=dtype), return_counts=True)
    counter = ScoreCounter(thresholds, capacity)
    counter.add(np.array(normal, dtype=dtype))
    counter.add(np.array([anomalous], dtype=dtype))
    counts = counter.counts(anomalous_at, len(anomalous) + len(normal))
    for name in ("anomalous_at", "anomalous_from", "normal_above", "normal_from"):
        assert getattr(counts, name).dtype == np.int64, name
    assert counts.anomalous_from.tolist() == [sum(s >= t for s in anomalous) for t in thresholds]
    assert counts.normal_above.tolist() == [sum(s > t for s in normal) for t in thresholds]
    assert counts.normal_from.tolist() == [sum(s >= t for s in normal) for t in thresholds]
    assert (counts.num_anomalous, counts.num_normal) == (len(anomalous), len(normal))


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=50), st.integers(0, 3000), st.integers(0, 10**6))
def test_many_scores_are_looked_up_as_by_a_search(
    anomalous: list[int], num_normal: int, seed: int
) -> None:
    normal = np.random.default_rng(seed).integers(0, 3000, num_normal).astype(np.float32)
    thresholds, at = np.unique(np.array(anomalous, np.float32), return_counts=True)
    scores = np.concatenate([normal, np.array(anomalous, np.float32)])
    counter = ScoreCounter(thresholds, max(1, scores.size))
    counter.add(scores)
    counts = counter.counts(at, scores.size)
    ordered = np.sort(normal)
    above = num_normal - np.searchsorted(ordered, thresholds, side="right")
    assert counts.normal_above.tolist() == above.tolist()
    assert counts.normal_from.tolist() == (
        (num_normal - np.searchsorted(ordered, thresholds, side="left")).tolist()
    )


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), max_size=40))
def test_order_of_scores_is_that_of_argsort(scores: list[float]) -> None:
    values = np.array(scores, np.float32)
    order = ascending_order(values)
    assert sorted(order.tolist()) == list(range(values.size))
    assert values[order].tolist() == np.sort(values).tolist()


def huge_counts(num_anomalous: int, num_normal: int) -> ThresholdCounts:
    """Two thresholds that split both classes by a third and a seventh."""
    at = np.array([num_anomalous - num_anomalous // 3, num_anomalous // 3])
    return ThresholdCounts(
        thresholds=np.array([0.0, 1.0]),
        anomalous_at=at,
        anomalous_from=np.array([num_anomalous, num_anomalous // 3]),
        normal_above=np.array([num_normal // 2, num_normal // 7]),
        normal_from=np.array([num_normal // 2 + 11, num_normal // 7 + 5]),
        num_anomalous=num_anomalous,
        num_normal=num_normal,
    )


@pytest.mark.parametrize("num_anomalous", [10**4, 3 * 10**9])
def test_metrics_are_exact_beyond_2_to_32_pixels(num_anomalous: int) -> None:
    num_normal = 5 * 10**9 + 7  # with 3e9 anomalous ones, 2 P N exceeds 2**63
    counts = huge_counts(num_anomalous, num_normal)
    rows = [
        [int(x) for x in row]
        for row in zip(
            counts.anomalous_at,
            counts.anomalous_from,
            counts.normal_above,
            counts.normal_from,
            strict=True,
        )
    ]
    wins = sum(Fraction(p * (2 * num_normal - a - b), 2) for p, _, a, b in rows)
    assert auroc(counts) == float(wins / (num_anomalous * num_normal))
    precision = sum(Fraction(p * hits, hits + b) for p, hits, _, b in rows) / num_anomalous
    assert average_precision(counts) == pytest.approx(float(precision), rel=1e-15)
    best = max(Fraction(2 * hits, hits + b + num_anomalous) for _, hits, _, b in rows)
    assert f1max(counts)[0] == float(best)
    areas = [float(1 - Fraction(a + b, 2 * num_normal)) for _, _, a, b in rows]
    assert overlap_per_threshold(counts, 1.0).tolist() == pytest.approx(areas, rel=1e-15)


def test_chunks_grow_with_the_thresholds_and_stay_bounded() -> None:
    assert chunk_size(0, 10**9) == chunk_size(100, 10**9) == 2**20
    assert chunk_size(10_000, 10**9) == 2_560_000
    assert chunk_size(850_000, 10**9) == 2**24
    assert chunk_size(10_000_000, 10**9) == 40_000_000
    assert chunk_size(1, 7) == 7

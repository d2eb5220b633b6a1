"""Intervals over seeds and images cover the true difference as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from simulation import seeds_trial

from adbench.stats.estimate import Estimate, mean_estimate


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.stress)])
@pytest.mark.parametrize(("seeds", "spread"), [(2, 0.3), (5, 0.5), (3, 0.0)])
def test_intervals_cover_seeds_and_images(seeds: int, spread: float, count: int) -> None:
    trials = [seeds_trial(i, seeds, spread) for i in range(count)]
    covered = [low <= truth <= high for (low, high), _, truth in trials]
    assert (0.90 if count == 100 else 0.92) <= np.mean(covered) <= 1.0 - 0.001 * (count > 100)
    if spread:  # images alone do not
        assert np.mean([low <= truth <= high for _, (low, high), truth in trials]) < 0.88


def test_seeds_add_their_variance_with_few_degrees_of_freedom() -> None:
    alone = Estimate(-0.05, 0.0001, 50, 100, "DeLong")
    one = Estimate(-0.05, 0.0001, 50, 100, "DeLong", by_seed=(-0.05,))
    assert one.interval() == alone.interval() and not one.covers_seeds
    several = Estimate(-0.05, 0.0001, 50, 100, "DeLong", by_seed=(-0.15, 0.0, 0.0))
    low, high = several.interval()
    assert high > 0 and low < -0.2
    same = Estimate(-0.05, 0.0, math.inf, 100, "DeLong", by_seed=(-0.05, -0.05))
    assert same.interval() == (-0.05, -0.05) and same.p_value("less") == 2.0**-100


def test_a_mean_averages_seed_by_seed() -> None:
    """One model may serve all categories: what a seed does to it does not average out."""
    category = Estimate(-0.05, 0.0001, 50, 100, "DeLong", by_seed=(-0.15, 0.0, 0.0))
    mean = mean_estimate([category] * 4)
    assert mean.by_seed == pytest.approx((-0.15, 0.0, 0.0)) and mean.variance == 0.0001 / 4
    assert mean.interval()[1] > 0

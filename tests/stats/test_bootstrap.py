"""Resampled image metrics against recomputation; intervals against scipy and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from simulation import binormal

from adbench.metrics.exact import image_metrics
from adbench.metrics.resampled import stratified_weights
from adbench.metrics.table import image_names
from adbench.stats.bootstrap import image_differences, image_resamples, percentiles, seed_of


def interval(labels: np.ndarray, scores: np.ndarray, resamples: int) -> tuple[float, float]:
    weights = stratified_weights(labels, resamples, np.random.default_rng(0))
    return percentiles(image_resamples(labels, scores, weights)["image_auroc"])


@given(st.lists(st.integers(-2, 2), min_size=6, max_size=24), st.integers(0, 99))
def test_every_resample_is_what_the_exact_metrics_say(values: list[int], seed: int) -> None:
    labels = np.arange(len(values)) % 3 > 0
    scores = np.array(values, float)
    weights = stratified_weights(labels, 5, np.random.default_rng(seed))
    found = image_resamples(labels, scores, weights)
    for row, weight in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(labels.size), weight)
        exact = image_metrics(scores[drawn], labels[drawn].astype(int))
        for name in image_names():
            assert found[name][row] == pytest.approx(exact[name], abs=1e-12)


def test_infinite_scores_are_ranked_and_nan_is_refused() -> None:
    labels = np.array([False, False, True, True])
    weights = np.ones((1, 4))
    scores = np.array([-math.inf, math.inf, math.inf, 3.0])
    assert image_resamples(labels, scores, weights)["image_auroc"] == [0.625]
    with pytest.raises(ValueError, match="NaN"):
        image_resamples(labels, np.array([0, 1, math.nan, 2]), weights)


def test_weights_keep_the_number_of_images_of_each_label() -> None:
    labels = np.array([True, False, False, True, True])
    weights = stratified_weights(labels, 500, np.random.default_rng(0))
    assert (weights[:, labels].sum(axis=1) == 3).all()
    assert (weights[:, ~labels].sum(axis=1) == 2).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.12)


def test_interval_agrees_with_scipys_bootstrap_and_covers_the_truth() -> None:
    labels, scores, _ = binormal(np.random.default_rng(5), 40, 60, 0.85, 0.85, 0.5)

    def auroc(positive, negative, axis):
        return (positive[..., :, None] > negative[..., None, :]).mean(axis=(-2, -1))

    theirs = stats.bootstrap(
        (scores[labels], scores[~labels]), auroc, method="percentile", n_resamples=4000,
        rng=np.random.default_rng(1), batch=500,
    ).confidence_interval  # fmt: skip
    ours = interval(labels, scores, 4000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(200):
        labels, scores, _ = binormal(rng, 40, 40, 0.85, 0.85, 0.5)
        low, high = interval(labels, scores, 300)
        hits.append(low <= 0.85 <= high)
    assert 0.90 <= np.mean(hits) <= 0.98


def test_one_label_alone_has_no_interval() -> None:
    low, high = interval(np.zeros(3, bool), np.arange(3.0), 10)
    assert math.isnan(low) and math.isnan(high)
    assert image_differences([0, 0, 1], [1.0, 2, 3], [1.0, 2, 3]) == {}


def test_categories_draw_independently() -> None:
    assert seed_of("mpdd", "tubes") != seed_of("mpdd", "bracket_black")


def test_the_paired_bootstrap_agrees_with_delong() -> None:
    labels, base, head = binormal(np.random.default_rng(7), 60, 60, 0.9, 0.85, 0.8)
    found = image_differences(labels, base, head, resamples=4000)
    drawn = stratified_weights(labels, 4000, np.random.default_rng(0))
    aurocs = [image_resamples(labels, s, drawn)["image_auroc"] for s in (base, head)]
    delong = found["image_auroc"]
    assert delong.test == "DeLong"
    assert delong.variance**0.5 == pytest.approx((aurocs[1] - aurocs[0]).std(), rel=0.06)
    exact = [image_metrics(s, labels.astype(int)) for s in (base, head)]
    for name in image_names():
        assert found[name].difference == pytest.approx(exact[1][name] - exact[0][name], abs=1e-12)
    three = image_differences(labels, np.stack([base] * 3), np.stack([head] * 3), resamples=4000)
    for name in image_names():  # seeds share their resamples
        assert three[name].variance == pytest.approx(found[name].variance)


def test_equal_scores_are_no_difference_for_any_metric() -> None:
    labels, scores, _ = binormal(np.random.default_rng(7), 10, 10, 0.9, 0.9, 0.8)
    for estimate in image_differences(labels, scores, np.exp(scores)).values():
        assert (estimate.difference, estimate.variance, estimate.p_value("less")) == (0, 0, 1)

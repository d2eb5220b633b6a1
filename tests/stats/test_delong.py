"""DeLong against scikit-learn, scipy's bootstrap and its own definition; corner cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from adbench.stats.delong import auroc_difference, placements
from adbench.stats.estimate import Estimate, mean_estimate


def kernel(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """(P, N): 1 where the anomalous score is higher, 1/2 where equal."""
    return np.asarray((positive[:, None] > negative) + 0.5 * (positive[:, None] == negative))


scores_with_ties = st.lists(st.integers(-3, 3), min_size=4, max_size=30)


@given(scores_with_ties, st.randoms())
def test_placements_are_their_definition(values: list[int], random) -> None:
    labels = np.array([0, 0, 1, 1, *(random.randint(0, 1) for _ in values[4:])])
    scores = np.array(values, float)
    above, below = placements(labels, scores)
    pairs = kernel(scores[labels == 1], scores[labels == 0])
    np.testing.assert_allclose(above, pairs.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(below, pairs.mean(axis=0), atol=1e-12)
    assert above.mean() == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_variance_of_the_difference_is_that_of_the_covariance_matrix() -> None:
    """DeLong et al. 1988, equation for L S L': from the two detectors' covariances."""
    rng = np.random.default_rng(3)
    labels = np.arange(70) % 3 > 0
    base = rng.normal(size=70) + labels
    head = 0.7 * base + 0.3 * rng.normal(size=70)
    sides = [placements(labels, s) for s in (base, head)]
    s10 = np.cov([above for above, _ in sides]) / labels.sum()
    s01 = np.cov([below for _, below in sides]) / (~labels).sum()
    contrast = np.array([-1.0, 1.0])
    found = auroc_difference(labels, base, head)
    assert found.variance == pytest.approx(contrast @ (s10 + s01) @ contrast, rel=1e-12)
    expected = roc_auc_score(labels, head) - roc_auc_score(labels, base)
    assert found.difference == pytest.approx(expected, abs=1e-12)
    p = stats.norm.cdf(found.difference / found.variance**0.5)
    assert found.p_value("less") == pytest.approx(p, abs=0.01)
    assert found.p_value("greater") == pytest.approx(1 - found.p_value("less"))


def test_equal_scores_are_no_difference_at_all() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.3, 0.2, 0.25, 0.9, math.inf])
    for head in (scores, 5 * scores - 1, np.exp(np.minimum(scores, 50))):
        found = auroc_difference(labels, scores, head)
        assert (found.difference, found.variance) == (0, 0)
        assert found.p_value() == found.p_value("less") == found.p_value("greater") == 1
        assert found.interval() == (0, 0)


def test_a_difference_without_variance_needs_images_to_be_believed() -> None:
    def perfect_against_reversed(images: int) -> Estimate:
        labels = np.repeat([0, 1], images)
        return auroc_difference(labels, labels, -labels)

    few, many = perfect_against_reversed(2), perfect_against_reversed(20)
    assert few.variance == 0 and few.difference == -1
    assert few.p_value("less") == 1 / 16 and few.p_value("greater") == 1
    assert few.p_value() == 1 / 8
    assert many.p_value("less") < 1e-11


def test_p_values_and_intervals_are_students() -> None:
    for degrees in (1.5, 9, 4000, math.inf):
        found = Estimate(-0.03, 0.0004, degrees, 50, "bootstrap")
        theirs = stats.t(degrees)
        assert found.p_value("less") == pytest.approx(theirs.cdf(-1.5), rel=1e-10)
        assert found.p_value("greater") == pytest.approx(theirs.cdf(1.5), rel=1e-10)
        assert found.p_value() == pytest.approx(2 * theirs.cdf(-1.5), rel=1e-10)
        half = max(-1.0, -0.03 - 0.02 * theirs.ppf(0.95))
        assert found.interval(0.9)[0] == pytest.approx(half, rel=1e-6)


def test_seeds_are_averaged_over_the_same_images() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    base, head = rng.normal(size=(2, 3, 60)) + labels
    found = auroc_difference(labels, base, head)
    each = [auroc_difference(labels, b, h).difference for b, h in zip(base, head, strict=True)]
    assert found.difference == pytest.approx(np.mean(each), abs=1e-12)
    assert auroc_difference(labels, base[[0, 0]], head[[0, 0]]).variance == pytest.approx(
        auroc_difference(labels, base[0], head[0]).variance
    )


def test_a_mean_of_independent_differences_adds_their_variances() -> None:
    parts = [Estimate(-0.1, 0.01, 9, 20, "DeLong"), Estimate(0.02, 0.04, 9, 30, "DeLong")]
    mean = mean_estimate(parts)
    assert mean.difference == pytest.approx(-0.04) and mean.variance == pytest.approx(0.0125)
    assert mean.num_images == 50 and 9 < mean.degrees < 18
    alike = mean_estimate([parts[0]] * 4)
    assert alike.degrees == pytest.approx(36)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1, 1], [1.0, math.nan, 2.0], "NaN"),
        ([1, 1, 1], [1.0, 2.0, 3.0], "one label only"),
        ([0, 1], [1.0, 2.0, 3.0], "expected"),
        ([0, 1, 1], [1.0, 2.0, 3.0], "at least 2"),
    ],
)
def test_what_has_no_variance_is_refused(labels, scores, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auroc_difference(labels, scores, scores)

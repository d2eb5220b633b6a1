"""Ranks, Friedman, Nemenyi, Wilcoxon and Holm against scipy and published tables."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from adbench.stats.ranks import average_ranks, critical_difference, holm, wilcoxon

TABLE = np.array(
    # Demšar (2006), table 6: AUC of C4.5 and three tuned variants on 14 data sets.
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip


def test_ranks_are_those_of_demsars_example() -> None:
    np.testing.assert_allclose(average_ranks(TABLE), [3.143, 2.000, 2.893, 1.964], atol=5e-4)


@pytest.mark.parametrize(
    ("methods", "alpha", "quantile"),
    # Demšar (2006), table 5(a).
    [(2, 0.05, 1.960), (4, 0.05, 2.569), (10, 0.05, 3.164), (2, 0.1, 1.645), (10, 0.1, 2.920)],
)
def test_critical_difference_uses_demsars_quantiles(
    methods: int, alpha: float, quantile: float
) -> None:
    scale = math.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14, alpha) == pytest.approx(quantile * scale, rel=5e-4)


def test_best_is_first_and_ties_share() -> None:
    np.testing.assert_array_equal(average_ranks([[0.9, 0.5, 0.9, 0.1]]), [1.5, 3, 1.5, 4])


@pytest.mark.parametrize("scores", [[[math.nan, 1.0]], [1.0, 2.0], np.ones((0, 3))])
def test_incomplete_tables_have_no_ranks(scores) -> None:
    with pytest.raises(ValueError):
        average_ranks(scores)


def test_impossible_designs_are_refused() -> None:
    for arguments in ((1, 5, 0.05), (3, 0, 0.05), (3, 5, 1.0)):
        with pytest.raises(ValueError, match="expected at least 2"):
            critical_difference(*arguments)


def exact_wilcoxon(differences: np.ndarray) -> float:
    """One-sided ("less") p-value over all 2^n signs."""
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    signs = itertools.product((0, 1), repeat=len(differences))
    sums = np.array([np.dot(ranks, chosen) for chosen in signs])
    return float(np.mean(sums <= observed))


def test_wilcoxon_is_exact_for_few_categories() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 9):
        differences = rng.normal(-0.3, 1, size)
        assert wilcoxon(differences, "less") == pytest.approx(exact_wilcoxon(differences))
    differences = rng.normal(size=40)
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_wilcoxon_with_ties_and_zeros() -> None:
    assert wilcoxon([0.0, 0.0]) == wilcoxon([]) == 1.0
    tied = np.array([-0.2, -0.1, 0.1, -0.3, -0.2, -0.4, -0.5])
    expected = stats.wilcoxon(tied, alternative="less", method="approx").pvalue
    assert wilcoxon([*tied, 0.0], "less") == pytest.approx(expected)
    with pytest.raises(ValueError, match="NaN"):
        wilcoxon([0.1, math.nan])


def test_holm_is_his_example_and_keeps_the_order() -> None:
    # Adjusted by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, then the running maximum.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.6, 0.7]) == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"1\.5"):
        holm([1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    """The procedure as Holm wrote it: stop at the first p above alpha / (m - i)."""
    alpha, rejected = 0.05, set()
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected

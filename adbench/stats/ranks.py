"""Comparing over many categories, and many comparisons at once: ranks, Nemenyi, Wilcoxon, Holm.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from adbench.stats.estimate import Alternative


def average_ranks(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(methods,) mean rank over the cases of `scores` (cases, methods), higher is better.

    Rank 1 is the best; ties share their mean rank. Raises ValueError for an array that is empty,
    not 2-D or holds NaN: a case that some method lacks has no ranks.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or np.isnan(table).any():
        raise ValueError(
            f"scores: found shape {table.shape} or NaN, expected (cases, methods), all defined"
        )
    ranks: npt.NDArray[np.float64] = stats.rankdata(-table, axis=1)
    return np.asarray(ranks.mean(axis=0))


def critical_difference(num_methods: int, num_cases: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of two average ranks (Demšar 2006, section 3.2.2).

    CD = q sqrt(k (k + 1) / (6 n)) with q the studentised range's upper quantile for k methods and
    infinite degrees of freedom, over sqrt(2). Raises ValueError for fewer than 2 methods or 1 case,
    or alpha outside (0, 1).
    """
    if num_methods < 2 or num_cases < 1 or not 0 < alpha < 1:
        raise ValueError(
            f"found {num_methods} methods, {num_cases} cases, alpha {alpha}; expected at least 2 "
            "methods, 1 case and alpha in (0, 1)"
        )
    range_quantile = float(stats.studentized_range.ppf(1 - alpha, num_methods, math.inf))
    scale = num_methods * (num_methods + 1) / (6 * num_cases)
    return range_quantile / math.sqrt(2) * math.sqrt(scale)


def wilcoxon(differences: npt.ArrayLike, alternative: Alternative = "two-sided") -> float:
    """p-value of Wilcoxon's signed rank test over paired differences (cases,).

    Differences of zero are left out, as Wilcoxon did; without any other, p = 1. "less": that they
    lie below zero. Exact for up to 50 differences without ties, else by the normal approximation.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError(f"differences: found shape {values.shape} or NaN, expected (n,) numbers")
    values = values[values != 0]
    if values.size == 0:
        return 1.0
    tied = np.unique(np.abs(values)).size < values.size
    method: Literal["approx", "exact"] = "approx" if tied or values.size > 50 else "exact"
    result: Any = stats.wilcoxon(values, alternative=alternative, method=method)
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given, each in [0, 1].

    Rejecting where an adjusted value is at most alpha keeps the probability of any false rejection
    at most alpha, whatever the dependence (Holm, "A Simple Sequentially Rejective Multiple Test
    Procedure", Scandinavian Journal of Statistics 6, 1979). Raises ValueError for a value outside
    [0, 1].
    """
    bad = [p for p in p_values if not 0 <= p <= 1]
    if bad:
        raise ValueError(f"p-value: found {bad[0]}, expected a number in [0, 1]")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted

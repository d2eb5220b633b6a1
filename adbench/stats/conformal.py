"""Split-conformal p-values: what a score says against normals that nothing was learned from.

Where held-out normals and a new normal are exchangeable, P(p <= alpha) <= alpha for every alpha,
over draws of all of them, whatever the detector (Vovk, Gammerman, Shafer: Algorithmic Learning in
a Random World, 2005, section 2.2; Bates et al., Annals of Statistics 51, 2023, for outliers).
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

from adbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05


def p_values(scores: ArrayLike, held_out: ArrayLike) -> NDArray[np.float64]:
    """Of scores (N,) against those of n held-out normals: (1 + how many of them are at least as
    high) / (n + 1), in [1 / (n + 1), 1]. Infinite scores are as good as others."""
    import numpy as np

    known = np.sort(np.asarray(held_out, np.float64))
    below = np.searchsorted(known, np.asarray(scores, np.float64), side="left")
    found: NDArray[np.float64] = (1 + len(known) - below) / (len(known) + 1)
    return found


def wanted(alpha: float) -> int:
    """The least number of held-out normals with which a p-value can be as low as `alpha`."""
    return ceil(1 / Fraction(str(alpha))) - 1


def least_alpha(held_out: int) -> float:
    """The least rate, in thousandths, that so many held-out normals allow a verdict at."""
    return ceil(Fraction(1000, held_out + 1)) / 1000


def spread(alpha: float, held_out: int, level: float = 0.95) -> tuple[float, float]:
    """Between which false-alarm rates that share of all cells lies with so many held-out normals:
    a cell's own rate is Beta(k, n + 1 - k), k = floor(alpha (n + 1)), where scores have no ties."""
    from scipy.stats import beta

    k = floor(Fraction(str(alpha)) * (held_out + 1))
    low, high = beta.ppf([(1 - level) / 2, (1 + level) / 2], k, held_out + 1 - k)
    return float(low), float(high)


def interval(count: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Of a rate, `count` of `of` seen, at least that sure (Clopper and Pearson, 1934)."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, of - count)) if count < of else 1.0
    return low, high


def check_alpha(alpha: float) -> float:
    """`alpha` itself; raises `UsageError` unless it is a rate of false alarms."""
    if not 0 < alpha < 1:
        raise UsageError(
            f"--alpha {alpha:g}: expected more than 0 and less than 1: the rate of false alarms "
            "that is allowed, like 0.05"
        )
    return alpha

"""A difference with its variance: what every test and interval of paired results is made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

Alternative = Literal["two-sided", "less", "greater"]
DUST = 1e-12
"""Differences of metrics below this are rounding: equal scores may be summed in another order."""


@dataclass(frozen=True)
class Estimate:
    """A difference, head minus base, and how much of it the choice of images alone explains.

    Attributes:
        difference: head - base, [-1, 1].
        variance: of the difference over the choice of images; 0 where nothing varies.
        degrees: of freedom of its t distribution.
        num_images: that the estimate saw.
        test: how the variance was found.
    """

    difference: float
    variance: float
    degrees: float
    num_images: int
    test: Literal["DeLong", "bootstrap"]

    def p_value(self, alternative: Alternative = "two-sided") -> float:
        """Probability of a difference as large without a true one; "less": that head is worse.

        No difference without variance has p = 1. A difference without variance (one side perfect,
        the other constant) is judged by what chance alone could do: exchanging base and head image
        by image, all fall on one side with probability 2 ** -num_images.
        """
        if self.variance == 0:
            return self._without_variance(alternative)
        t = self.difference / math.sqrt(self.variance)
        if alternative == "two-sided":
            return min(1.0, 2 * self._below(-abs(t)))
        return self._below(t if alternative == "less" else -t)

    def _below(self, t: float) -> float:
        """Student's distribution function, as in `stats.t.cdf`, which is a hundred times slower."""
        if math.isinf(self.degrees):
            return float(special.ndtr(t))
        return float(special.stdtr(self.degrees, t))

    def _without_variance(self, alternative: Alternative) -> float:
        if self.difference == 0:
            return 1.0
        if alternative == "two-sided":
            return 2.0 ** (1 - self.num_images)
        as_asked = (self.difference < 0) == (alternative == "less")
        return 2.0**-self.num_images if as_asked else 1.0

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval of the difference, cut at -1 and 1; agrees with the p."""
        if self.variance == 0:
            return self.difference, self.difference
        beyond = (1 + level) / 2
        is_normal = math.isinf(self.degrees)
        t = special.ndtri(beyond) if is_normal else special.stdtrit(self.degrees, beyond)
        half = float(t) * math.sqrt(self.variance)
        return max(-1.0, self.difference - half), min(1.0, self.difference + half)


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of differences on independent sets of images, such as categories.

    Variances add up; degrees of freedom by Welch and Satterthwaite.
    """
    count = len(estimates)
    parts = [e.variance / count**2 for e in estimates]
    variance = math.fsum(parts)
    squares = math.fsum(p**2 / e.degrees for p, e in zip(parts, estimates, strict=True))
    return Estimate(
        difference=without_dust(math.fsum(e.difference for e in estimates) / count),
        variance=variance,
        degrees=variance**2 / squares if squares > 0 else math.inf,
        num_images=sum(e.num_images for e in estimates),
        test=estimates[0].test,
    )


def without_dust(difference: float) -> float:
    """Zero for a difference that only rounding made."""
    return difference if abs(difference) > DUST else 0.0

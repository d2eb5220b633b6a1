"""A difference with its variance: what every test and interval of paired results is made from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from scipy import special

Alternative = Literal["two-sided", "less", "greater"]
DUST = 1e-12
"""Differences of metrics below this are rounding: equal scores may be summed in another order."""


@dataclass(frozen=True)
class Estimate:
    """A difference, head minus base, and how much of it chance explains.

    Chance is the choice of images, and where several seeds were trained also the training: their
    variances add up. The first is that of the mean over seeds on the same images; the second is
    the variance between the seeds' differences over their number. What an image and a seed do
    together is in both, which errs on the side of caution.

    Attributes:
        difference: head - base, [-1, 1].
        variance: of the difference over the choice of images; 0 where nothing varies.
        degrees: of freedom of `variance`.
        num_images: that the estimate saw.
        test: how the variance was found.
        by_seed: the difference of each seed; with fewer than two the training is not covered.
        growth: of `variance` with a true drop: each image that head alone finds hard adds to it.
            0 where both sides rank all images alike, so that nothing is left to vary.
    """

    difference: float
    variance: float
    degrees: float
    num_images: int
    test: Literal["DeLong", "bootstrap"]
    by_seed: tuple[float, ...] = ()
    growth: float = 0.0

    @property
    def covers_seeds(self) -> bool:
        """Whether training-to-training variation is part of the chance."""
        return len(self.by_seed) > 1

    @property
    def is_alike(self) -> bool:
        """Whether both sides rank all images alike: nothing differs, and nothing could vary."""
        return not (self.difference or self._chance[0] or self.growth)

    @cached_property
    def _chance(self) -> tuple[float, float]:
        """Standard error and degrees of freedom, by Welch and Satterthwaite over both sources."""
        if not self.covers_seeds:
            return math.sqrt(self.variance), self.degrees
        count = len(self.by_seed)
        between = without_dust(statistics.stdev(self.by_seed)) ** 2 / count
        total = self.variance + between
        squares = self.variance**2 / self.degrees + between**2 / (count - 1)
        return math.sqrt(total), total**2 / squares if squares > 0 else math.inf

    def p_value(self, alternative: Alternative = "two-sided") -> float:
        """Probability of a difference as large without a true one; "less": that head is worse.

        No difference without variance has p = 1. A difference without variance (one side perfect,
        the other constant) is judged by what chance alone could do: exchanging base and head image
        by image, all fall on one side with probability 2 ** -num_images.
        """
        error, degrees = self._chance
        if error == 0:
            return self._without_variance(alternative)
        t = self.difference / error
        if alternative == "two-sided":
            return min(1.0, 2 * _below(-abs(t), degrees))
        return _below(t if alternative == "less" else -t, degrees)

    def _without_variance(self, alternative: Alternative) -> float:
        if self.difference == 0:
            return 1.0
        if alternative == "two-sided":
            return 2.0 ** (1 - self.num_images)
        as_asked = (self.difference < 0) == (alternative == "less")
        return 2.0**-self.num_images if as_asked else 1.0

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval of the difference, cut at -1 and 1; agrees with the p."""
        error, degrees = self._chance
        if error == 0:
            return self.difference, self.difference
        half = _quantile((1 + level) / 2, degrees) * error
        return max(-1.0, self.difference - half), min(1.0, self.difference + half)

    def smallest_drop(self, level: float, power: float) -> float:
        """The true drop that a one-sided test at `level` finds with probability `power`.

        The drop D that is t(1 - level) + t(power) of its own standard errors, with the variance
        that it brings: D**2 = t**2 (variance + growth D). At most 1.
        """
        error, degrees = self._chance
        square = (_quantile(1 - level, degrees) + _quantile(power, degrees)) ** 2
        half = square * self.growth / 2
        return min(1.0, half + math.sqrt(half**2 + square * error**2))

    def chance_of_drop(self, size: float) -> float:
        """Probability that `difference` falls below -`size` where no true difference is.

        Without variance it is that of all images on one side, as for `p_value`.
        """
        error, degrees = self._chance
        if error == 0:
            return 0.0 if self.is_alike else 2.0**-self.num_images
        return _below(-size / error, degrees)


def _below(t: float, degrees: float) -> float:
    """Student's distribution function, as in `stats.t.cdf`, which is a hundred times slower."""
    if math.isinf(degrees):
        return float(special.ndtr(t))
    return float(special.stdtr(degrees, t))


def _quantile(share: float, degrees: float) -> float:
    if math.isinf(degrees):
        return float(special.ndtri(share))
    return float(special.stdtrit(degrees, share))


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of differences on independent sets of images, such as categories.

    Variances over images add up; degrees of freedom by Welch and Satterthwaite. Seeds are averaged
    one by one, since one model may have served all categories. All must have the same seeds.
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
        by_seed=tuple(
            math.fsum(own) / count for own in zip(*(e.by_seed for e in estimates), strict=True)
        ),
        growth=math.fsum(e.growth for e in estimates) / count**2,
    )


def without_dust(difference: float) -> float:
    """Zero for a difference that only rounding made."""
    return difference if abs(difference) > DUST else 0.0

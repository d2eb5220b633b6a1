"""P-values against a count by hand, and the rate of false alarms that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from fits import build, make_context

from adbench.contracts import Images, Sample
from adbench.data.calibration import drawn_normals, share_for
from adbench.errors import UsageError
from adbench.stats.conformal import check_alpha, interval, least_alpha, p_values, spread, wanted

ALPHA, REPEATS = 0.05, 200


def test_a_p_value_counts_the_held_out_normals_that_score_at_least_as_high():
    rng = np.random.default_rng(0)
    for held_out in (1, 2, 7, 40):
        known = rng.integers(0, 6, held_out).astype(float)  # with ties
        scores = np.array([*range(-1, 8), np.inf, -np.inf], float)
        by_hand = [(1 + sum(k >= s for k in known)) / (held_out + 1) for s in scores]
        assert p_values(scores, known).tolist() == by_hand
    assert p_values([np.inf], [np.inf, 1.0]).tolist() == [2 / 3]


@pytest.mark.parametrize(
    ("alpha", "count"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.5, 1), (0.15, 6), (0.07, 14)]
)
def test_the_number_wanted_is_the_least_that_allows_a_verdict(alpha, count):
    assert wanted(alpha) == count
    assert p_values([1.0], [0.0] * count)[0] <= alpha < p_values([1.0], [0.0] * (count - 1))[0]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(alpha):
    with pytest.raises(UsageError, match="--alpha .*expected more than 0"):
        check_alpha(alpha)


def test_the_share_that_is_advised_holds_out_enough():
    assert [share_for(n) for n in (1000, 190, 100, 40, 24, 20)] == [
        0.1,
        0.1,
        0.19,
        0.47,
        0.78,
        None,
    ]
    assert [least_alpha(n) for n in (19, 12, 1)] == [0.05, 0.077, 0.5]
    assert p_values([1.0], [0.0] * 12)[0] <= 0.077


def test_intervals_of_known_rates():
    # Clopper and Pearson by their closed forms at the ends.
    assert interval(0, 10) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert interval(10, 10) == pytest.approx((0.025**0.1, 1.0))


def by_draw(repeat, held_out, count, rng):
    """Which of `count` normals the product's own draw holds out, and which are left."""
    names = [f"{repeat}/{i:04d}.png" for i in range(count)]
    samples = {"a": [Sample("a", "train", "good", name, None, 0) for name in names]}
    drawn = {s.path for s in drawn_normals(samples, held_out / count)}
    assert len(drawn) == held_out
    chosen = np.array([name in drawn for name in names])
    return chosen, ~chosen


def standard_error(held_out, fresh):
    """Of the mean false-alarm rate over `REPEATS`: that of a cell is Beta, of its images
    binomial."""
    k = np.floor(round(ALPHA * (held_out + 1), 9))
    mean = k / (held_out + 1)
    own = mean * (1 - mean) / (held_out + 2)
    return mean, np.sqrt((own + (mean * (1 - mean) - own) / fresh) / REPEATS)


@pytest.mark.parametrize("held_out", [19, 50, 200])
@pytest.mark.parametrize("digits", [None, 1])
def test_false_alarms_are_at_most_alpha_over_200_calibrations(held_out, digits):
    rng, fresh = np.random.default_rng(held_out), 4000
    rates = []
    for repeat in range(REPEATS):
        scores = rng.lognormal(size=2 * held_out + fresh)
        scores = scores if digits is None else scores.round(digits)  # ties only lower the rate
        known, _ = by_draw(repeat, held_out, 2 * held_out, rng)
        calibration = scores[: 2 * held_out][known]
        rates.append(np.mean(p_values(scores[2 * held_out :], calibration) <= ALPHA))
    expected, error = standard_error(held_out, fresh)
    print(f"n={held_out}: {np.mean(rates):.4f}, expected {expected:.4f} +- {error:.4f}")
    assert np.mean(rates) <= ALPHA + 3 * error
    if digits is None:
        assert abs(np.mean(rates) - expected) <= 3 * error
        # And a cell's own rate lies where the report says that it does.
        low, high = spread(ALPHA, held_out)
        assert np.mean([low <= rate <= high for rate in rates]) >= 0.9


def test_false_alarms_of_a_fitted_method_are_at_most_alpha_only_on_what_it_did_not_see():
    rng, count, held_out, fresh = np.random.default_rng(0), 38, 19, 40
    method, context = build("adbench.testing:PixelGaussian", image_size=8), make_context()
    rates, seen = [], []
    for repeat in range(REPEATS):
        pixels = rng.normal(120, 20, (count + fresh, 8, 8, 3)).clip(0, 255).astype(np.uint8)
        names = tuple(map(str, range(len(pixels))))
        images = Images(pixels, names, ("a",) * len(names))
        known, left = (
            np.flatnonzero(own).tolist() for own in by_draw(repeat, held_out, count, rng)
        )
        scores = method.fit(images.take(left), context).predict(images).scores
        rates.append(np.mean(p_values(scores[count:], scores[known]) <= ALPHA))
        seen.append(np.mean(p_values(scores[count:], scores[left]) <= ALPHA))
    expected, error = standard_error(held_out, fresh)
    print(f"PixelGaussian n=19: {np.mean(rates):.4f}; against training normals {np.mean(seen):.4f}")
    assert abs(np.mean(rates) - expected) <= 3 * error
    assert np.mean(seen) > 2 * ALPHA

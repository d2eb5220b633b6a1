"""Groups with many anomalous pixels are counted by one sort of tagged scores: to the same bits."""

import math
import warnings
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adbench.metrics.exact import UndefinedMetricWarning, pixel_metrics, pixel_metrics_streamed
from adbench.metrics.exact import pixel as module
from adbench.metrics.exact.tagged import counts_by_tags

LIMITS = (0.05, 0.3, 1.0)
# Scores that tie, both zeros, subnormal ones, ones that need scaling and ones that it would round.
SCORES = st.sampled_from(
    [-0.0, 0.0, 1e-45, -1e-45, 1e-38, 0.1, 1.0, -1.0, 1.9999999, 2.0, -3.5, 1e4, 3.4e38, -3.4e38]
) | st.floats(-2, 2, width=32)


def both_ways(maps: Any, masks: Any) -> tuple[list[float], list[float], bool]:
    """The metrics by search, as they are found by default, and whether the tags decided these."""
    by_tags = counts_by_tags
    used = []

    def noted(*arguments: Any) -> Any:
        used.append(by_tags(*arguments) is not None)
        return by_tags(*arguments)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        with mock.patch.object(module, "counts_by_tags", return_value=None):
            searched = pixel_metrics(maps, masks, LIMITS)
        with mock.patch.object(module, "counts_by_tags", noted):
            found = pixel_metrics(maps, masks, LIMITS)
    assert list(searched) == list(found)
    return list(searched.values()), list(found.values()), any(used)


def identical(first: list[float], second: list[float]) -> bool:
    """To the bit, the sign of zero included; NaN equals NaN."""
    return np.array(first).tobytes() == np.array(second).tobytes()


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray]]:
    shapes = draw(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=4))
    maps = [draw(arrays(np.float32, shape, elements=SCORES)) for shape in shapes]
    return maps, [draw(arrays(bool, shape)) for shape in shapes]


@settings(deadline=None, max_examples=200)
@given(groups())
def test_tags_and_searches_give_equal_bits(group: Any) -> None:
    searched, found, _ = both_ways(*group)
    assert identical(searched, found)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 37.0, 1e30])
@pytest.mark.parametrize("levels", [300, 10**6])
def test_a_large_group_of_any_scale_is_counted_by_tags(scale: float, levels: int) -> None:
    rng = np.random.default_rng(levels)
    maps = (rng.integers(-levels, levels, (7, 190, 200)) * (scale / levels)).astype(np.float32)
    masks = rng.random(maps.shape) < 0.2
    searched, found, by_tags = both_ways(maps, masks)
    assert by_tags and identical(searched, found)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, 1e-42])
def test_a_score_that_has_no_tag_is_counted_by_search(odd: float) -> None:
    maps = np.linspace(-1e9, 1e9, 60, dtype=np.float32).reshape(2, 5, 6)
    maps[0, 3, 3] = odd  # 1e-42 would be rounded by the scale that 1e9 needs
    masks = np.zeros(maps.shape, bool)
    masks[:, :2] = True
    searched, found, by_tags = both_ways(maps, masks)
    assert not by_tags and identical(searched, found)


def test_few_anomalous_pixels_and_wide_scores_are_counted_by_search() -> None:
    maps = np.arange(400, dtype=np.float32).reshape(1, 20, 20)
    masks = maps > 390
    assert not both_ways(maps, masks)[2]
    assert both_ways(maps, maps > 300)[2]
    assert not both_ways(maps.astype(np.float64), maps > 300)[2]


@pytest.mark.parametrize("change", ["a score", "a mask", "an image less", "an image more"])
def test_other_data_in_the_second_pass_is_refused(change: str) -> None:
    maps = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    masks = maps % 3 == 0
    other_maps, other_masks = maps.copy(), masks.copy()
    if change == "a score":
        other_maps[0, 0, 3] += 0.25
    if change == "a mask":
        other_masks[0, 0, 1] = True
    if change == "an image less":
        other_maps, other_masks = maps[:2], masks[:2]
    if change == "an image more":
        other_maps, other_masks = np.repeat(maps, 2, axis=0), np.repeat(masks, 2, axis=0)
    passes = iter([(maps, masks), (other_maps, other_masks)])
    with pytest.raises(ValueError, match="second pass: found .* must start anew"):
        pixel_metrics_streamed(lambda: [next(passes)])

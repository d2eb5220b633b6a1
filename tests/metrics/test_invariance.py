"""What may not change a value: monotone maps of the scores, order, grouping, chunks, layout."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adbench.metrics.exact import UndefinedMetricWarning, pixel_metrics, pixel_metrics_streamed

MAX_LEVELS = 12
LEVELS = np.arange(MAX_LEVELS)
LIMITS = (0.1, 0.3, 1.0)
Group = list[tuple[np.ndarray, np.ndarray]]


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """Images of different size as (levels, mask); levels are integers below MAX_LEVELS."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=5))
    return [
        (draw(arrays(np.int8, s, elements=st.integers(0, MAX_LEVELS - 1))), draw(arrays(bool, s)))
        for s in shapes
    ]


def score_tables(width: Literal[32, 64]) -> st.SearchStrategy[list[float]]:
    """MAX_LEVELS ascending, distinct floats of that width, infinities and subnormals allowed."""
    floats = st.floats(width=width, allow_nan=False)
    # 0.0 and -0.0 are one score.
    return st.lists(
        floats, min_size=MAX_LEVELS, max_size=MAX_LEVELS, unique_by=lambda x: x or 0.0
    ).map(sorted)


def evaluate(group: Group, scores: np.ndarray = LEVELS) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return pixel_metrics(
            [scores[levels] for levels, _ in group], [mask for _, mask in group], LIMITS
        )


def assert_identical(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value == second[name] or math.isnan(value) and math.isnan(second[name]), name


@settings(deadline=None)
@given(groups(), score_tables(32), score_tables(64))
def test_any_strictly_monotone_transform_gives_equal_bits(
    group: Group, narrow: list[float], wide: list[float]
) -> None:
    plain = evaluate(group)
    for scores in (np.array(narrow, dtype=np.float32), np.array(wide)):
        transformed = evaluate(group, scores)
        threshold = plain["pixel_f1max_threshold"]
        if not math.isnan(threshold):
            assert transformed["pixel_f1max_threshold"] == scores[int(threshold)]
        assert_identical(transformed | {"pixel_f1max_threshold": threshold}, plain)


@settings(deadline=None)
@given(groups(), st.data())
def test_order_of_the_images_does_not_matter(group: Group, data: st.DataObject) -> None:
    assert_identical(evaluate(data.draw(st.permutations(group))), evaluate(group))


@settings(deadline=None)
@given(groups(), st.integers(1, 40))
def test_size_of_the_sorted_chunks_does_not_matter(group: Group, size: int) -> None:
    whole = evaluate(group)
    with mock.patch("adbench.metrics.exact.pixel.chunk_size", return_value=size):
        assert_identical(evaluate(group), whole)


@settings(deadline=None)
@given(groups(), st.data())
def test_grouping_of_a_stream_does_not_matter(group: Group, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(group))))) + [len(group)]

    def chunks() -> Any:
        for start, end in zip([0, *ends], ends, strict=False):
            part = group[start:end]
            yield [levels for levels, _ in part], [mask for _, mask in part]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        streamed = pixel_metrics_streamed(chunks, LIMITS)
    assert_identical(streamed, evaluate(group))


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "big-endian", "list"])
def test_memory_layout_does_not_matter(layout: str) -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((3, 12, 10)) < 0.2
    maps = rng.standard_normal(masks.shape, dtype=np.float32)
    views: dict[str, Callable[[np.ndarray], Any]] = {
        "fortran": np.asfortranarray,
        "strided": lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
        "reversed": lambda x: x[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
        "list": list,
    }
    view_of = views[layout]
    assert_identical(pixel_metrics(view_of(maps), view_of(masks)), pixel_metrics(maps, masks))


def test_inputs_are_not_changed() -> None:
    rng = np.random.default_rng(2)
    maps = rng.standard_normal((2, 9, 9))
    masks = (rng.random(maps.shape) < 0.3).astype(np.uint8)
    before = maps.copy(), masks.copy()
    maps.flags.writeable = masks.flags.writeable = False  # writing raises
    pixel_metrics(maps, masks)
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(masks, before[1])

"""The cases on which published evaluation codes disagree, each with the value adopted here."""

import math
from typing import Any

import numpy as np
import pytest

from adbench.metrics.exact import (
    UndefinedMetricWarning,
    image_metrics,
    pixel_metrics,
    pixel_metrics_streamed,
)

RAMP = np.arange(12.0).reshape(3, 4)


def mask_of(*pixels: tuple[int, int], shape: tuple[int, int] = (3, 4)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    for pixel in pixels:
        mask[pixel] = True
    return mask


def nan_names(found: dict[str, float]) -> set[str]:
    return {name for name, value in found.items() if math.isnan(value)}


def test_without_anomalous_ones_everything_is_nan() -> None:
    with pytest.warns(UndefinedMetricWarning, match="no anomalous pixel: pixel_auroc, pixel_aupr"):
        found = pixel_metrics([RAMP], [mask_of()])
    assert len(found) == 6 and nan_names(found) == set(found)
    with pytest.warns(UndefinedMetricWarning, match="no anomalous image: image_auroc, image_aupr"):
        found = image_metrics([0.1, 0.2], [0, 0])
    assert len(found) == 4 and nan_names(found) == set(found)


def test_without_normal_ones_ap_and_f1max_are_one() -> None:
    with pytest.warns(UndefinedMetricWarning, match="no normal pixel: pixel_auroc, aupro@0.3, au"):
        found = pixel_metrics([RAMP], [~mask_of()])
    assert nan_names(found) == {"pixel_auroc", "aupro@0.3", "aupro@0.05"}
    assert found["pixel_aupr"] == found["pixel_f1max"] == 1
    assert found["pixel_f1max_threshold"] == 0
    with pytest.warns(UndefinedMetricWarning, match="no normal image: image_auroc undefined"):
        found = image_metrics([0.5, 0.25], [1, 1])
    assert nan_names(found) == {"image_auroc"}
    assert found["image_aupr"] == found["image_f1max"] == 1
    assert found["image_f1max_threshold"] == 0.25


def test_warnings_point_at_the_caller() -> None:
    with pytest.warns(UndefinedMetricWarning) as caught:
        pixel_metrics_streamed(lambda: [([RAMP], [mask_of()])])
        pixel_metrics([RAMP], [mask_of()])
        image_metrics([1.0], [0])
    assert [warning.filename for warning in caught] == [__file__] * 3


def test_perfect_separation_is_exactly_one_and_never_more() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((5, 30, 30)) < 0.1
    found = pixel_metrics(masks + rng.random(masks.shape) / 2, masks, (0.3, 0.05, 1, 0.123))
    del found["pixel_f1max_threshold"]
    assert set(found.values()) == {1.0}


def test_nan_names_its_image_even_among_infinities() -> None:
    broken = RAMP.copy()
    broken[1, 2] = math.nan
    with pytest.raises(ValueError, match="^map of image 2: found NaN, expected numbers"):
        pixel_metrics([RAMP, RAMP, broken], [mask_of((0, 0)), mask_of(), mask_of()])
    with pytest.raises(ValueError, match="^score of image 1: found NaN"):
        image_metrics([0.0, math.nan], [0, 1])
    broken = np.array([[math.inf, -math.inf, -math.nan]], dtype=np.float16)
    with pytest.raises(ValueError, match="found NaN"):
        pixel_metrics([broken], [np.zeros((1, 3))])


def test_equal_infinities_and_both_zeros_tie() -> None:
    labels = [1, 0, 1, 0, 0]
    found = image_metrics([math.inf, math.inf, -math.inf, -math.inf, 0.0], labels)
    finite = image_metrics([9.0, 9.0, -9.0, -9.0, 0.0], labels)
    assert found.pop("image_f1max_threshold") == -math.inf
    assert finite.pop("image_f1max_threshold") == -9 and found == finite
    found = image_metrics(np.array([-0.0, 0.0, 0.0, -0.0], dtype=np.float32), [0, 1, 0, 1])
    assert found["image_auroc"] == 0.5
    assert math.copysign(1, found["image_f1max_threshold"]) == 1


def test_empty_masks_count_and_sizes_may_differ() -> None:
    with_empty = pixel_metrics([RAMP, RAMP], [mask_of((2, 3)), mask_of()], (1,))
    # Of 23 normal pixels, one ties with the anomalous one.
    assert with_empty["pixel_auroc"] == 22.5 / 23
    assert with_empty["aupro@1"] == pytest.approx(22.5 / 23, abs=1e-15)
    large, small = np.zeros((4, 6)), np.zeros((2, 3))
    large[0, 0], small[1, 2] = 2, 1
    found = pixel_metrics([large, small], [large > 0, small > 0])
    assert found["pixel_auroc"] == found["aupro@0.3"] == found["pixel_f1max_threshold"] == 1


@pytest.mark.parametrize(
    "convert",
    [
        lambda mask: mask.astype(np.uint8),
        lambda mask: mask.astype(np.uint8) * 255,
        lambda mask: mask * np.array([[1, 2, 77, 128]], dtype=np.int32),
        lambda mask: mask.astype(np.float64) * 255,
        lambda mask: mask.astype(np.float32),
    ],
    ids=["0/1", "0/255", "grey", "float 0/255", "float 0/1"],
)
def test_any_nonzero_mask_value_is_anomalous(convert: Any) -> None:
    mask = mask_of((1, 1), (1, 2), (2, 3))
    assert pixel_metrics([RAMP], [convert(mask)]) == pixel_metrics([RAMP], [mask])


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, 254.0, math.nan, math.inf])
def test_interpolated_float_mask_is_refused(value: float) -> None:
    mask = mask_of((1, 1)).astype(np.float32)
    mask[2, 2] = value
    with pytest.raises(ValueError, match=f"mask of image 0: found float value {value:g}, expected"):
        pixel_metrics([RAMP], [mask])


def test_float64_scores_are_not_cast_to_float32() -> None:
    fine = 1 + RAMP * 1e-12
    found = pixel_metrics([fine], [mask_of((2, 3))])
    assert found["pixel_auroc"] == 1 and found["pixel_f1max_threshold"] == fine[2, 3]
    normal = np.full((3, 4), 1 + 1e-12)  # float32 would round it to 1
    found = pixel_metrics([np.ones((3, 4), dtype=np.float32), normal], [~mask_of(), mask_of()])
    assert found["pixel_auroc"] == 0


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8, np.int32, np.int64, bool])
def test_narrow_floats_and_integers_are_exact(dtype: Any) -> None:
    scores = (RAMP % 2 if dtype is bool else RAMP).astype(dtype)
    mask = mask_of((2, 3), (0, 1))
    assert pixel_metrics([scores], [mask]) == pixel_metrics([scores.astype(np.float64)], [mask])


def test_large_integers_stay_apart_or_are_refused() -> None:
    assert image_metrics(np.array([2**24, 2**24 + 1], dtype=np.int32), [0, 1])["image_auroc"] == 1
    assert image_metrics(np.array([2**53 - 1, 2**53]), [0, 1])["image_auroc"] == 1
    for value in (2**53 + 1, -(2**53) - 1, -(2**63)):
        with pytest.raises(ValueError, match=r"image scores: found integer .*at most 2\*\*53"):
            image_metrics(np.array([0, value]), [0, 1])


def test_more_than_2_to_24_pixels_are_counted_exactly() -> None:
    scores = np.zeros((4100, 4100), dtype=np.float32)
    scores[0, :3] = [2, 1, 3]
    mask = np.zeros(scores.shape, dtype=np.uint8)
    mask[0, 1] = 1
    num_normal = scores.size - 1
    found = pixel_metrics([scores], [mask], (1,))
    assert found["pixel_auroc"] == (num_normal - 2) / num_normal
    assert found["pixel_aupr"] == 1 / 3


@pytest.mark.parametrize("limit", [0, -0.1, 1.0001, 30, math.nan, math.inf])
def test_limit_outside_zero_to_one_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=rf"AUPRO limit: found {limit}, expected .* \(0, 1\]"):
        pixel_metrics([RAMP], [mask_of((0, 0))], (0.3, limit))

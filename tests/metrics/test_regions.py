import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from adbench.metrics.exact import count_regions, label_regions


def assert_labels_equal_scipy(mask: np.ndarray) -> None:
    expected, num_expected = ndimage.label(mask, structure=np.ones((3, 3)))
    labels, num_regions = label_regions(mask)
    assert num_regions == count_regions(mask) == num_expected
    np.testing.assert_array_equal(labels, expected)


@settings(deadline=None, max_examples=200)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_small_masks_are_labelled_as_by_scipy(mask: np.ndarray) -> None:
    assert_labels_equal_scipy(mask)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_random_masks_are_labelled_as_by_scipy(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    assert_labels_equal_scipy(rng.random((37, 53)) < density)


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_thin_masks_are_labelled_as_by_scipy(shape: tuple[int, int]) -> None:
    assert_labels_equal_scipy(np.random.default_rng(0).random(shape) < 0.5)
    assert_labels_equal_scipy(np.ones(shape, dtype=bool))


def test_snake_is_one_region() -> None:
    # Every other row full, joined at alternating ends: one long component.
    mask = np.zeros((41, 30), dtype=np.uint8)
    mask[::2] = 255
    mask[1::4, -1] = mask[3::4, 0] = 255
    assert count_regions(mask) == 1


def test_row_end_and_next_row_start_do_not_touch() -> None:
    mask = np.zeros((2, 5), dtype=bool)
    mask[0, 4] = mask[1, 0] = True
    assert count_regions(mask) == 2


def test_empty_mask_has_no_region() -> None:
    labels, num_regions = label_regions(np.zeros((3, 4)))
    assert num_regions == count_regions(np.zeros((3, 4))) == 0
    assert labels.shape == (3, 4) and not labels.any()


def test_grey_values_do_not_split_a_region() -> None:
    assert count_regions(np.array([[1, 2, 200, 0, 7]], dtype=np.uint8)) == 2


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3)])
def test_mask_that_is_not_2d_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mask: found shape .*, expected \(H, W\)"):
        count_regions(np.ones(shape, dtype=bool))


def test_interpolated_float_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="mask: found float value 0.5"):
        label_regions(np.array([[0.0, 0.5]]))

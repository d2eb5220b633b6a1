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


@settings(deadline=None, max_examples=150)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_small_masks_are_labelled_as_by_scipy(mask: np.ndarray) -> None:
    assert_labels_equal_scipy(mask)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_random_masks_are_labelled_as_by_scipy(seed: int, density: float) -> None:
    assert_labels_equal_scipy(np.random.default_rng(seed).random((37, 53)) < density)


def snake() -> np.ndarray:
    """Every other row full, joined at alternating ends: one long component."""
    mask = np.zeros((41, 30), dtype=np.uint8)
    mask[::2] = 255
    mask[1::4, -1] = mask[3::4, 0] = 255
    return mask


@pytest.mark.parametrize(
    ("mask", "count"),
    [
        (snake(), 1),
        (np.array([[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]), 2),  # end of a row and start of the next
        (np.array([[1, 2, 200, 0, 7]], dtype=np.uint8), 2),  # grey values do not split
        (np.zeros((3, 4)), 0),
        (np.ones((1, 40), bool), 1),
    ],
)
def test_regions_are_counted(mask: np.ndarray, count: int) -> None:
    assert count_regions(mask) == count == label_regions(mask)[1]


def test_what_is_no_mask_is_refused() -> None:
    for shape in ((4,), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"mask: found shape .*, expected \(H, W\)"):
            count_regions(np.ones(shape, dtype=bool))
    with pytest.raises(ValueError, match="mask: found float value 0.5"):
        label_regions(np.array([[0.0, 0.5]]))

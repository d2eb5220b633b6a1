"""What is accepted and how everything else is refused."""

from typing import Any

import numpy as np
import pytest

from adbench.metrics.exact import image_metrics, pixel_metrics, pixel_metrics_streamed

MAP = np.arange(6.0).reshape(2, 3)
MASK = MAP > 4


def test_metrics_have_exactly_the_promised_keys() -> None:
    names = ["pixel_auroc", "pixel_aupr", "pixel_f1max", "pixel_f1max_threshold"]
    assert list(pixel_metrics([MAP], [MASK])) == [*names, "aupro@0.3", "aupro@0.05"]
    assert list(pixel_metrics([MAP], [MASK], (1.0,))) == [*names, "aupro@1"]
    assert list(pixel_metrics([MAP], [MASK], ())) == names
    found = image_metrics([0, 1], [False, True])
    assert list(found) == ["image_auroc", "image_aupr", "image_f1max", "image_f1max_threshold"]
    assert {type(value) for value in found.values()} == {float}


def test_limits_that_print_alike_are_refused() -> None:
    with pytest.raises(ValueError, match="found aupro@0.3 twice"):
        pixel_metrics([MAP], [MASK], (0.3, 0.30000001))


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ([], [], "maps: found no image, expected at least one"),
        (np.empty((0, 4, 4)), np.empty((0, 4, 4)), "maps: found no image"),
        ([MAP], [MASK, MASK], "found 1 maps and 2 masks, expected one each"),
        ([MAP[0]], [MASK[0]], r"map of image 0: found shape \(3,\), expected \(H, W\)"),
        (MAP, MASK, r"map of image 0: found shape \(3,\)"),
        ([MAP, MAP[None]], [MASK, MASK[None]], r"map of image 1: found shape \(1, 2, 3\)"),
        ([np.empty((0, 3))], [np.empty((0, 3))], r"found shape \(0, 3\).*not empty"),
        ([MAP], [MASK[:, :2]], r"mask of image 0: found shape \(2, 2\).*its map, \(2, 3\)"),
        ([MAP + 1j], [MASK], "map of image 0: found type complex128, expected float16"),
        ([MAP.astype(object)], [MASK], "map of image 0: found type object"),
        ([MAP.astype(str)], [MASK], "map of image 0: found type <U"),
        ([MAP], [MASK.astype(str)], "mask of image 0: found type <U5, expected bool"),
        ([MAP.astype(np.longdouble)], [MASK], "map of image 0: found type float128"),
    ],
)
def test_bad_maps_and_masks_are_refused_in_one_line(maps: Any, masks: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        pixel_metrics(maps, masks)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([], [], r"image scores: found shape \(0,\), expected \(n,\), not empty"),
        ([1.0, 2.0], [1], r"image labels: found shape \(1,\), expected \(2,\)"),
        ([[1.0, 2.0]], [[0, 1]], r"image scores: found shape \(1, 2\), expected \(n,\)"),
        (["a", "b"], [0, 1], "image scores: found type <U1"),
        ([1.0, 2.0], [0.0, 0.5], "image labels: found float value 0.5"),
        ([1.0, 2.0], ["good", "bad"], "image labels: found type <U4"),
    ],
)
def test_bad_scores_and_labels_are_refused(scores: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_metrics(scores, labels)


def test_image_index_counts_over_all_chunks() -> None:
    bad = np.where(MASK, np.nan, MAP)
    with pytest.raises(ValueError, match="map of image 3: found NaN"):
        pixel_metrics_streamed(lambda: [([MAP] * 2, [MASK] * 2), ([MAP, bad], [MASK] * 2)])


def test_stream_that_cannot_be_read_twice_is_refused() -> None:
    stream = iter([([MAP], [MASK])])
    with pytest.raises(ValueError, match="second pass: found 0 scores, expected the same 6"):
        pixel_metrics_streamed(lambda: stream)


def test_stream_that_changes_between_passes_is_refused() -> None:
    passes = iter([[([MAP], [MASK])], [([MAP + 10], [MASK])]])
    with pytest.raises(ValueError, match="second pass: .* give the same data"):
        pixel_metrics_streamed(lambda: next(passes))


def test_stream_may_hold_empty_chunks() -> None:
    chunks = [([], []), ([MAP], [MASK]), ([], [])]
    assert pixel_metrics_streamed(lambda: chunks) == pixel_metrics([MAP], [MASK])

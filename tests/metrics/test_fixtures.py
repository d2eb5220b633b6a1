"""The golden cases of tests/data/metrics: expected values in exact rational arithmetic."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from adbench.metrics.exact import UndefinedMetricWarning, image_metrics, pixel_metrics

FOLDER = Path(__file__).parents[1] / "data" / "metrics"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz") if path.stem != "nan_scores")
KEYS = {  # the fixtures' names for our keys
    "pixel_auroc": "pixel_auroc",
    "pixel_ap": "pixel_aupr",
    "pixel_f1max": "pixel_f1max",
    "aupro30": "aupro@0.3",
    "aupro5": "aupro@0.05",
    "aupro100": "aupro@1",
    "image_auroc": "image_auroc",
    "image_ap": "image_aupr",
    "image_f1max": "image_f1max",
}


def test_all_thirteen_cases_are_here() -> None:
    assert len(CASES) == 13


@pytest.mark.parametrize("case", CASES)
def test_golden_case(case: str) -> None:
    with np.load(FOLDER / f"{case}.npz") as data:
        scores, masks = data["scores"], data["masks"]
        expected = dict(zip(data["expected_keys"].tolist(), data["expected"].tolist(), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        found = pixel_metrics(scores, masks, aupro_limits=(0.3, 0.05, 1.0))
        found |= image_metrics(scores.max(axis=(1, 2)), masks.any(axis=(1, 2)))
    assert expected.keys() == KEYS.keys()
    for name, value in expected.items():
        if math.isnan(value):
            assert math.isnan(found[KEYS[name]]), name
        else:
            assert found[KEYS[name]] == pytest.approx(value, rel=0, abs=1e-12), name


def test_nan_scores_are_refused() -> None:
    with np.load(FOLDER / "nan_scores.npz") as data:
        scores, masks = data["scores"], data["masks"]
    (image,) = np.unique(np.argwhere(np.isnan(scores))[:, 0])
    with pytest.raises(ValueError, match=f"map of image {image}: found NaN"):
        pixel_metrics(scores, masks)
    with pytest.raises(ValueError, match=f"score of image {image}: found NaN"):
        image_metrics(scores.max(axis=(1, 2)), masks.any(axis=(1, 2)))

"""Against scikit-learn, which defines the ranking metrics in the same way."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from adbench.metrics.exact import image_metrics, pixel_metrics


def sklearn_values(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    precision, recall, _ = precision_recall_curve(labels, scores)
    with np.errstate(invalid="ignore"):  # precision and recall may both be 0
        f1 = 2 * precision * recall / (precision + recall)
    return {
        "auroc": roc_auc_score(labels, scores),
        "aupr": average_precision_score(labels, scores),
        "f1max": np.nanmax(f1),
    }


@pytest.mark.parametrize("levels", [2, 7, 1000, None])
@pytest.mark.parametrize("seed", range(3))
def test_image_and_pixel_metrics_equal_those_of_sklearn(seed: int, levels: int | None) -> None:
    rng = np.random.default_rng(seed)
    masks = np.asarray(rng.random((6, 60, 50)) < 0.05)
    maps = rng.standard_normal(masks.shape) + masks * rng.uniform(0, 3)
    if levels is not None:
        maps = np.floor(levels / (1 + np.exp(-maps)))
    maps = maps.astype(np.float32)
    found = pixel_metrics(maps, masks)
    for name, value in sklearn_values(maps.ravel(), masks.ravel()).items():
        assert found[f"pixel_{name}"] == pytest.approx(value, rel=0, abs=1e-12), name

    rows = maps.reshape(-1, 50).max(axis=1)
    labels = np.asarray(masks.reshape(-1, 50).any(axis=1))
    found = image_metrics(rows, labels)
    for name, value in sklearn_values(rows, labels).items():
        assert found[f"image_{name}"] == pytest.approx(value, rel=0, abs=1e-12), name


def test_f1max_threshold_reaches_f1max() -> None:
    rng = np.random.default_rng(5)
    labels = rng.random(500) < 0.2
    scores = np.round(rng.standard_normal(500) + labels, 1)
    found = image_metrics(scores, labels)
    predicted = scores >= found["image_f1max_threshold"]
    f1 = 2 * np.sum(predicted & labels) / (np.sum(predicted) + np.sum(labels))
    assert f1 == found["image_f1max"]
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    best = np.argmax((2 * precision * recall / (precision + recall))[:-1])
    assert found["image_f1max_threshold"] == thresholds[best]

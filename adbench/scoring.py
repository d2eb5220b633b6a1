"""From maps and masks to a cell's numbers: metrics per category and per-image scores."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from adbench.contracts import Sample
from adbench.storage.records import encode_scores, jsonable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adbench.images import Masks
    from adbench.storage.predictions import PredictionChunks


def score_categories(
    samples: Sequence[Sample],
    chunks: PredictionChunks,
    masks: Masks,
    aupro_limits: Sequence[float],
) -> dict[str, dict[str, float | None]]:
    """Image and pixel metrics of each category; None where undefined.

    `samples` are grouped by category, as `chunks` are; maps are read one chunk at a time.
    """
    import numpy as np

    from adbench.metrics import UndefinedMetricWarning, image_metrics, pixel_metrics_streamed

    metrics: dict[str, dict[str, float | None]] = {}
    for category, indices in groupby(range(len(samples)), key=lambda i: samples[i].category):
        bounds = [b for b in chunks.bounds if samples[b[0]].category == category]
        labels = np.array([samples[i].label for i in indices])

        def parts(
            bounds: list[tuple[int, int]] = bounds,
        ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
            for start, stop in bounds:
                yield chunks.read((start, stop)).maps, masks.pixels[start:stop]

        scores = np.concatenate([chunks.read(b).scores for b in bounds])
        with warnings.catch_warnings():
            # Said where the user looks: the record has null and the table a footnote.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            values = image_metrics(scores, labels)
            values |= pixel_metrics_streamed(parts, aupro_limits)
        metrics[category] = jsonable(values)
    return metrics


def image_columns(samples: Sequence[Sample], chunks: PredictionChunks) -> dict[str, list[Any]]:
    """Per-image results as columns of equal length."""
    import numpy as np

    scores = np.concatenate([chunks.read(b).scores for b in chunks.bounds])
    return {
        "id": [s.path for s in samples],
        "category": [s.category for s in samples],
        "label": [s.label for s in samples],
        "defect": [s.defect for s in samples],
        "score": encode_scores(scores),
    }


def ground_truth_notes(samples: Sequence[Sample], masks: Masks) -> dict[str, Any]:
    """Per category: regions before and after the resize, and defect images with an empty mask."""
    notes: dict[str, Any] = {}
    all_zero = set(masks.empty)
    for category in dict.fromkeys(s.category for s in samples):
        rows = [i for i, s in enumerate(samples) if s.category == category]
        before = sum(int(masks.regions_before[i]) for i in rows)
        after = sum(int(masks.regions_after[i]) for i in rows)
        # Regions can merge in a resize too; an image that loses all of them is lost ground truth.
        lost = [i for i in rows if masks.regions_before[i] > 0 and masks.regions_after[i] == 0]
        empty = [samples[i].path for i in rows if i in all_zero]
        notes[category] = {
            "regions": before,
            "regions_after_resize": after,
            "masks_lost_in_resize": [samples[i].path for i in lost],
            "empty_masks": empty,
            "test_normal": sum(samples[i].label == 0 for i in rows),
            "test_anomalous": sum(samples[i].label == 1 for i in rows),
        }
    return notes

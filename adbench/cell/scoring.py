"""From maps and masks to a cell's numbers: metrics per category and per-image scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from adbench.contracts import Sample
from adbench.store.pixel_statistics import labelled_pixels
from adbench.store.records import encode_scores, jsonable

if TYPE_CHECKING:
    from adbench.data.images import Masks
    from adbench.metrics.exact.inputs import Chunks
    from adbench.store.predictions import PredictionChunks


def score_categories(
    samples: Sequence[Sample],
    chunks: PredictionChunks,
    masks: Masks,
    aupro_limits: Sequence[float],
) -> dict[str, dict[str, float | None]]:
    """Image and pixel metrics of each category; None where undefined.

    `samples` are grouped by category, as `chunks` are; maps are read one chunk at a time. Pixel
    metrics are over the images whose pixels have labels, image metrics over all.
    """
    import numpy as np

    from adbench.metrics.exact import UndefinedMetricWarning, image_metrics

    metrics: dict[str, dict[str, float | None]] = {}
    for category, group in groupby(samples, key=lambda sample: sample.category):
        labels = np.array([sample.label for sample in group])
        bounds = [b for b in chunks.bounds if samples[b[0]].category == category]
        scores = np.concatenate([chunks.read(b).scores for b in bounds])
        parts = partial(labelled_pixels, samples, category, chunks, masks)
        with warnings.catch_warnings():
            # Said where the user looks: the record has null and the table a footnote.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            values = image_metrics(scores, labels)
            values |= _pixel_metrics(parts, aupro_limits)
        metrics[category] = jsonable(values)
    return metrics


def _pixel_metrics(parts: Chunks, aupro_limits: Sequence[float]) -> dict[str, float]:
    """The pixel metrics; of no image at all they are undefined, as those without a defect are."""
    import numpy as np

    from adbench.metrics.exact import pixel_metrics_streamed

    if next(iter(parts()), None) is None:
        nothing = np.zeros((1, 1, 1), np.float32)
        return pixel_metrics_streamed(lambda: [(nothing, nothing)], aupro_limits)
    return pixel_metrics_streamed(parts, aupro_limits)


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
    """Per category: regions before and after the resize, and defect images with an empty mask or
    with none."""
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
            "unmasked": [samples[i].path for i in rows if not samples[i].has_pixel_labels],
            "test_normal": sum(samples[i].label == 0 for i in rows),
            "test_anomalous": sum(samples[i].label == 1 for i in rows),
        }
    return notes

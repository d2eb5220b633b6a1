"""What a record keeps of the normals that calibrate: their scores, and how far their maps reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adbench.contracts import Sample
from adbench.data.calibration import SEED
from adbench.data.selection import DataSelection
from adbench.store.predictions import PredictionChunks
from adbench.store.records import encode_scores


def calibration_block(
    data: DataSelection, samples: Sequence[Sample], chunks: PredictionChunks
) -> dict[str, Any]:
    """`record_blocks.Calibration` of these normals, grouped by category as `chunks` are.

    The median of a category's maps is that of its images' medians: for colours, not for numbers.
    """
    import numpy as np

    scores: list[float | str] = []
    reach: dict[str, list[tuple[float, float]]] = {}
    for bound in chunks.bounds:
        found = chunks.read(bound)
        scores += encode_scores(found.scores)
        values = found.maps.reshape(len(found.maps), -1)
        own = reach.setdefault(samples[bound[0]].category, [])
        own += zip(np.median(values, 1).tolist(), values.max(1).tolist(), strict=True)
    ends = {
        c: (float(np.median([m for m, _ in own])), max(h for _, h in own))
        for c, own in reach.items()
    }
    return {
        "share": data.calibrate,
        "seed": SEED,
        "id": [sample.path for sample in samples],
        "category": [sample.category for sample in samples],
        "score": scores,
        "maps": {c: list(own) for c, own in ends.items() if np.isfinite(own).all()},
    }

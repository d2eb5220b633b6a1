"""Records with given scores, and results folders made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adbench.compare.sides import Side
from adbench.metrics.exact import image_metrics, pixel_metrics
from adbench.stats.pixels import PixelHistograms
from adbench.store.files import digest, write_json
from adbench.store.folders import CellFolder
from adbench.store.pixel_statistics import encode_pixel_statistics
from adbench.store.records import METRICS, Failure, Record, encode_scores, jsonable

PROTOCOL: dict[str, Any] = {
    "dataset": "toy", "dataset_version": "1", "scope": "separate", "image_size": 32, "crop": None,
    "evaluation_size": 32, "mask_rule": "nearest", "mask_threshold": 0, "metrics": "exact-1",
    "aupro_limits": [0.3, 0.05], "selection": "last", "limit": None,
}  # fmt: skip


def scored_record(
    labels: np.ndarray,
    scores: np.ndarray,
    category: str = "a",
    *,
    maps: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    method: str = "m",
    seed: int = 0,
    variant: str = "",
    protocol: dict[str, Any] | None = None,
    ids: Iterable[str] | None = None,
    **changes: Any,
) -> Record:
    """A finished record of one category whose metrics are those of the scores and maps."""
    names = list(ids or (f"{category}/{i:04d}.png" for i in range(len(labels))))
    metrics: dict[str, float | None] = dict.fromkeys(METRICS)
    metrics |= jsonable(image_metrics(scores, labels.astype(int)))
    if maps is not None and masks is not None:
        metrics |= jsonable(pixel_metrics(maps, masks))
    identity = {
        "method": method, "hyperparameters": {}, "dataset": "toy", "dataset_version": "1",
        "categories": [category], "scope": "separate", "seed": seed, "limit": None,
    }  # fmt: skip
    key = digest([identity, variant, encode_scores(scores)])[:24]
    values: dict[str, Any] = {
        "status": "done", "created": "2026-01-01T00:00:00Z", "identity": identity,
        "preset": "fast", "variant": variant, "keys": {"fit": key, "predict": key, "score": key},
        "protocol": PROTOCOL | {"trained_categories": [category]} | (protocol or {}),
        "metrics": {category: metrics},
        "images": {
            "id": names, "category": [category] * len(names),
            "label": [int(label) for label in labels], "defect": ["d"] * len(names),
            "score": encode_scores(scores),
        },
    }  # fmt: skip
    return Record(**(values | changes))


def failed(record: Record, message: str = "it broke", exit_code: int = 3) -> Record:
    """The same cell, failed."""
    failure = Failure(type="E", message=message, traceback=[], exit_code=exit_code)
    return record.model_copy(
        update={"status": "failed", "failure": failure, "metrics": {}, "images": {}, "protocol": {}}
    )


def side(
    *records: Record, pixels: dict[str, dict[str, str]] | None = None, method: str | None = None
) -> Side:
    """One side of a comparison; `pixels`: score key to category to encoded statistics."""
    return Side("side", records, lambda r: (pixels or {}).get(r.keys["score"], {}), method)


def write_results(
    folder: Path, records: Iterable[Record], pixels: Mapping[str, PixelHistograms] | None = None
) -> Path:
    """A results folder that holds these records; `pixels`, of their one category by score key."""
    write_json(folder / "adbench.json", {"format": 1})
    for record in records:
        kind = "failed" if record.status == "failed" else "record"
        path = folder / "cells" / record.keys["fit"] / f"{kind}-{record.keys['score']}.json"
        write_json(path, record.model_dump(mode="json"))
        if pixels and (own := pixels.get(record.keys["score"])):
            (category,) = record.identity["categories"]
            encoded = {"format": 1, "categories": {category: encode_pixel_statistics(own)}}
            write_json(CellFolder(folder, record.keys).pixels, encoded)
    return folder

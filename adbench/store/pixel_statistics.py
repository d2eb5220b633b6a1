"""Per-image pixel statistics beside a record: intervals and tests of pixel metrics without maps.

Maps are large and dropped after scoring; what resampling needs of them is some ten kilobytes a
category (`adbench.stats.pixels`). It is counted while the maps are there, in about as long as the
metrics take, and kept in `pixels-<score key>.json`, not in the record, which every table reads.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adbench.contracts import Sample
from adbench.store.files import checked, read_json, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adbench.stats.pixels import PixelHistograms
    from adbench.store.predictions import PredictionChunks

_FORMAT = 1


class _Masks(Protocol):
    @property
    def pixels(self) -> NDArray[Any]:
        """(N, S, S), true for defects, in the order of the samples."""


def labelled_pixels(
    samples: Sequence[Sample], category: str, chunks: PredictionChunks, masks: _Masks
) -> Iterator[tuple[Any, Any]]:
    """(maps, masks), each (n, S, S), of a category's images whose pixels have labels, chunk by
    chunk; `samples` are grouped by category, as `chunks` are."""
    for start, stop in chunks.bounds:
        if samples[start].category != category:
            continue
        kept = [i for i in range(start, stop) if samples[i].has_pixel_labels]
        if len(kept) == stop - start:
            yield chunks.read((start, stop)).maps, masks.pixels[start:stop]
        elif kept:
            rows = [i - start for i in kept]
            yield chunks.read((start, stop)).maps[rows], masks.pixels[kept]


def write_pixel_statistics(
    path: Path, samples: Sequence[Sample], chunks: PredictionChunks, masks: _Masks
) -> None:
    """Count each category's pixels and write them; an image whose pixels have no labels keeps a
    row, without a pixel, so that rows stay those of the record's images."""
    from adbench.stats.pixels import pixel_histograms

    categories = {}
    for category, group in groupby(samples, key=lambda sample: sample.category):
        labelled = [sample.has_pixel_labels for sample in group]
        parts = partial(labelled_pixels, samples, category, chunks, masks)
        histograms = pixel_histograms(parts, num_images=sum(labelled)).spread(labelled)
        categories[category] = encode_pixel_statistics(histograms)
    write_json(path, {"format": _FORMAT, "categories": categories})


def read_pixel_statistics(path: Path) -> dict[str, str]:
    """Category to encoded statistics; empty where there are none, or damaged ones, which are
    named and set aside."""
    remedy = "its pixel metrics have no intervals until a run with --overwrite all"
    return checked(path, _read, remedy=remedy) or {}


def _read(path: Path) -> dict[str, str]:
    content = read_json(path)
    if content.get("format") != _FORMAT:
        return {}  # of another version
    categories = content.get("categories")
    if isinstance(categories, dict) and all(isinstance(v, str) for v in categories.values()):
        return categories
    raise ValueError(f"{path.name} holds no pixel statistics")


def encode_pixel_statistics(histograms: PixelHistograms) -> str:
    """As text, for JSON."""
    return base64.b64encode(histograms.to_bytes()).decode("ascii")


def decode_pixel_statistics(
    encoded: Mapping[str, str], category: str, num_images: int
) -> PixelHistograms | None:
    """The histograms of a category's images; None where absent or of another number of images."""
    from adbench.stats.pixels import PixelHistograms

    if category not in encoded:
        return None
    try:
        histograms = PixelHistograms.from_bytes(base64.b64decode(encoded[category], validate=True))
    except ValueError:
        return None
    return histograms if len(histograms) == num_images else None

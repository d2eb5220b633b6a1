"""The maps that a finished cell kept, read a chunk at a time, and the colours they are shown in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adbench.errors import AdbenchError, StoreError
from adbench.store.folders import CellFolder
from adbench.store.predictions import PredictionChunks, chunk_bounds
from adbench.store.records import Record

LOW, HIGH = 0.5, 0.999
"""Quantiles of a category's map values that are the ends of a method's colour scale."""
_SAMPLE = 2**21  # values that the quantiles are taken from, at most; a picture needs no more
_GAP = 0.25  # of the scale, lest a map without any contrast divides by nothing


@dataclass(frozen=True)
class Scale:
    """What one method's colours mean on one category, the same for all of its images."""

    low: float
    high: float
    threshold: float | None
    """Of F1-max over the category's pixels; None where undefined. It was found on the very test
    images that it is drawn on, so it is for looking only."""

    def unit(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """`values` from low..high to 0..1, clipped."""
        unit: NDArray[np.float32] = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return unit


class KeptMaps:
    """The maps (N, S, S) of one record's test images, in the order of its columns."""

    def __init__(self, results: Path, record: Record) -> None:
        """Raises `StoreError` for keys that are none."""
        self._folder = CellFolder(results, record.keys).predictions
        self._record = record
        self._categories: list[str] = record.images.get("category", [])
        self._bounds = chunk_bounds(self._categories)

    @property
    def kept(self) -> bool:
        """Whether the run kept them."""
        return self._folder.is_dir()

    def of(self, category: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first row, maps) of each chunk of a category; raises `StoreError` for a lost one."""
        chunks = PredictionChunks(self._folder, self._bounds)
        for bound in self._bounds:
            if self._categories[bound[0]] == category:
                yield bound[0], self._read(chunks, bound)

    def at(self, rows: list[int]) -> dict[int, NDArray[np.float32]]:
        """Row -> map (S, S); reads each chunk once."""
        chunks = PredictionChunks(self._folder, self._bounds)
        found: dict[int, NDArray[np.float32]] = {}
        for bound in self._bounds:
            inside = [row for row in rows if bound[0] <= row < bound[1]]
            if inside:
                maps = self._read(chunks, bound)
                found |= {row: maps[row - bound[0]].copy() for row in inside}
        return found

    def scale(self, category: str) -> Scale:
        """From the median of the category's values to their 99.9th percentile."""
        count = self._categories.count(category)
        parts = []
        for _, maps in self.of(category):
            values = maps.reshape(-1)
            step = max(1, values.size * count // (len(maps) * _SAMPLE))
            parts.append(values[::step])
        sample = np.concatenate(parts)
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [LOW, HIGH]) if sample.size else (0.0, 0.0)
        if high <= low:
            high = low + _GAP
        metrics = self._record.metrics.get(category, {})
        return Scale(float(low), float(high), metrics.get("pixel_f1max_threshold"))

    def _read(self, chunks: PredictionChunks, bound: tuple[int, int]) -> NDArray[np.float32]:
        try:
            return chunks.read(bound).maps
        except (AdbenchError, KeyError):
            raise StoreError(
                f"{self._record.identity['method']} on {self._record.identity['dataset']}: kept "
                "maps are damaged or missing; make them again with adbench run --overwrite all"
            ) from None

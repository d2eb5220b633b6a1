"""Anomalous regions: 8-connected components of masks, found from runs of pixels.

A run is a longest stretch of anomalous pixels in one row. Two runs in neighbouring rows touch when
their columns, widened by one pixel, overlap. Joining runs instead of pixels keeps the cost in
proportion to the anomalous part of the masks, and all images of a group are joined in one call.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from adbench.metrics.exact.inputs import Array, anomalous_indices

_ROW = 2**32
"""A pixel's key is row * _ROW + column + 1, so one sorted array holds the rows of all images and
a column less or more never leaves its row."""


@dataclass
class RunTable:
    """The runs of many masks, in order, with a free row between images so that none touch."""

    _first: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _last: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _next_row: int = 0

    def add(self, pixels: npt.NDArray[np.intp], shape: tuple[int, ...]) -> None:
        """Append the runs of a mask of size `shape` whose flat anomalous indices are `pixels`."""
        height, width = shape
        if pixels.size:
            opens = np.ones(pixels.size, dtype=bool)
            opens[1:] = np.diff(pixels) != 1
            first_of_row = np.searchsorted(pixels, np.arange(0, height * width, width))
            opens[first_of_row[first_of_row < pixels.size]] = True
            starts = np.flatnonzero(opens)
            length = np.diff(starts, append=pixels.size)
            row, column = np.divmod(pixels[starts].astype(np.int64), width)
            first = (row + self._next_row) * _ROW + column + 1
            self._first.append(first)
            self._last.append(first + length - 1)
        self._next_row += height + 1

    def regions(self) -> tuple[int, npt.NDArray[np.int32]]:
        """The number of regions K and the region, in [0, K), of every pixel added, in order.

        Regions are numbered in the order of their first pixels.
        """
        if not self._first:
            return 0, np.empty(0, dtype=np.int32)
        first, last = np.concatenate(self._first), np.concatenate(self._last)
        num_regions, region_of_run = _join_runs(first, last)
        return num_regions, np.repeat(region_of_run, last - first + 1)


def _join_runs(
    first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> tuple[int, npt.NDArray[np.int32]]:
    # The runs below run j that touch it are consecutive: those that end at or after its first
    # column less one and start at or before its last column plus one, a row further on.
    from_run = np.searchsorted(last, first + (_ROW - 1), side="left")
    to_run = np.searchsorted(first, last + (_ROW + 1), side="right")
    touching = to_run - from_run  # (runs,), never negative
    upper = np.repeat(np.arange(first.size), touching)
    position = np.arange(upper.size) - np.repeat(np.cumsum(touching) - touching, touching)
    lower = from_run[upper] + position
    edges = coo_array((np.ones(upper.size, dtype=bool), (upper, lower)), shape=(first.size,) * 2)
    num_regions, region_of_run = connected_components(edges.tocsr(), directed=False)
    return int(num_regions), region_of_run.astype(np.int32, copy=False)


def label_regions(mask: Array) -> tuple[npt.NDArray[np.int32], int]:
    """(H, W) labels of an (H, W) mask: 0 for normal pixels, 1 to K for its 8-connected regions in
    the order of their first pixels; and K. Raises ValueError as `anomalous_indices`.
    """
    mask = np.asarray(mask)
    pixels, (num_regions, regions) = _regions_of(mask)
    labels = np.zeros(mask.shape, dtype=np.int32)
    labels.reshape(-1)[pixels] = regions + 1
    return labels, num_regions


def count_regions(mask: Array) -> int:
    """The number of 8-connected regions of one (H, W) mask; errors as for `label_regions`."""
    _, (num_regions, _) = _regions_of(np.asarray(mask))
    return num_regions


def _regions_of(
    mask: Array,
) -> tuple[npt.NDArray[np.intp], tuple[int, npt.NDArray[np.int32]]]:
    if mask.ndim != 2:
        raise ValueError(f"mask: found shape {mask.shape}, expected (H, W)")
    pixels = anomalous_indices(mask, "mask")
    table = RunTable()
    table.add(pixels, mask.shape)
    return pixels, table.regions()

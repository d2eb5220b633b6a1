"""A finished cell together with its images, masks, maps and fitted method: what pictures need.

A record alone gives curves and histograms; for pictures its data set must be at hand and its maps
kept, and for the steps of a prediction its method and model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adbench.contracts import Geometry, Method, Sample
from adbench.data.selection import DataSelection, select_data
from adbench.errors import AdbenchError, PluginError, StoreError
from adbench.figures.cases import ImageScores
from adbench.plan import Cell
from adbench.store.folders import CellFolder
from adbench.store.predictions import PredictionChunks, chunk_bounds
from adbench.store.records import Record

if TYPE_CHECKING:
    from adbench.data.cache import DiskCache
    from adbench.data.images import Masks

LOW, HIGH = 0.5, 0.999
"""Quantiles of a category's map values that are the ends of a method's colour scale."""
_SAMPLE = 2**21  # values that the quantiles are taken from, at most; a picture needs no more
_GAP = 0.25  # of the scale, lest a map without any contrast divides by nothing

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Scale:
    """What one method's colours mean on one category, the same for all of its images."""

    low: float
    high: float
    threshold: float | None
    """Of F1-max over the category's pixels; None where undefined. It was found on the very test
    images that it is drawn on, so it is for looking only."""

    def unit(self, values: Maps) -> Maps:
        """`values` from low..high to 0..1, clipped."""
        unit: Maps = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return unit


class KeptMaps:
    """The maps (N, S, S) of one record's test images, in the order of its columns."""

    def __init__(self, results: Path, record: Record) -> None:
        """Raises `StoreError` for keys that are none."""
        self._folder = CellFolder(results, record.keys).predictions
        self._record = record
        self._categories: list[str] = record.images.get("category", [])
        self.chunks = PredictionChunks(self._folder, chunk_bounds(self._categories))

    @property
    def kept(self) -> bool:
        """Whether the run kept them."""
        return self._folder.is_dir()

    def of(self, category: str) -> Iterator[tuple[int, Maps]]:
        """(first row, maps) of each chunk of a category; raises `StoreError` for a lost one."""
        for bound in self.chunks.bounds:
            if self._categories[bound[0]] == category:
                yield bound[0], self._read(bound)

    def at(self, rows: Sequence[int]) -> list[Maps]:
        """The map (S, S) of each row; reads each chunk once."""
        found: dict[int, Maps] = {}
        for bound in self.chunks.bounds:
            inside = [row for row in rows if bound[0] <= row < bound[1]]
            if inside:
                maps = self._read(bound)
                found |= {row: maps[row - bound[0]].copy() for row in inside}
        return [found[row] for row in rows]

    def scale(self, category: str) -> Scale:
        """From the median of the category's values to their 99.9th percentile."""
        count = self._categories.count(category)
        parts = []
        for _, maps in self.of(category):
            values = maps.reshape(-1)
            parts.append(values[:: max(1, values.size * count // (len(maps) * _SAMPLE))])
        sample = np.concatenate(parts)
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [LOW, HIGH]) if sample.size else (0.0, 0.0)
        high = high if high > low else low + _GAP
        metrics = self._record.metrics.get(category, {})
        return Scale(float(low), float(high), metrics.get("pixel_f1max_threshold"))

    def _read(self, bound: tuple[int, int]) -> Maps:
        try:
            return self.chunks.read(bound).maps
        except (AdbenchError, KeyError):
            raise StoreError(
                f"{self._record.identity['method']} on {self._record.identity['dataset']}: kept "
                "maps are damaged or missing; make them again with adbench run --overwrite all"
            ) from None


@dataclass(frozen=True)
class Subject:
    """One done record, the data set that it was made from, and how to build its method."""

    record: Record
    data: DataSelection
    build: Callable[[], Method]
    """The unfitted method; raises `AdbenchError` where its plug-in is not installed."""

    @property
    def geometry(self) -> Geometry:
        """Of the images that the method saw."""
        return Geometry(self.record.protocol["image_size"], self.record.protocol["crop"])

    @property
    def margin(self) -> float:
        """The share of the side that the centre crop cut off at either end, [0, 0.5)."""
        return (1 - self.geometry.size / self.geometry.resize) / 2

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """The image as the method saw it, uint8 (S, S, 3)."""
        from adbench.data.images import decode_image, prepare_image

        return prepare_image(decode_image(self.data.root / image_id), self.geometry)

    def mask(self, image_id: str) -> NDArray[np.bool_] | None:
        """The ground truth as it was scored, bool (S, S); None for a defect without a mask."""
        from adbench.data.images import decode_mask, resize_mask

        sample, protocol = self._sample_of[image_id], self.record.protocol
        if not sample.has_pixel_labels:
            return None
        if sample.mask_path is None:
            return np.zeros((self.geometry.size,) * 2, bool)
        mask = decode_mask(self.data.root / sample.mask_path, protocol["mask_threshold"])
        return resize_mask(mask, self.geometry, protocol["mask_rule"])

    def masks(self, samples: Sequence[Sample], cache: DiskCache) -> Masks:
        """The ground truth of many, by way of the cache."""
        from adbench.data.images import load_masks

        rule, threshold = (self.record.protocol[f"mask_{n}"] for n in ("rule", "threshold"))
        root, geometry = self.data.root, self.geometry
        return load_masks(root, samples, geometry, rule=rule, threshold=threshold, cache=cache)

    def samples(self) -> list[Sample]:
        """All test samples of the cell, in the order of the record's columns and of its maps."""
        return [self._sample_of[image_id] for image_id in self.record.images["id"]]

    @cached_property
    def _sample_of(self) -> dict[str, Sample]:
        own = self.record.identity["categories"]
        return {sample.path: sample for sample in self.data.split(own, "test")}


@dataclass(frozen=True)
class Column:
    """One method on one category: where its maps are and what their colours mean."""

    label: str
    subject: Subject
    maps: KeptMaps
    scale: Scale
    images: ImageScores

    @property
    def title(self) -> str:
        """The method and what its colours span."""
        return f"{self.label}\n{self.scale.low:.3g} to {self.scale.high:.3g}"

    def maps_of(self, ids: Sequence[str]) -> list[Maps]:
        """Its maps of these images, in that order."""
        return self.maps.at([self.images.rows[self.images.ids.index(own)] for own in ids])


def subjects_of_outcomes(outcomes: Iterable[tuple[Cell, Record]]) -> list[Subject]:
    """The done cells of a run."""
    return [Subject(r, cell.data, cell.build) for cell, r in outcomes if r.status == "done"]


def subjects_of_records(
    records: Sequence[Record], data_root: Path | None, index_folder: Path
) -> tuple[list[Subject], list[str]]:
    """The done records whose data set is found, and why the others have no picture.

    A data set whose files are not those that a record was made from would put wrong pictures
    beside its maps, so it counts as not found.
    """
    subjects: list[Subject] = []
    notes: list[str] = []
    found: dict[tuple[str, Any], DataSelection | str] = {}
    done = [record for record in records if record.status == "done"]
    for record in done:
        name, limit = key = (record.identity["dataset"], record.identity["limit"])
        if key not in found:
            own = [r for r in done if r.identity["dataset"] == name]
            wanted = {category for r in own for category in r.identity["categories"]}
            found[key] = _find(name, limit, wanted, data_root, index_folder)
        data = found[key]
        if isinstance(data, str):
            notes.append(data)
        elif not _made_from(record, data):
            notes.append(
                f"{name}: the files in {data.root} are not those that the records were made "
                "from, so no picture is drawn: give the right folder with --data-root DIR"
            )
        else:
            subjects.append(Subject(record, data, _builder(record)))
    return subjects, list(dict.fromkeys(notes))


def _find(
    name: str, limit: int | None, wanted: set[str], data_root: Path | None, index_folder: Path
) -> DataSelection | str:
    """The data set, or in one line why it is not there."""
    # A name that the selector's own signs would cut up: then all categories are selected.
    plain = not any(sign in category for category in wanted for sign in ",:")
    text = f"{name}:{','.join(sorted(wanted))}" if plain else name
    try:
        return select_data(text, data_root, limit=limit, index_folder=index_folder)
    except AdbenchError as error:
        return f"{name}: no picture without its images ({error})"


def _made_from(record: Record, data: DataSelection) -> bool:
    categories = record.identity["categories"]
    return set(categories) <= set(data.samples) and (
        data.digest(categories, "test") == record.key_parts.get("test")
    )


def _builder(record: Record) -> Callable[[], Method]:
    def build() -> Method:
        from pydantic import ValidationError

        from adbench.registry import load_method

        name = record.identity["method"]
        method = load_method(name)
        try:
            return method(method.Hyperparameters(**record.identity["hyperparameters"]))
        except ValidationError as error:
            raise PluginError(
                f"{name}: its hyper-parameters are no longer those of the record "
                f"({error.error_count()} of them); run the cell again"
            ) from None

    return build

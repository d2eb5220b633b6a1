"""A finished cell together with its images, masks and fitted method: what pictures need.

A record alone gives curves and histograms; for pictures its data set must be at hand, and for the
steps of a prediction its method and model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.contracts import Geometry, Method, Sample
from adbench.data.selection import DataSelection, select_data
from adbench.errors import AdbenchError, DataError
from adbench.plan import Cell
from adbench.store.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
        import numpy as np

        from adbench.data.images import decode_mask, resize_mask

        path = self._sample_of[image_id].mask_path
        if not self._sample_of[image_id].has_pixel_labels:
            return None
        if path is None:
            return np.zeros((self.geometry.size,) * 2, bool)
        protocol = self.record.protocol
        mask = decode_mask(self.data.root / path, protocol["mask_threshold"])
        return resize_mask(mask, self.geometry, protocol["mask_rule"])

    def samples(self) -> list[Sample]:
        """All test samples of the cell, in the order of the record's columns and of its maps."""
        return [self._sample_of[image_id] for image_id in self.record.images["id"]]

    @cached_property
    def _sample_of(self) -> dict[str, Sample]:
        own = self.record.identity["categories"]
        return {sample.path: sample for sample in self.data.split(own, "test")}


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
        key = (record.identity["dataset"], record.identity["limit"])
        if key not in found:
            found[key] = _find(key, done, data_root, index_folder)
        data = found[key]
        if isinstance(data, str):
            notes.append(data)
        elif not _made_from(record, data):
            notes.append(
                f"{key[0]}: the files in {data.root} are not those that the records were made "
                "from, so no picture is drawn: give the right folder with --data-root DIR"
            )
        else:
            subjects.append(Subject(record, data, _builder(record)))
    return subjects, list(dict.fromkeys(notes))


def _find(
    key: tuple[str, Any], records: Sequence[Record], data_root: Path | None, index_folder: Path
) -> DataSelection | str:
    """The data set, or in one line why it is not there."""
    name, limit = key
    wanted = {c for r in records if r.identity["dataset"] == name for c in r.identity["categories"]}
    # A name that the selector's own signs would cut up: then all categories are selected.
    plain = not any(sign in category for category in wanted for sign in ",:")
    text = f"{name}:{','.join(sorted(wanted))}" if plain else name
    try:
        return select_data(text, data_root, limit=limit, index_folder=index_folder)
    except (AdbenchError, DataError) as error:
        return f"{name}: no picture without its images ({error})"


def _made_from(record: Record, data: DataSelection) -> bool:
    categories = record.identity["categories"]
    if not set(categories) <= set(data.samples):
        return False
    return data.digest(categories, "test") == record.key_parts.get("test")


def _builder(record: Record) -> Callable[[], Method]:
    def build() -> Method:
        from pydantic import ValidationError

        from adbench.errors import PluginError
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

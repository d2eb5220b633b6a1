"""The two sides of a comparison: a results folder, a baseline file, or a method in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.compare.baseline import read_baseline
from adbench.errors import UnknownNameError, UsageError
from adbench.selectors import MethodSelector, parse_methods
from adbench.store.folders import CellFolder, Store
from adbench.store.newest import latest
from adbench.store.pixel_statistics import (
    decode_pixel_statistics,
    read_pixel_statistics,
)
from adbench.store.records import Record
from adbench.text import at_home

if TYPE_CHECKING:
    from adbench.stats.pixels import PixelHistograms

Filters = Mapping[str, str | None]
"""`method`, `dataset` and `preset` to the only value wanted, or None."""


@dataclass(frozen=True)
class Side:
    """One side's latest records.

    Attributes:
        name: as the user gave it.
        records: of every status, the newest of each cell.
        encoded_pixels: gives a record's encoded pixel statistics, by category.
        method: set where the side is one method of a folder, so that two may be compared.
    """

    name: str
    records: tuple[Record, ...]
    encoded_pixels: Callable[[Record], dict[str, str]]
    method: str | None = None

    def pixels(self, record: Record, category: str) -> PixelHistograms | None:
        """The pixel statistics of one category's images, or None where none were kept."""
        count = record.images["category"].count(category)
        return decode_pixel_statistics(self.encoded_pixels(record), category, count)

    def only(self, filters: Filters) -> Side:
        """The records that pass."""
        return replace(self, records=tuple(r for r in self.records if passes(r, filters)))


def side_of(operand: str, results: Path) -> Side:
    """What BASE or HEAD means: an existing folder or file, else a method in `results`.

    Raises `UsageError` where it is neither, `StoreError` for what cannot be read.
    """
    path = at_home(Path(operand))
    if path.is_dir():
        return folder_side(path)
    if path.exists():
        return baseline_side(path)
    looks_like_path = "[" not in operand and ("/" in operand or path.suffix == ".json")
    if looks_like_path:
        raise UsageError(
            f"there is no {operand}: expected a results folder, a baseline file, or a method such "
            "as NAME or NAME[k=v] whose records are in --results DIR"
        )
    return method_side(operand, results)


def folder_side(path: Path) -> Side:
    """All of a results folder; an absent one is empty."""

    def encoded(record: Record) -> dict[str, str]:
        return read_pixel_statistics(CellFolder(path, record.keys).pixels)

    return Side(str(path), tuple(latest(Store(path).records())), encoded)


def baseline_side(path: Path) -> Side:
    """All of a baseline file."""
    baseline = read_baseline(path)
    records = tuple(latest(baseline.records))
    return Side(str(path), records, lambda record: baseline.pixels.get(record.keys["score"], {}))


def method_side(selector: str, results: Path) -> Side:
    """The records of one method with exactly these options, in the words of `--methods`."""
    parsed = parse_methods(selector)
    swept = [name for s in parsed for name, values in s.options if len(values) > 1]
    if len(parsed) != 1 or swept:
        raise UsageError(f"{selector!r} names several methods: expected one, NAME or NAME[k=v]")
    folder = folder_side(results)
    found = [r for r in folder.records if _matches(r, parsed[0])]
    if not found:
        valid = {r.method for r in folder.records}
        raise UnknownNameError(
            f"method in {results}", selector, valid,
            hint="BASE and HEAD are results folders, baseline files or methods in --results DIR",
        )  # fmt: skip
    return replace(folder, name=selector, records=tuple(found), method=selector)


def _matches(record: Record, selector: MethodSelector) -> bool:
    own = parse_methods(record.method)[0]
    return (record.identity["method"], _options(own)) == (selector.name, _options(selector))


def _options(selector: MethodSelector) -> dict[str, str]:
    return {name: values[0].lower() for name, values in selector.options}


def passes(record: Record, filters: Filters) -> bool:
    """Whether a record has every value asked for."""
    own = {**record.identity, "preset": record.preset}
    return all(value is None or own[name] == value for name, value in filters.items())

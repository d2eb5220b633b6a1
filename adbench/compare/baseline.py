"""A baseline: the scores that later runs are held against, in one file for version control.

It holds finished records whole, per-image scores included, so that paired tests need nothing else,
and the pixel statistics that lie beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from adbench.store import files
from adbench.store.record_blocks import Items
from adbench.store.record_files import read_document
from adbench.store.records import Record, now
from adbench.store.regular_files import LARGE_TEXT_BYTES
from adbench.version import __version__

_KEY_PARTS = ("train", "test", "masks", "mask_rule", "mask_threshold")
"""What a comparison needs of a record's key parts; the rest is in the records themselves."""


class Baseline(BaseModel):
    """What `adbench baseline save` writes.

    Attributes:
        records: finished ones, without diagnostics, skill, snapshots and most key parts.
        pixels: score key to category to encoded pixel statistics.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["adbench-baseline"] = "adbench-baseline"
    format: Literal[1] = 1
    created: str
    adbench: str
    records: Items[Record]
    pixels: dict[str, dict[str, str]] = {}


def make_baseline(records: Sequence[Record], pixels: dict[str, dict[str, str]]) -> Baseline:
    """Of finished records, what a comparison needs."""
    return Baseline(
        created=now(),
        adbench=__version__,
        records=[_slim(record) for record in records],
        pixels=pixels,
    )


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Replace the file atomically, with a checksum."""
    files.write_json(path, baseline.model_dump(mode="json"))


def read_baseline(path: Path) -> Baseline:
    """Read and check a baseline; raises `StoreError` naming the file and the way out."""
    remedy = f"`adbench baseline save {path} --results DIR` makes one"
    return read_document(path, Baseline, "baseline", remedy, LARGE_TEXT_BYTES)


def _slim(record: Record) -> Record:
    parts = {name: record.key_parts[name] for name in _KEY_PARTS if name in record.key_parts}
    data = {name: record.data[name] for name in ("digests",) if name in record.data}
    slim = {"key_parts": parts, "diagnostics": {}, "skill": {}, "snapshots": [], "data": data}
    return record.model_copy(update=slim)

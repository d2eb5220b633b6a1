"""Records as values, and what a report makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adbench.metrics.table import METRICS
from adbench.report.report import Report
from adbench.report.text_table import Table
from adbench.store.records import Failure, Record

INFERENCE: dict[str, Any] = {
    "device_name": "GPU", "valid": True, "seconds_per_image": {"median": 1.0, "p95": 2.0},
    "images_per_second": 1.0, "peak_rss_bytes": 1, "peak_device_bytes": None, "parameters": 1,
    "flops_per_image": 1.0,
}  # fmt: skip
TIMING: dict[str, Any] = {"fit": {"seconds": 1.0, "valid": True}, "inference": INFERENCE}


def make_record(
    method: str = "m", category: str = "a", value: float | None = 0.5, **changes: Any
) -> Record:
    """A finished record in which every metric has the same value; `changes` to its fields, to its
    protocol, or to the data set, seed, limit and hyper-parameters of its identity."""
    dataset, limit = changes.pop("dataset", "toy"), changes.pop("limit", None)
    identity = {
        "method": method, "hyperparameters": changes.pop("hyperparameters", {}),
        "dataset": dataset, "dataset_version": "1", "categories": [category],
        "scope": "separate", "seed": changes.pop("seed", 0), "limit": limit,
    }  # fmt: skip
    protocol = {
        "dataset": dataset, "dataset_version": "1", "scope": "separate",
        "trained_categories": [category], "image_size": 32, "crop": None, "evaluation_size": 32,
        "mask_rule": "nearest", "mask_threshold": 0, "metrics": "exact-1",
        "aupro_limits": [0.3, 0.05], "selection": "last", "limit": limit,
    } | changes.pop("protocol", {})  # fmt: skip
    values: dict[str, Any] = {
        "status": "done", "created": "2026-01-01T00:00:00Z", "preset": "fast", "variant": "",
        "keys": {"fit": "f", "predict": "p", "score": f"{method}-{dataset}-{category}"},
        "identity": identity, "protocol": protocol,
        "metrics": {category: dict.fromkeys(METRICS, value)},
    }  # fmt: skip
    return Record(**(values | changes))


def failed_record(category: str = "b", message: str = "it broke", **changes: Any) -> Record:
    """A failed record."""
    failure = Failure(type="ValueError", message=message, traceback=["File x.py", message])
    made = make_record(category=category, **changes, status="failed", failure=failure, metrics={})
    return made.model_copy(update={"protocol": {}})


def tables(records: Sequence[Record], **options: Any) -> list[Table]:
    """The comparison."""
    return Report(records, **options).tables


def notes(records: Sequence[Record], **options: Any) -> list[str]:
    """The notes below it."""
    return [note.text for note in Report(records, **options).notes]


def texts(table: Table) -> list[list[str]]:
    """Its rows."""
    return [row.texts for row in table.rows]


def ranked(table: Table, rank: str = "best") -> set[tuple[int, int]]:
    """Row and column of the cells that hold a value of this rank."""
    return {
        (number, column)
        for number, row in enumerate(table.rows)
        for column, cell in enumerate(row.cells)
        if rank in [value.rank for value in cell]
    }

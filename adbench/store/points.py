"""What a training had cost, and what its model scored, at points of it or at parts of its steps.

Two kinds, which must not be mixed up: points along one training (`--snapshots`), and ends of
shorter trainings (`--budgets`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adbench.store.records import Record

ALONG = "along one training"
ALONG_CAVEAT = "before the rate falls an earlier point is not what a shorter training would reach"
ANEW = "trained anew at parts of the steps"


@dataclass(frozen=True)
class Point:
    """A model at `share` of the steps, of which `step` are done (None where the training has none,
    or did not tell).

    FLOPs are the method's own estimate, None in records of before; seconds are of training alone,
    `undisturbed` where neither other work nor a cache made them what they are. `skill` is the
    record's block, `metrics` are by category; empty where the model could not predict.
    """

    share: float
    step: int | None
    flops: float | None
    seconds: float
    undisturbed: bool
    skill: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float | None]]
    failure: str = ""


@dataclass(frozen=True)
class Training:
    """The points of one cell, of which `record` is the whole training, or stands for it."""

    record: Record
    points: tuple[Point, ...]


def along(records: Iterable[Record]) -> list[Training]:
    """Each finished cell's own training; of one without snapshots its end alone."""
    own = (r for r in records if r.status == "done" and r.budget is None)
    return [Training(record, (*_snapshots(record), _end(record))) for record in own]


def anew(records: Iterable[Record]) -> list[Training]:
    """Each cell with its trainings at parts of the steps, shortest first; one without any is a
    point, as a method that trains in no steps is."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if record.status == "done":
            found.setdefault(_cell(record), []).append(record)
    ordered = [sorted(own, key=lambda record: record.budget or 1.0) for own in found.values()]
    return [
        Training(own[-1].model_copy(update={"variant": _variant(own[-1])}), tuple(map(_end, own)))
        for own in ordered
    ]


def _snapshots(record: Record) -> Iterable[Point]:
    undisturbed = bool(record.timing["fit"].get("valid"))
    for own in record.snapshots:
        yield Point(
            own["step"] / own["steps"], own["step"], own["training_flops"], own["seconds"],
            undisturbed, own["skill"], own["metrics"], own.get("failure", ""),
        )  # fmt: skip


def _end(record: Record) -> Point:
    fit = record.timing["fit"]
    steps = record.snapshots[-1]["steps"] if record.snapshots else None
    return Point(
        record.budget or 1.0, steps, fit.get("training_flops"), fit["seconds"],
        bool(fit.get("valid")), record.skill, record.metrics,
    )  # fmt: skip


def _cell(record: Record) -> tuple[Any, ...]:
    """What a shorter training shares with the whole one."""
    names = ("method", "dataset", "dataset_version", "scope", "seed", "limit")
    rule = (record.key_parts.get(name) for name in ("mask_rule", "mask_threshold"))
    own, settings = record.identity, (_variant(record), record.preset)
    return (*(own[n] for n in names), own.get("calibrate"), *own["categories"], *rule, *settings)


def _variant(record: Record) -> str:
    parts = record.variant.split(",")
    return ",".join(part for part in parts if not part.startswith("budget="))

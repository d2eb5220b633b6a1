"""What a reader must be told of how the networks in a table were trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from adbench.store.records import Record

DIVERGED = 2.0
"""Last over first loss, means over some steps each, beyond which it is no noise."""


def training_notes(records: Sequence[Record]) -> list[str]:
    """Trainings that learned nothing, and batches that were divided."""
    return [*_failures_to_learn(records), *_divided(records)]


def _failures_to_learn(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        for first, last in _losses(record.diagnostics):
            what = f"{record.method} on {record.place}: training"
            if not last <= DIVERGED * first:
                notes.append(
                    f"{what} ended at a loss of {last:.4g}, after {first:.4g} in its first steps: "
                    "it diverged, and the scores are those of a failed training."
                )
            elif last >= first and record.preset != "smoke":  # a few steps, all noise
                notes.append(f"{what} did not lower its loss ({first:.4g} to {last:.4g}).")
    return notes


def _losses(diagnostics: Any) -> Iterator[tuple[float, float]]:
    """Losses at the two ends of each training that `diagnostics` tells of, at whatever depth."""
    if isinstance(diagnostics, dict):
        if {"loss_first", "loss_last"} <= diagnostics.keys():
            yield float(diagnostics["loss_first"]), float(diagnostics["loss_last"])
        for value in diagnostics.values():
            yield from _losses(value)


def _divided(records: Sequence[Record]) -> list[str]:
    """Other random numbers than those of a whole batch: a reader who repeats a run must know."""
    ways = {
        tuple((devices, parts) for devices, parts in fit["divisions"])
        for fit in (record.timing.get("fit") or {} for record in records)
        if any(parts > 1 for _, parts in fit.get("divisions", ()))
    }
    return [
        f"Some training batches went through the network {_words(way)}: the same batch size, other "
        "random numbers, and batch normalisation, where a network has it, over a part."
        for way in sorted(ways)
    ]


def _words(way: Sequence[tuple[int, int]]) -> str:
    """Devices and parts, before and after each resumption with others."""
    return ", later ".join(
        (f"in {parts} parts" if parts > 1 else "whole")
        + (f" on {devices} devices" if devices > 1 else "")
        for devices, parts in way
    )

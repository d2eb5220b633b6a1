"""`report --snapshots` and `--budgets`: what models score along a training, and at parts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from adbench.errors import UsageError
from adbench.metrics.table import METRICS
from adbench.naming import Names
from adbench.report import skill
from adbench.report.blocks import SHOWN
from adbench.report.notes import Note
from adbench.report.report import OwnTables
from adbench.report.tables import TITLES, grouped
from adbench.report.text_table import Row, Table, columns_of, preset_text, row_of
from adbench.store.points import ALONG, ALONG_CAVEAT, ANEW, Point, Training, along, anew
from adbench.store.records import Record

KINDS: dict[str, tuple[str, Callable[[Sequence[Record]], list[Training]]]] = {
    "snapshots": (ALONG, along),
    "budgets": (ANEW, anew),
}
_NAMES = ("step", "of the steps", "TFLOP", "s", "skill")


@dataclass(frozen=True)
class TrainingReport(OwnTables):
    """A table for each kind, data set and category: a row a point, nothing ranked or averaged."""

    kinds: tuple[str, ...] = field(default=())

    @cached_property
    def tables(self) -> list[Table]:
        return [
            _table(kind, place, own, self.names)
            for kind in self.kinds
            for place, own in grouped(_by_category(self._trainings(kind)), lambda t: t[0]).items()
        ]

    @cached_property
    def notes(self) -> list[Note]:
        told = [
            "TFLOP: the method's own estimate, features and coreset included; s: of training "
            "alone, (…) where other work or cached features changed them."
        ]
        if "snapshots" in self.kinds:
            told.insert(0, f"{ALONG_CAVEAT[0].upper()}{ALONG_CAVEAT[1:]} (run --budgets).")
        return [Note("ours", text) for text in told]

    @cached_property
    def all_rows(self) -> list[dict[str, Any]]:
        return [
            {"kind": kind, **_facts(training.record, category), **_numbers(point, category)}
            for kind in self.kinds
            for (_, category), training in _by_category(self._trainings(kind))
            for point in training.points
        ]

    def require_rows(self, results: object) -> None:
        """Raise `UsageError` where there is nothing to show."""
        ways = {"snapshots": "--snapshots 8", "budgets": "--budgets 0.25,0.5,1"}
        for kind in self.kinds:
            if not any(len(t.points) > 1 for t in self._trainings(kind)):
                raise UsageError(
                    f"no record in {results} has what --{kind} shows: `adbench run "
                    f"{ways[kind]} --results {results} ...` makes some (--overwrite all where the "
                    "cells are there without)"
                )

    def _trainings(self, kind: str) -> list[Training]:
        return KINDS[kind][1](self.records)


def _by_category(trainings: Sequence[Training]) -> Iterator[tuple[tuple[str, str], Training]]:
    for training in trainings:
        own = training.record.identity
        for category in own["categories"]:
            yield (str(own["dataset"]), str(category)), training


def _table(
    kind: str, place: tuple[str, str], own: Sequence[tuple[tuple[str, str], Training]], names: Names
) -> Table:
    trainings = [training for _, training in own]
    seeds = {training.record.identity["seed"] for training in trainings}
    scopes = {training.record.identity["scope"] for training in trainings}
    rows: list[Row] = []
    for training in trainings:
        called = names.of_record(training.record)
        name = f"{called}{_details(training.record, len(seeds) > 1, len(scopes) > 1)}"
        last = len(training.points)
        rows += [
            row_of((name, *_texts(point, place[1])), ends=number == last)
            for number, point in enumerate(training.points, 1)
        ]
    title = KINDS[kind][0]
    preset = f", {preset_text(names.presets)}" if len(names.presets) == 1 else ""
    return Table(
        f"{title[0].upper()}{title[1:]}: {place[0]}, {place[1]}{preset} (%)",
        columns_of(("method",), (*_NAMES, *(TITLES[name] for name in SHOWN))),
        tuple(rows),
        key=f"{kind}-{'-'.join(place)}",
    )


def _details(record: Record, with_seed: bool, with_scope: bool) -> str:
    seed = f", seed {record.identity['seed']}" if with_seed else ""
    scope = f", {record.identity['scope']}" if with_scope else ""
    return f"{scope}{seed}"


def _texts(point: Point, category: str) -> list[str]:
    values = [point.metrics.get(category, {}).get(name) for name in SHOWN]
    seconds = f"{point.seconds:.1f}"
    return [
        "–" if point.step is None else str(point.step),
        f"{100 * point.share:.0f}",
        "–" if point.flops is None else f"{point.flops / 1e12:.3g}",
        seconds if point.undisturbed else f"({seconds})",
        skill.text(point.skill),
        *("–" if value is None else f"{100 * value:.2f}" for value in values),
    ]


def _facts(record: Record, category: str) -> dict[str, Any]:
    names = ("dataset", "scope", "seed", "limit")
    return {
        "method": record.identity["method"],
        "variant": record.variant,
        "preset": record.preset,
        **{name: record.identity[name] for name in names},
        "category": category,
    }


def _numbers(point: Point, category: str) -> dict[str, Any]:
    own = point.metrics.get(category, {})
    return {
        "share": point.share,
        "step": point.step,
        "training_flops": point.flops,
        "seconds": point.seconds,
        "undisturbed": point.undisturbed,
        "skill": point.skill.get("value"),
        "skill_standard_error": point.skill.get("standard_error"),
        "failure": point.failure or None,
        **{name: own.get(name) for name in METRICS},
    }

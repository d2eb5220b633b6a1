"""`report --verdicts`: how often calibrated cells call normal and anomalous test images anomalous.

Nothing is chosen by it: a verdict rests on normals that were held out of training, and the test
images only show what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adbench.data.calibration import way_to_verdicts
from adbench.errors import UsageError
from adbench.report.notes import Note
from adbench.report.report import OwnTables
from adbench.report.tables import grouped
from adbench.report.text_table import Row, Table, columns_of, preset_text, row_of
from adbench.stats.conformal import ALPHA, interval, p_values, spread, wanted
from adbench.store.records import Record
from adbench.text import counted

_TOLD = ("scope", "seed", "limit")
_NUMBERS = (
    "held out", "false alarms", "95 % interval", "of normals", "recall", "95 % interval",
    "of anomalous",
)  # fmt: skip


@dataclass(frozen=True)
class Verdicts:
    """Of one category's test images, at a rate of false alarms `alpha`.

    `false_alarms` and `recalled` are counts, None where `held_out` normals are too few for any
    verdict.
    """

    record: Record
    category: str
    alpha: float
    held_out: int
    normal: int
    anomalous: int
    false_alarms: int | None
    recalled: int | None


@dataclass(frozen=True)
class VerdictReport(OwnTables):
    """A table for each data set: a row a method, seed and category, nothing ranked."""

    alpha: float = ALPHA

    @cached_property
    def found(self) -> list[Verdicts]:
        return [v for record in self.records for v in _of(record, self.alpha)]

    @cached_property
    def tables(self) -> list[Table]:
        places = grouped(self.found, lambda v: str(v.record.identity["dataset"]))
        return [self._table(place, own) for place, own in places.items()]

    def _table(self, dataset: str, own: Sequence[Verdicts]) -> Table:
        several = {name: len({v.record.identity[name] for v in own}) > 1 for name in _TOLD}
        rows: list[Row] = []
        runs = grouped(own, lambda v: self._name(v.record, several))
        for name, ofs in runs.items():
            lines = [(name, v.category, *_texts([v])) for v in ofs]
            if len(ofs) > 1:
                lines.append((name, f"all {len(ofs)}", *_texts(ofs)))
            rows += [row_of(line, ends=i == len(lines)) for i, line in enumerate(lines, 1)]
        presets = self.names.presets
        where = ", ".join([dataset, preset_text(presets)] if len(presets) == 1 else [dataset])
        return Table(
            f"Verdicts at alpha {self.alpha:g}: {where} (%)",
            columns_of(("method", "category"), _NUMBERS),
            tuple(rows),
            key=f"verdicts-{dataset}",
        )

    def _name(self, record: Record, several: dict[str, bool]) -> str:
        own = record.identity
        told = {"scope": str(own["scope"]), "seed": f"seed {own['seed']}",
                "limit": f"limit {own['limit']}"}  # fmt: skip
        return ", ".join([self.names.of_record(record), *(told[n] for n in _TOLD if several[n])])

    @cached_property
    def notes(self) -> list[Note]:
        alpha, counts = self.alpha, sorted({v.held_out for v in self.found})
        told = [
            "An image is called anomalous where (1 + held-out normals of its category that score "
            f"at least as high) / (n + 1) <= {alpha:g}; the n held-out normals trained nothing, "
            "and nothing is chosen on test images."
        ]
        ranges = [(n, spread(alpha, n)) for n in counts if n >= wanted(alpha)]
        if ranges:
            each = "; ".join(f"n = {n}: {_range(*ends)} %" for n, ends in ranges)
            told.append(
                "Over draws of the held-out normals at most that share of normals like them is "
                f"called anomalous; of single cells 95 of 100 lie within {each}. More false alarms "
                "than that: the test normals differ from those for training."
            )
        for v in self.found:
            if v.false_alarms is None:
                told.append(_too_few(v))
        return [Note("ours", text) for text in dict.fromkeys(told)]

    @cached_property
    def all_rows(self) -> list[dict[str, Any]]:
        return [_row(v) for v in self.found]

    def require_rows(self, results: object) -> None:
        if not self.found:
            raise UsageError(
                f"no record in {results} is calibrated, which --verdicts shows: `adbench run "
                f"--calibrate 0.2 --results {results} ...` makes some"
            )


def _of(record: Record, alpha: float) -> Iterator[Verdicts]:
    """Of each category of a finished record that is calibrated."""
    if record.status != "done" or not record.calibration:
        return
    columns = (record.images[name] for name in ("category", "label", "score"))
    images = list(zip(*columns, strict=True))
    for category in record.identity["categories"]:
        known = record.held_out_scores(category)
        labels = [label for where, label, _ in images if where == category]
        counts: tuple[int | None, ...] = (None, None)
        if len(known) >= wanted(alpha):
            scores = [float(score) for where, _, score in images if where == category]
            called = p_values(scores, known) <= alpha
            counts = tuple(
                sum(bool(c) for c, own in zip(called, labels, strict=True) if own == label)
                for label in (0, 1)
            )
        yield Verdicts(
            record, category, alpha, len(known), labels.count(0), labels.count(1), *counts
        )


def _texts(own: Sequence[Verdicts]) -> list[str]:
    """Of one category, or of the images of several together."""
    told = [v for v in own if v.false_alarms is not None]
    held_out = sorted({v.held_out for v in own})
    first = str(held_out[0]) if len(held_out) == 1 else f"{held_out[0]} to {held_out[-1]}"
    if not told:
        return [first, *["–"] * 6]
    alarms = sum(v.false_alarms or 0 for v in told), sum(v.normal for v in told)
    recalled = sum(v.recalled or 0 for v in told), sum(v.anomalous for v in told)
    return [first, *_rate(*alarms), *_rate(*recalled)]


def _rate(count: int, of: int) -> list[str]:
    if not of:
        return ["–", "–", "0"]
    return [f"{100 * count / of:.2f}", _range(*interval(count, of)), f"{count}/{of}"]


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f}"


def _too_few(v: Verdicts) -> str:
    own = v.record
    every = own.data.get("train_images", 0) + len(own.calibration["id"])
    way = way_to_verdicts(v.held_out, every // len(own.identity["categories"]), v.alpha)
    return (
        f"{own.method} {own.preset} on {own.identity['dataset']}:{v.category}: no verdict with "
        f"{counted(v.held_out, 'held-out normal')}; {way}."
    )


def _row(v: Verdicts) -> dict[str, Any]:
    own = v.record.identity
    return {
        "method": own["method"],
        "variant": v.record.variant,
        "preset": v.record.preset,
        **{name: own[name] for name in ("dataset", "scope", "seed", "limit")},
        "category": v.category,
        "alpha": v.alpha,
        "held_out": v.held_out,
        "normal": v.normal,
        "false_alarms": v.false_alarms,
        "false_alarm_rate": None
        if v.false_alarms is None or not v.normal
        else v.false_alarms / v.normal,
        "anomalous": v.anomalous,
        "recalled": v.recalled,
        "recall": None if v.recalled is None or not v.anomalous else v.recalled / v.anomalous,
    }

"""The paper layout as CSV: one header, a number a cell, in fractions of full precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adbench.report.beside import shown
from adbench.report.blocks import Numbers, Summary
from adbench.report.tables import MEAN, SPREAD, group_of, grouped, named, spread
from adbench.report.text_table import marked, run_name
from adbench.spreadsheet import csv_text


class _Number(NamedTuple):
    """One value: where it stands, whose it is, and what of it."""

    place: tuple[str, str]
    category: str
    run: str
    what: str
    value: float


def wide_csv(numbers: Numbers, metrics: Sequence[str], *, transpose: bool) -> str:
    """A row a category (or mean, or spread over categories) and columns of runs by their selectors,
    `lafite fast image_auroc`; with `transpose` a row a run and columns of categories.

    A further column, `... std`, has the deviation over seeds where there are several. Reported
    numbers stand beside ours, `LafitE reported [1] image_auroc`.
    """
    found = [*_ours(numbers, metrics), *_reported(numbers, metrics)]
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for number in found:
        category = tuple(named(number.category).values())
        key = (*number.place, number.run) if transpose else (*number.place, *category)
        over = category[0] if transpose else number.run
        rows.setdefault(key, {})[f"{over} {number.what}"] = number.value
    names = ("dataset", "scope", "run") if transpose else ("dataset", "scope", "category", "level")
    heads = list(dict.fromkeys(head for own in rows.values() for head in own))
    lines = ([*key, *(own.get(head) for head in heads)] for key, own in rows.items())
    return csv_text([[*names, *heads], *lines])


def _ours(numbers: Numbers, metrics: Sequence[str]) -> Iterator[_Number]:
    for group in grouped(numbers.summaries, group_of).values():
        own = {str(s["category"]): s for s in group}
        for category, summary in own.items():
            if category != MEAN or len(own) > 2:
                yield from _values(numbers, summary, metrics)
        if len(own) > 2:
            yield from _spreads(numbers, own, metrics)


def _values(numbers: Numbers, summary: Summary, metrics: Sequence[str]) -> Iterator[_Number]:
    place, run = _place(summary), _run(numbers, summary)
    for metric in metrics:
        value: Mapping[str, Any] = summary[metric] or {}
        for what, name in ((metric, "mean"), (f"{metric} std", "std")):
            if value.get(name) is not None:
                yield _Number(place, summary["category"], run, what, value[name])


def _spreads(
    numbers: Numbers, own: Mapping[str, Summary], metrics: Sequence[str]
) -> Iterator[_Number]:
    mean = own[MEAN]
    for metric in metrics:
        value = spread(own, metric)
        if value is not None:
            yield _Number(_place(mean), SPREAD, _run(numbers, mean), metric, value)


def _place(summary: Summary) -> tuple[str, str]:
    return str(summary["dataset"]), str(summary["scope"])


def _run(numbers: Numbers, summary: Summary) -> str:
    return marked(run_name(summary), numbers.marks.of(summary))


def _reported(numbers: Numbers, metrics: Sequence[str]) -> Iterator[_Number]:
    for item in shown(numbers.beside, metrics):
        first, run = item.column.first, f"{item.name} reported [{item.mark}]"
        for (category, metric), number in item.column.numbers.items():
            if metric in metrics:
                place = (first.dataset, first.scope)
                yield _Number(place, category, run, metric, float(number.value))
                if number.std is not None:
                    yield _Number(place, category, run, f"{metric} std", float(number.std))

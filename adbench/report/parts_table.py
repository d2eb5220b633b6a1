"""What the parts of a method score alone, below the tables of the methods: never ranked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adbench.report.marks import Marks
from adbench.report.ranking import group_of
from adbench.report.tables import MEAN, TITLES, part_rows, rows, summarise_seeds
from adbench.report.text_table import Table, mean_label, percent, run_name, seeds_text
from adbench.store.comparability import data_versions
from adbench.store.records import Record

WHOLE = "whole"
"""The method itself, beside its parts."""


def parts_tables(records: Sequence[Record], metrics: Sequence[str]) -> list[Table]:
    """One table per data set and scope in which a method has parts.

    A row a category, method and part; the last of a method is the method itself.
    """
    having = [record for record in records if record.parts]
    found = [(row["part"], row) for row in summarise_parts(part_rows(records))]
    found += [(WHOLE, row) for row in summarise_seeds(rows(having, data_versions(records)))]
    places = dict.fromkeys((s["dataset"], s["scope"]) for _, s in found)
    marks = Marks(records)
    return [
        _table(
            place, [f for f in found if (f[1]["dataset"], f[1]["scope"]) == place], metrics, marks
        )
        for place in places
    ]


def summarise_parts(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """`summarise_seeds` of each part's rows."""
    names = dict.fromkeys(row["part"] for row in table)
    return [s for name in names for s in summarise_seeds([r for r in table if r["part"] == name])]


def _table(
    place: tuple[str, str],
    found: Sequence[tuple[str, dict[str, Any]]],
    metrics: Sequence[str],
    marks: Marks,
) -> Table:
    seeds = sorted({seed for _, summary in found for seed in summary["seeds"]})
    categories = list(dict.fromkeys(s["category"] for _, s in found if s["category"] != MEAN))
    lines: list[tuple[str, ...]] = []
    breaks: list[int] = []
    for category in [*categories, MEAN] if len(categories) > 1 else categories:
        own = [(part, s) for part, s in found if s["category"] == category]
        for group in dict.fromkeys(group_of(s) for _, s in own):
            mine = [(part, s) for part, s in own if group_of(s) == group]
            mark = marks.of(mine[0][1])
            lines += [_line(part, s, metrics, len(seeds), mark) for part, s in mine]
        breaks.append(len(lines) - 1)
    return Table(
        f"Parts of methods alone: {', '.join(place)} (%, {seeds_text(seeds)})",
        ("category", "method", "part", *(TITLES[name] for name in metrics)),
        tuple(lines),
        breaks=frozenset(breaks),
        text_columns=3,
        key=f"parts-{'-'.join(place)}",
    )


def _line(
    part: str, summary: dict[str, Any], metrics: Sequence[str], num_seeds: int, mark: str
) -> tuple[str, ...]:
    category = summary["category"]
    label = mean_label(summary) if category == MEAN else category
    values = (percent(summary[metric], summary["status"], num_seeds) for metric in metrics)
    name = run_name(summary)
    return (label, f"{name} ({mark})" if mark else name, part, *values)

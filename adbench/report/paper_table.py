"""The comparison as papers print it: a row a category and the mean, a column a method.

A cell is `detection / localisation`, two metrics of choice. `transpose` makes methods the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adbench.errors import AdbenchError
from adbench.registry import load_method
from adbench.report.beside import Beside, beside, shown
from adbench.report.comparison import blocks
from adbench.report.lanes import Lane, Line, transposed, upright
from adbench.report.marks import Marks
from adbench.report.ranking import category_sets, group_of
from adbench.report.reported import Reported
from adbench.report.tables import MEAN, SPREAD, TITLES, rows, spread, summarise_seeds
from adbench.report.text_table import EMPHASIS, Table, percent, seeds_text
from adbench.store.records import Record

DEFAULT_CELLS = ("image_auroc", "pixel_auroc")


def paper_tables(
    records: Sequence[Record],
    numbers: Sequence[Reported] = (),
    cells: Sequence[str] = DEFAULT_CELLS,
    transpose: bool = False,
) -> list[Table]:
    """One table per data set and scope, with published `numbers` in columns of their own."""
    summaries = summarise_seeds(rows(records))
    marks = Marks(records)
    reported = shown(beside(records, summaries, numbers), cells)
    tables = []
    for dataset, scope in blocks(summaries, reported):
        own = [s for s in summaries if (s["dataset"], s["scope"]) == (dataset, scope)]
        theirs = [b for b in reported if (b.column.dataset, b.column.scope) == (dataset, scope)]
        there = own or [s for s in summaries if s["dataset"] == dataset]
        lines = _lines(there, own, theirs)
        lanes = _own_lanes(own, lines, cells, marks)
        lanes += _reported_lanes(theirs, lines, cells)
        if lanes:
            there_are = [line for line in lines if any(line in lane.cells for lane in lanes)]
            turn = transposed if transpose else upright
            table = turn(there_are, lanes, cells, category_sets(own))
            title, caption = _titles(dataset, scope, own, cells)
            key = f"{dataset}-{scope}"
            tables.append(replace(table, title=title, caption=caption, key=key))
    return tables


def _lines(
    there: Sequence[Mapping[str, Any]],
    own: Sequence[Mapping[str, Any]],
    reported: Sequence[Beside],
) -> list[Line]:
    """Categories, then the means, a line for each set of categories, then as many spreads."""
    categories = dict.fromkeys(s["category"] for s in there if s["category"] != MEAN)
    sets = [over for over in category_sets(own).values() if len(over) > 1]
    sets += [b.column.categories for b in reported]
    averaged = list(dict.fromkeys(sets))
    return [
        *(Line(category) for category in categories),
        *(Line(MEAN, over) for over in averaged),
        *(Line(SPREAD, over) for over in averaged),
    ]


def _own_lanes(
    summaries: Sequence[Mapping[str, Any]],
    lines: Sequence[Line],
    cells: Sequence[str],
    marks: Marks,
) -> list[Lane]:
    groups: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for summary in summaries:
        groups.setdefault(group_of(summary), {})[summary["category"]] = summary
    presets = {s["preset"] for s in summaries}
    num_seeds = len({seed for s in summaries for seed in s["seeds"]})
    lanes = []
    for own in groups.values():
        over = frozenset(own) - {MEAN}
        texts: dict[Line, tuple[str, ...]] = {}
        ranked: dict[Line, Mapping[str, Any]] = {}
        for line in lines:
            if line.over not in (frozenset(), over):
                continue
            if line.category == SPREAD:
                texts[line] = tuple(_spread_text(own, metric) for metric in cells)
            elif line.category in own:
                ranked[line] = own[line.category]
                texts[line] = _texts(own[line.category], cells, num_seeds)
        head = _heading(own[MEAN], marks, with_preset=len(presets) > 1)
        lanes.append(Lane(head, texts, summaries=ranked))
    return lanes


def _texts(summary: Mapping[str, Any], cells: Sequence[str], num_seeds: int) -> tuple[str, ...]:
    texts = [percent(summary[metric], summary["status"], num_seeds) for metric in cells]
    left_out, of = summary["undefined"], summary["categories"]
    if summary["category"] == MEAN and left_out:
        # A mean over fewer than all, for a failed or undefined category, must not look like one.
        texts[-1] += f" ({of - left_out} of {of})"
    return tuple(texts)


def _spread_text(own: Mapping[str, Mapping[str, Any]], metric: str) -> str:
    value = spread({c: s for c, s in own.items() if c != MEAN}, metric)
    return "–" if value is None else f"{100 * value:.2f}"


def _heading(summary: Mapping[str, Any], marks: Marks, with_preset: bool) -> tuple[str, ...]:
    try:
        title = load_method(summary["method"]).card.title
    except AdbenchError:  # a method from a file, or no longer installed
        title = summary["method"]
    mark = marks.of(summary)
    options = summary["variant"].split(",") if summary["variant"] else []
    preset = [summary["preset"]] if with_preset else []
    return (title, *options, *preset, *([f"({mark})"] if mark else []))


def _reported_lanes(
    reported: Sequence[Beside], lines: Sequence[Line], cells: Sequence[str]
) -> list[Lane]:
    """A lane for each column with a number here, and one for how ours differ from it; those of
    methods that we ran come first, next to ours."""
    lanes = []
    for item in sorted(reported, key=lambda item: item.run is None):
        texts: dict[Line, tuple[str, ...]] = {}
        apart: dict[Line, tuple[str, ...]] = {}
        for line in lines:
            if line.over not in (frozenset(), item.column.categories):
                continue
            numbers = [item.number(line.category, metric) for metric in cells]
            if any(numbers):
                texts[line] = tuple(n.text if n else "–" for n in numbers)
                apart[line] = tuple(item.difference_text(line.category, m) for m in cells)
        if texts:
            lanes.append(Lane(tuple(item.head), texts, is_reported=True))
        if texts and item.run is not None and not item.differences:
            lanes.append(Lane((item.column.name, "ours −", "reported"), apart, is_reported=True))
    return lanes


def _titles(
    dataset: str, scope: str, summaries: Sequence[Mapping[str, Any]], cells: Sequence[str]
) -> tuple[str, str]:
    """A line for screens, and a caption for papers."""
    metrics = " / ".join(TITLES[name] for name in cells)
    seeds = sorted({seed for s in summaries for seed in s["seeds"]})
    presets = sorted({s["preset"] for s in summaries})
    shown_seeds = f"%, {seeds_text(seeds)}" if seeds else "%, as reported"
    preset = f", preset {presets[0]}" if len(presets) == 1 else ""
    title = f"{dataset}, {scope}{preset}: {metrics} ({shown_seeds})"
    models = "one model per category" if scope == "separate" else "one model for all categories"
    caption = f"{metrics} on {dataset}, {models}{preset}, in {shown_seeds.replace('%', 'percent')}."
    caption = caption[0].upper() + caption[1:]
    if summaries:
        caption += f" {EMPHASIS} The std over categories is the population form."
    return title, caption

"""The comparison: one table a data set and scope, long (a row a method, a column a metric) or as
papers print it (a row a category, a column a method, a cell one metric or two)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress, zip_longest
from typing import NamedTuple

from adbench.report.beside import Beside
from adbench.report.blocks import REPORTED, Numbers, over
from adbench.report.blocks import SHOWN as SHOWN
from adbench.report.blocks import Block as Block
from adbench.report.blocks import blocks as blocks
from adbench.report.tables import MEAN, SPREAD, TITLES, group_of, spread
from adbench.report.text_table import (
    Cell,
    Column,
    Row,
    Table,
    Value,
    averaged,
    columns_of,
    emphasis,
    marked,
)

DEFAULT_CELLS = ("image_auroc", "pixel_auroc")
OURS = "ours"


def _reported(item: Beside, category: str, metrics: Sequence[str]) -> list[Cell]:
    """What a paper reports of a category, if anything, and how ours differ from it where they may
    be compared."""
    numbers = [item.number(category, metric) for metric in metrics]
    if not any(numbers):
        return []
    cells = [tuple(Value(n.text if n else "–") for n in numbers)]
    if item.compared_with is not None:
        cells.append(tuple(Value(item.difference_text(category, metric)) for metric in metrics))
    return cells


# ----------------------------------------------------------------------- a row a method


def comparison(numbers: Numbers) -> list[Table]:
    """One table a block, a column a metric; published numbers in rows of their own below ours."""
    return [table for block in blocks(numbers, SHOWN) if (table := _long(block)).rows]


def _long(block: Block) -> Table:
    own = block.cells(SHOWN)
    is_sum = len(block.categories) > 1  # else the mean is that category again
    found: list[Row] = []
    for category in [*block.categories, MEAN] if is_sum or block.theirs else block.categories:
        lines = [
            (averaged(s), block.name_of(s), own[group_of(s), category], False)
            for s in block.own
            if s["category"] == category and (is_sum or category != MEAN)
        ]
        for item in block.theirs:
            names = [item.row_name]
            if (run := item.compared_with) is not None:
                names.append(f"{marked(block.names.of(run.first), run.mark)} − reported")
            over = str(len(item.column.categories))
            cells = _reported(item, category, SHOWN)
            lines += [(over, Value(n), cell, True) for n, cell in zip(names, cells, strict=False)]
        for number, (over, name, cell, reported) in enumerate(lines, 1):
            first = Value(f"mean of {over}" if category == MEAN else category)
            row = tuple((value,) for value in (first, name, *cell))
            found.append(Row(row, ends=number == len(lines), reported=reported))
    return Table(
        f"{block.place} ({block.unit})",
        columns_of(("category", "method"), (TITLES[name] for name in SHOWN)),
        tuple(found),
        caption=_sentences(f"Results {block.place_in_words()}, {block.unit_in_words}", found),
        key=f"{block.dataset}-{block.scope}",
    )


def _sentences(first: str, rows: Sequence[Row], *more: str) -> str:
    """A caption."""
    return " ".join(filter(None, [f"{first}.", emphasis(rows), *more]))


# ------------------------------------------------------------------------- as in papers


class Line(NamedTuple):
    """What a row is about: a category, or the mean or spread of those in `over`."""

    category: str
    over: frozenset[str] = frozenset()


class Lane(NamedTuple):
    """A column: its heading in lines, its cell at each line, None where it has nothing, and its
    name where it is a row."""

    head: tuple[str, ...]
    cells: Sequence[Cell | None]
    name: Value
    reported: bool = False


def paper_tables(
    numbers: Numbers, metrics: Sequence[str] = DEFAULT_CELLS, transpose: bool | None = None
) -> list[Table]:
    """One table a block, with published numbers in columns of their own; `transpose` makes methods
    the rows, by default where there are more of them than of categories and means."""
    tables = []
    for block in blocks(numbers, metrics):
        sets = [over for over in map(over, block.methods.values()) if len(over) > 1]
        sets += [item.column.categories for item in block.theirs]
        sums = [Line(kind, over) for kind in (MEAN, SPREAD) for over in dict.fromkeys(sets)]
        lines = [*map(Line, block.categories), *sums]
        if lanes := _lanes(block, lines, metrics):
            there = [any(cells) for cells in zip(*(lane.cells for lane in lanes), strict=True)]
            lanes = [lane._replace(cells=list(compress(lane.cells, there))) for lane in lanes]
            kept, empty = list(compress(lines, there)), (Value(""),) * len(metrics)
            is_turned = len(lanes) > len(kept) if transpose is None else transpose
            if is_turned and len(kept) == 1:
                columns, rows = _of_one(lanes, metrics, empty)
            else:
                columns, rows = _grid(kept, lanes, empty, is_turned)
            title, caption = _titles(block, metrics, rows, kept)
            tables.append(Table(title, columns, rows, caption, f"{block.dataset}-{block.scope}"))
    return tables


def _lanes(block: Block, lines: Sequence[Line], metrics: Sequence[str]) -> list[Lane]:
    """Ours, then those reported of methods that we ran, then the rest, each with how ours differ
    from it."""
    cells, lanes = block.cells(metrics), []
    for group, own in block.methods.items():
        categories, mean = over(own), own[MEAN]
        at: dict[Line, Cell] = {Line(c): cells[group, c] for c in categories}
        *first, last = cells[group, MEAN]
        if mean["undefined"]:  # a mean over fewer than all must not look like one over all
            last = replace(last, text=f"{last.text} ({averaged(mean)})")
        at[Line(MEAN, categories)] = (*first, last)
        spreads = (spread(own, metric) for metric in metrics)
        at[Line(SPREAD, categories)] = tuple(
            Value("–" if value is None else f"{100 * value:.2f}") for value in spreads
        )
        lines_of = block.names.lines(mean, preset=len(block.presets) > 1)
        head = (*lines_of, *([f"({mark})"] if (mark := block.marks.of(mean)) else []))
        lanes.append(Lane(head, [at.get(line) for line in lines], block.name_of(mean)))
    for item in sorted(block.theirs, key=lambda item: item.run is None):
        heads = (item.head, (item.name, "ours −", "reported"))
        names = (item.row_name, f"{item.name}, ours − reported")
        whole = (frozenset[str](), item.column.categories)
        found = [
            _reported(item, line.category, metrics) if line.over in whole else [] for line in lines
        ]
        for head, name, theirs in zip(heads, names, zip_longest(*found), strict=False):
            lanes.append(Lane(head, theirs, Value(name), reported=True))
    return lanes


def _grid(
    lines: Sequence[Line], lanes: Sequence[Lane], empty: Cell, transpose: bool
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Columns and rows: lanes and lines, or turned the other way round."""
    labels, cells = _labels(lines), [[cell or empty for cell in lane.cells] for lane in lanes]
    names, theirs = list(map(Value, labels)), [lane.reported for lane in lanes]
    if transpose:
        columns = columns_of(["method"], labels)
        names, last, reported = [lane.name for lane in lanes], theirs.count(False), theirs
    else:
        kinds = (REPORTED if is_theirs else OURS for is_theirs in theirs)
        groups = kinds if any(theirs) else [""] * len(lanes)
        columns = (
            Column("category", is_name=True),
            *(
                Column("\n".join(lane.head), False, group, lane.reported)
                for lane, group in zip(lanes, groups, strict=True)
            ),
        )
        cells = [list(row) for row in zip(*cells, strict=True)]
        last, reported = sum(not line.over for line in lines), [False] * len(lines)
    rows = [
        Row(((name,), *own), ends=number == last < len(names), reported=is_reported)
        for number, (name, own, is_reported) in enumerate(
            zip(names, cells, reported, strict=True), 1
        )
    ]
    return columns, tuple(rows)


def _of_one(
    lanes: Sequence[Lane], metrics: Sequence[str], empty: Cell
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """A row a method for one category alone, where each metric has a column of its own."""
    ours = sum(not lane.reported for lane in lanes)
    rows = (
        Row(
            tuple((value,) for value in (lane.name, *(cell or empty))),
            ends=number == ours < len(lanes),
            reported=lane.reported,
        )
        for number, lane in enumerate(lanes, 1)
        for cell in lane.cells
    )
    heads = [TITLES[name] for name in metrics]
    return columns_of(["method"], heads), tuple(rows)


def _labels(lines: Sequence[Line]) -> list[str]:
    """Names of categories; of a mean or a spread over how many, or which, where that is not
    unique."""
    sizes = [(line.category, len(line.over)) for line in lines]
    labels = []
    for line, size in zip(lines, sizes, strict=True):
        over = f" ({', '.join(sorted(line.over))})" if sizes.count(size) > 1 else ""
        kind = "mean of" if line.category == MEAN else "std over"
        labels.append(f"{kind} {len(line.over)}{over}" if line.over else line.category)
    return labels


def _titles(
    block: Block, cells: Sequence[str], rows: Sequence[Row], lines: Sequence[Line]
) -> tuple[str, str]:
    """A line for screens, and a caption for papers, of what these rows and lines show."""
    metrics = " / ".join(TITLES[name] for name in cells)
    (only,) = _labels(lines) if len(lines) == 1 else ("",)
    only = only if only != block.dataset else ""
    title = f"{block.place}{f', {only}' * bool(only)}: {metrics} ({block.unit})"
    where = f"{block.place_in_words(only)}, {block.unit_in_words}"
    head = f"{metrics[0].upper()}{metrics[1:]} {where}"
    has_spread = any(line.category == SPREAD for line in lines) and bool(block.own)
    population = "The std over categories is the population form." if has_spread else ""
    return title, _sentences(head, rows, population)

"""The comparison: one table a data set and scope, long (a row a method, a column a metric) or as
papers print it (a row a category, a column a method, a cell one metric or two)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, zip_longest
from typing import Any, NamedTuple

from adbench.errors import AdbenchError
from adbench.metrics import table as metrics_table
from adbench.registry import load_method
from adbench.report.beside import Beside, beside, shown
from adbench.report.marks import Marks
from adbench.report.own_runs import own_runs
from adbench.report.reported import Reported
from adbench.report.tables import (
    MEAN,
    SPREAD,
    TITLES,
    Group,
    group_of,
    grouped,
    rows,
    spread,
    summarise_seeds,
)
from adbench.report.text_table import (
    EMPHASIS,
    Cell,
    Column,
    Rank,
    Row,
    Table,
    Value,
    averaged,
    columns_of,
    marked,
    percent,
    run_name,
    seeds_text,
)
from adbench.store.records import Record

SHOWN = metrics_table.shown()
DEFAULT_CELLS = ("image_auroc", "pixel_auroc")
OURS, REPORTED = "ours", "as reported"

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Numbers:
    """What all tables and notes of a report are made from: records, and published numbers."""

    records: Sequence[Record]
    published: Sequence[Reported] = ()

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return rows(self.records, self.marks.versions)

    @cached_property
    def summaries(self) -> list[dict[str, Any]]:
        return summarise_seeds(self.rows)

    @cached_property
    def marks(self) -> Marks:
        return Marks(self.records)

    @cached_property
    def beside(self) -> list[Beside]:
        """The published columns of our data sets, each with our nearest run."""
        if not self.published:
            return []
        runs = own_runs(self.records, self.summaries, self.marks)
        datasets = list(dict.fromkeys(s["dataset"] for s in self.summaries))
        return beside(runs, datasets, self.published)


@dataclass(frozen=True)
class Block:
    """All of one data set and scope: the summaries of ours, what papers report, the categories."""

    dataset: str
    scope: str
    own: Sequence[Summary]
    theirs: Sequence[Beside]
    categories: Sequence[str]
    marks: Marks

    @cached_property
    def methods(self) -> dict[Group, dict[str, Summary]]:
        """Each method's summaries by category."""
        groups = grouped(self.own, group_of)
        return {group: {s["category"]: s for s in own} for group, own in groups.items()}

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({seed for s in self.own for seed in s["seeds"]})

    @property
    def unit(self) -> str:
        return f"%, {seeds_text(self.seeds) if self.seeds else REPORTED}"

    def cells(self, metrics: Sequence[str]) -> dict[tuple[Group, str], Cell]:
        """The values of each method and category, ranked."""
        found = {}
        for category, own in grouped(self.own, lambda s: str(s["category"])).items():
            peers = {group_of(s): s for s in own}
            ranks = [self._ranks(peers, metric) for metric in metrics]
            for group, s in peers.items():
                texts = [percent(s[metric], s["status"], len(self.seeds)) for metric in metrics]
                found[group, category] = tuple(map(Value, texts, (own[group] for own in ranks)))
        return found

    def _ranks(self, own: Mapping[Group, Summary], metric: str) -> dict[Group, Rank]:
        """Best and second best among summaries of one category (or mean).

        Only like with like: one protocol, one version of the data, one `--limit`, for means one set
        of categories. A smoke run ranks nothing that it stands beside. Values are compared as
        printed, because of two equal texts one in bold would mislead; two that share the first
        place leave no second, and of two the second is just the other.
        """

        def kind(group: Group) -> Hashable:
            s = own[group]
            over = _over(self.methods[group]) if s["category"] == MEAN else None
            return s["protocol"], s["data"], s["limit"], over

        ranks: dict[Group, Rank] = dict.fromkeys(own, "")
        for peers in grouped(own, kind).values():
            if len(peers) < 2 or any(own[group]["preset"] == "smoke" for group in peers):
                continue
            values = {
                group: round(own[group][metric]["mean"], 4)
                for group in peers
                if own[group][metric] is not None and own[group]["status"] == "done"
            }
            order = sorted(values.values(), reverse=True)
            for group, value in values.items():
                if value == order[0]:
                    ranks[group] = "best"
                elif value == order[1] and len(order) > 2:
                    ranks[group] = "second"
        return ranks


def _over(own: Mapping[str, Summary]) -> frozenset[str]:
    return frozenset(own) - {MEAN}


def blocks(numbers: Numbers, metrics: Sequence[str]) -> list[Block]:
    """One a data set and scope (unified and separate are never ranked together), those of one data
    set together, ours first."""
    ours = grouped(numbers.summaries, lambda s: (s["dataset"], s["scope"]))
    visible = shown(numbers.beside, metrics)
    theirs = grouped(visible, lambda b: (b.column.first.dataset, b.column.first.scope))
    every = grouped(numbers.summaries, lambda s: s["dataset"])
    datasets = grouped(dict.fromkeys([*ours, *theirs]), lambda key: key[0])
    found = []
    for key in (key for keys in datasets.values() for key in keys):
        own = ours.get(key, [])
        names = dict.fromkeys(s["category"] for s in own or every[key[0]])
        categories = [name for name in names if name != MEAN]
        found.append(Block(*key, own, theirs.get(key, []), categories, numbers.marks))
    return found


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
            (averaged(s), marked(run_name(s), block.marks.of(s)), own[group_of(s), category], False)
            for s in block.own
            if s["category"] == category and (is_sum or category != MEAN)
        ]
        for item in block.theirs:
            names = [f"{item.name}, {' '.join(item.head[1:])}"]
            names += [f"{run.name} − reported"] if (run := item.compared_with) else []
            over = str(len(item.column.categories))
            cells = _reported(item, category, SHOWN)
            lines += [(over, n, cell, True) for n, cell in zip(names, cells, strict=False)]
        for number, (over, name, cell, reported) in enumerate(lines, 1):
            heads = (Value(f"mean of {over}" if category == MEAN else category), Value(name))
            row = tuple((value,) for value in (*heads, *cell))
            found.append(Row(row, ends=number == len(lines), reported=reported))
    title = f"{block.dataset}, {block.scope} ({block.unit})"
    is_ranked = any(value.rank for row in found for cell in row.cells for value in cell)
    return Table(
        title,
        columns_of(("category", "method"), (TITLES[name] for name in SHOWN)),
        tuple(found),
        caption=f"{title}. {EMPHASIS}" if is_ranked else "",
        key=f"{block.dataset}-{block.scope}",
    )


# ------------------------------------------------------------------------- as in papers


class Line(NamedTuple):
    """What a row is about: a category, or the mean or spread of those in `over`."""

    category: str
    over: frozenset[str] = frozenset()


class Lane(NamedTuple):
    """A column: its heading in lines, and its cell at each line, None where it has nothing."""

    head: tuple[str, ...]
    cells: Sequence[Cell | None]
    reported: bool = False


def paper_tables(
    numbers: Numbers, metrics: Sequence[str] = DEFAULT_CELLS, transpose: bool = False
) -> list[Table]:
    """One table a block, with published numbers in columns of their own; `transpose` makes methods
    the rows."""
    tables = []
    for block in blocks(numbers, metrics):
        sets = [over for over in map(_over, block.methods.values()) if len(over) > 1]
        sets += [item.column.categories for item in block.theirs]
        sums = [Line(kind, over) for kind in (MEAN, SPREAD) for over in dict.fromkeys(sets)]
        lines = [*map(Line, block.categories), *sums]
        if lanes := _lanes(block, lines, metrics):
            there = [any(cells) for cells in zip(*(lane.cells for lane in lanes), strict=True)]
            lanes = [lane._replace(cells=list(compress(lane.cells, there))) for lane in lanes]
            kept, empty = list(compress(lines, there)), (Value(""),) * len(metrics)
            columns, rows = _grid(kept, lanes, empty, transpose)
            title, caption = _titles(block, metrics)
            tables.append(Table(title, columns, rows, caption, f"{block.dataset}-{block.scope}"))
    return tables


def _lanes(block: Block, lines: Sequence[Line], metrics: Sequence[str]) -> list[Lane]:
    """Ours, then those reported of methods that we ran, then the rest, each with how ours differ
    from it."""
    cells, lanes = block.cells(metrics), []
    presets = {s["preset"] for s in block.own}
    for group, own in block.methods.items():
        over, mean = _over(own), own[MEAN]
        at: dict[Line, Cell] = {Line(category): cells[group, category] for category in over}
        *first, last = cells[group, MEAN]
        if mean["undefined"]:  # a mean over fewer than all must not look like one over all
            last = replace(last, text=f"{last.text} ({averaged(mean)})")
        at[Line(MEAN, over)] = (*first, last)
        spreads = (spread(own, metric) for metric in metrics)
        at[Line(SPREAD, over)] = tuple(
            Value("–" if value is None else f"{100 * value:.2f}") for value in spreads
        )
        head = _heading(mean, block.marks, with_preset=len(presets) > 1)
        lanes.append(Lane(head, [at.get(line) for line in lines]))
    for item in sorted(block.theirs, key=lambda item: item.run is None):
        heads = (item.head, (item.name, "ours −", "reported"))
        whole = (frozenset[str](), item.column.categories)
        found = [
            _reported(item, line.category, metrics) if line.over in whole else [] for line in lines
        ]
        for head, theirs in zip(heads, zip_longest(*found), strict=False):
            lanes.append(Lane(head, theirs, reported=True))
    return lanes


def _heading(summary: Summary, marks: Marks, with_preset: bool) -> tuple[str, ...]:
    try:
        title = load_method(summary["method"]).card.title
    except AdbenchError:  # a method from a file, or no longer installed
        title = summary["method"]
    mark = marks.of(summary)
    options = summary["variant"].split(",") if summary["variant"] else []
    preset = [summary["preset"]] if with_preset else []
    return (title, *options, *preset, *([f"({mark})"] if mark else []))


def _grid(
    lines: Sequence[Line], lanes: Sequence[Lane], empty: Cell, transpose: bool
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Columns and rows: lanes and lines, or turned the other way round."""
    names, cells = _labels(lines), [[cell or empty for cell in lane.cells] for lane in lanes]
    theirs = [lane.reported for lane in lanes]
    if transpose:
        columns = columns_of(["method"], names)
        names, last, reported = [" ".join(lane.head) for lane in lanes], theirs.count(False), theirs
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
        Row(((Value(name),), *own), ends=number == last < len(names), reported=is_reported)
        for number, (name, own, is_reported) in enumerate(
            zip(names, cells, reported, strict=True), 1
        )
    ]
    return columns, tuple(rows)


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


def _titles(block: Block, cells: Sequence[str]) -> tuple[str, str]:
    """A line for screens, and a caption for papers."""
    metrics = " / ".join(TITLES[name] for name in cells)
    presets = sorted({s["preset"] for s in block.own})
    preset = f", preset {presets[0]}" if len(presets) == 1 else ""
    title = f"{block.dataset}, {block.scope}{preset}: {metrics} ({block.unit})"
    models = "model per category" if block.scope == "separate" else "model for all categories"
    caption = f"{metrics} on {block.dataset}, one {models}{preset}, in "
    caption = f"{caption[0].upper()}{caption[1:]}{block.unit.replace('%', 'percent')}."
    if block.own:
        caption += f" {EMPHASIS} The std over categories is the population form."
    return title, caption

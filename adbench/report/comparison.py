"""The comparison: methods as lanes, categories as lines, one grid that is set as a table long (a
row a method, a column a metric), as in papers (a column a method) or transposed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

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
        """Ours, one a method, category and seed."""
        return rows(self.records, self.marks.versions)

    @cached_property
    def summaries(self) -> list[dict[str, Any]]:
        """The same over seeds."""
        return summarise_seeds(self.rows)

    @cached_property
    def marks(self) -> Marks:
        """What stands behind the names of ours."""
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
class Line:
    """A category, or the mean or spread of those in `over`."""

    category: str
    over: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lane:
    """The cells of one method by line: ours, reported, or the difference of the two.

    It has a heading in lines, reported ones a `name` in one line; `averaged` says over how many
    categories its mean is, "5 of 6" where some are left out.
    """

    head: tuple[str, ...]
    cells: Mapping[Line, Cell]
    averaged: str
    name: str = ""
    reported: bool = False


@dataclass(frozen=True)
class Block:
    """All of one data set and scope: the summaries of ours, what papers report, the categories."""

    dataset: str
    scope: str
    own: Sequence[Summary]
    theirs: Sequence[Beside]
    categories: Sequence[str]

    @cached_property
    def groups(self) -> dict[Group, dict[str, Summary]]:
        """Each method's summaries by category."""
        groups = grouped(self.own, group_of)
        return {group: {s["category"]: s for s in own} for group, own in groups.items()}

    @cached_property
    def seeds(self) -> list[int]:
        """Of all methods."""
        return sorted({seed for s in self.own for seed in s["seeds"]})

    def lanes(self, metrics: Sequence[str], marks: Marks) -> dict[Group | str, Lane]:
        """Those of ours by group, then of the papers: the published first, then ours less it."""
        presets = {s["preset"] for s in self.own}
        ranked = self._ranked(metrics)
        lanes: dict[Group | str, Lane] = {}
        for group, own in self.groups.items():
            over = _over(own)
            cells = {
                Line(c, over if c == MEAN else frozenset()): tuple(
                    Value(percent(s[m], s["status"], len(self.seeds)), ranked[group, c, m])
                    for m in metrics
                )
                for c, s in own.items()
            }
            spreads = [spread(own, metric) for metric in metrics]
            cells[Line(SPREAD, over)] = tuple(
                Value("–" if value is None else f"{100 * value:.2f}") for value in spreads
            )
            head = _heading(own[MEAN], marks, with_preset=len(presets) > 1)
            lanes[group] = Lane(head, cells, averaged(own[MEAN]))
        for number, item in enumerate(self.theirs):
            for kind, lane in _reported_lanes(item, metrics).items():
                lanes[f"{number} {kind}"] = lane
        return lanes

    def _ranked(self, metrics: Sequence[str]) -> dict[tuple[Group, str, str], Rank]:
        found: dict[tuple[Group, str, str], Rank] = {}
        for category, own in grouped(self.own, lambda s: str(s["category"])).items():
            for metric in metrics:
                ranks = _ranks({group_of(s): s for s in own}, metric, self.groups)
                found |= {(group, category, metric): rank for group, rank in ranks.items()}
        return found


def blocks(numbers: Numbers, metrics: Sequence[str]) -> list[Block]:
    """One a data set and scope (unified and separate are never ranked together), those of one data
    set together, ours first."""
    ours = grouped(numbers.summaries, lambda s: (s["dataset"], s["scope"]))
    visible = shown(numbers.beside, metrics)
    theirs = grouped(visible, lambda b: (b.column.first.dataset, b.column.first.scope))
    every = grouped(numbers.summaries, lambda s: s["dataset"])
    keys = dict.fromkeys([*ours, *theirs])
    datasets = list(dict.fromkeys(dataset for dataset, _ in keys))
    found = []
    for dataset, scope in sorted(keys, key=lambda key: datasets.index(key[0])):
        own = ours.get((dataset, scope), [])
        names = (s["category"] for s in own or every[dataset])
        categories = [name for name in dict.fromkeys(names) if name != MEAN]
        found.append(Block(dataset, scope, own, theirs.get((dataset, scope), []), categories))
    return found


def _over(own: Mapping[str, Summary]) -> frozenset[str]:
    return frozenset(own) - {MEAN}


def _ranks(
    own: Mapping[Group, Summary], metric: str, groups: Mapping[Group, Mapping[str, Summary]]
) -> dict[Group, Rank]:
    """Best and second best among summaries of one category (or mean), data set and scope.

    Only like with like: one protocol, one version of the data, one `--limit`, for means one set of
    categories. A smoke run ranks nothing that it stands beside. Values are compared as printed,
    because of two equal texts one in bold would mislead; two that share the first place leave no
    second, and of two the second is just the other.
    """

    def kind(group: Group) -> Hashable:
        s = own[group]
        over = _over(groups[group]) if s["category"] == MEAN else None
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


def _heading(summary: Summary, marks: Marks, with_preset: bool) -> tuple[str, ...]:
    try:
        title = load_method(summary["method"]).card.title
    except AdbenchError:  # a method from a file, or no longer installed
        title = summary["method"]
    mark = marks.of(summary)
    options = summary["variant"].split(",") if summary["variant"] else []
    preset = [summary["preset"]] if with_preset else []
    return (title, *options, *preset, *([f"({mark})"] if mark else []))


def _reported_lanes(item: Beside, metrics: Sequence[str]) -> dict[str, Lane]:
    """A column with a number here, and how ours differ from it where they may be compared."""
    over = item.column.categories
    texts: dict[Line, Cell] = {}
    apart: dict[Line, Cell] = {}
    for category in dict.fromkeys(category for category, _ in item.column.numbers):
        numbers = [item.number(category, metric) for metric in metrics]
        if any(numbers):
            line = Line(category, over if category in (MEAN, SPREAD) else frozenset())
            texts[line] = tuple(Value(n.text if n else "–") for n in numbers)
            apart[line] = tuple(Value(item.difference_text(category, m)) for m in metrics)
    name = f"{item.name}, {' '.join(item.head[1:])}"
    lanes = {"reported": Lane(item.head, texts, str(len(over)), name, reported=True)}
    if (run := item.compared_with) is not None:
        head = (item.name, "ours −", "reported")
        lanes["apart"] = Lane(head, apart, str(len(over)), f"{run.name} − reported", reported=True)
    return lanes


# ----------------------------------------------------------------------- a row a method


def comparison(numbers: Numbers) -> list[Table]:
    """One table a block, a column a metric; published numbers in rows of their own below ours."""
    tables = (_long(block, numbers.marks) for block in blocks(numbers, SHOWN))
    return [table for table in tables if table.rows]


def _long(block: Block, marks: Marks) -> Table:
    lanes = block.lanes(SHOWN, marks)
    found: list[Row] = []
    is_sum = len(block.categories) > 1
    for category in [*block.categories, MEAN] if is_sum or block.theirs else block.categories:
        own = [s for s in block.own if s["category"] == category]
        if category == MEAN and not is_sum:
            own = []  # the mean of one category is that category again
        named = [(marked(run_name(s), marks.of(s)), lanes[group_of(s)]) for s in own]
        named += [(lane.name, lane) for lane in lanes.values() if lane.reported]
        for name, lane in named:
            cell = next((c for line, c in lane.cells.items() if line.category == category), ())
            if cell:
                label = f"mean of {lane.averaged}" if category == MEAN else category
                cells = tuple((value,) for value in (Value(label), Value(name), *cell))
                found.append(Row(cells, reported=lane.reported))
        if found:
            found[-1] = replace(found[-1], ends=True)
    seeds = seeds_text(block.seeds) if block.seeds else REPORTED
    title = f"{block.dataset}, {block.scope} (%, {seeds})"
    is_ranked = any(value.rank == "best" for row in found for cell in row.cells for value in cell)
    return Table(
        title,
        columns_of(("category", "method"), (TITLES[name] for name in SHOWN)),
        tuple(found),
        caption=f"{title}. {EMPHASIS}" if is_ranked else "",
        key=f"{block.dataset}-{block.scope}",
    )


# ------------------------------------------------------------------------- as in papers


def paper_tables(
    numbers: Numbers, cells: Sequence[str] = DEFAULT_CELLS, transpose: bool = False
) -> list[Table]:
    """One table a block; a cell is one metric or two, published numbers have columns of their own.
    `transpose` makes methods the rows."""
    turn = _transposed if transpose else _upright
    tables = []
    for block in blocks(numbers, cells):
        lanes = _paper_lanes(block, cells, numbers.marks)
        lines = [line for line in _lines(block) if any(line in lane.cells for lane in lanes)]
        if lanes:
            title, caption = _titles(block, cells)
            columns, found = turn(lines, lanes, len(cells))
            key = f"{block.dataset}-{block.scope}"
            tables.append(Table(title, columns, found, caption, key))
    return tables


def _lines(block: Block) -> list[Line]:
    """Categories, then the means, a line for each set of categories, then as many spreads."""
    sets = [over for over in map(_over, block.groups.values()) if len(over) > 1]
    averaged = dict.fromkeys([*sets, *(b.column.categories for b in block.theirs)])
    sums = [Line(category, over) for category in (MEAN, SPREAD) for over in averaged]
    return [*map(Line, block.categories), *sums]


def _paper_lanes(block: Block, cells: Sequence[str], marks: Marks) -> list[Lane]:
    """Ours, then those reported of methods that we ran, then the rest; only what has a line."""
    lanes = block.lanes(cells, marks)
    own = [_told(lanes[group]) for group in block.groups]
    lines = set(_lines(block))
    order = sorted(range(len(block.theirs)), key=lambda n: block.theirs[n].run is None)
    theirs = [
        lanes[f"{n} {k}"] for n in order for k in ("reported", "apart") if f"{n} {k}" in lanes
    ]
    return [*own, *(lane for lane in theirs if lines & lane.cells.keys())]


def _told(lane: Lane) -> Lane:
    """A mean over fewer than all must not look like one over all."""
    if lane.averaged.isdigit():
        return lane
    cells = {
        line: (*cell[:-1], replace(cell[-1], text=f"{cell[-1].text} ({lane.averaged})"))
        if line.category == MEAN else cell
        for line, cell in lane.cells.items()
    }  # fmt: skip
    return replace(lane, cells=cells)


def _upright(
    lines: Sequence[Line], lanes: Sequence[Lane], per: int
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    theirs = any(lane.reported for lane in lanes)
    columns = [Column("category", is_name=True)]
    for lane in lanes:
        group = (REPORTED if lane.reported else OURS) if theirs else ""
        columns.append(Column("\n".join(lane.head), False, group, lane.reported))
    last = sum(not line.over for line in lines) - 1
    found = [
        Row(((Value(label),), *_cells(lanes, [line], per)), ends=number == last < len(lines) - 1)
        for number, (label, line) in enumerate(zip(_labels(lines), lines, strict=True))
    ]
    return tuple(columns), tuple(found)


def _transposed(
    lines: Sequence[Line], lanes: Sequence[Lane], per: int
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    own = sum(not lane.reported for lane in lanes)
    found = [
        Row(
            ((Value(" ".join(lane.head)),), *_cells([lane], lines, per)),
            ends=number == own - 1 < len(lanes) - 1,
            reported=lane.reported,
        )
        for number, lane in enumerate(lanes)
    ]
    return columns_of(["method"], _labels(lines)), tuple(found)


def _cells(lanes: Iterable[Lane], lines: Sequence[Line], per: int) -> list[Cell]:
    """As many empty values where a lane has nothing at a line."""
    return [lane.cells.get(line, (Value(""),) * per) for lane in lanes for line in lines]


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
    seeds = f"%, {seeds_text(block.seeds) if block.seeds else REPORTED}"
    preset = f", preset {presets[0]}" if len(presets) == 1 else ""
    title = f"{block.dataset}, {block.scope}{preset}: {metrics} ({seeds})"
    models = "model per category" if block.scope == "separate" else "model for all categories"
    caption = f"{metrics} on {block.dataset}, one {models}{preset}, in "
    caption = f"{caption[0].upper()}{caption[1:]}{seeds.replace('%', 'percent')}."
    if block.own:
        caption += f" {EMPHASIS} The std over categories is the population form."
    return title, caption

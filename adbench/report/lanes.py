"""Methods as lanes and categories as lines: one grid of texts, set either way round as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adbench.report.ranking import Group, best_and_second
from adbench.report.tables import MEAN
from adbench.report.text_table import Table

Averaged = Mapping[Group, frozenset[str]]
"""The categories that each method's mean is over."""
_Where = tuple[int, int, int]

OURS, REPORTED = "ours", "as reported"


@dataclass(frozen=True)
class Line:
    """What a row of the table (a column, transposed) is about: a category, or some in sum."""

    category: str
    over: frozenset[str] = frozenset()
    """Of a mean or a spread: over these categories."""


@dataclass(frozen=True)
class Lane:
    """What a column of the table (a row, transposed) holds: one method's texts by line."""

    head: tuple[str, ...]
    cells: Mapping[Line, tuple[str, ...]]
    is_reported: bool = False
    summaries: Mapping[Line, Mapping[str, Any]] | None = None
    """Of lanes that may be ranked."""

    def texts(self, line: Line, per: int) -> tuple[str, ...]:
        """The texts at a line; as many empty ones where there is none."""
        return self.cells.get(line, ("",) * per)


def upright(
    lines: Sequence[Line], lanes: Sequence[Lane], cells: Sequence[str], averaged: Averaged
) -> Table:
    """A row a line, a column (of one or two `cells`) a lane. Has no title yet."""
    per = len(cells)
    theirs = [index for index, lane in enumerate(lanes) if lane.is_reported]
    names = [REPORTED if lane.is_reported else OURS for lane in lanes]
    best, second = _ranks(lines, lanes, cells, averaged)
    return Table(
        title="",
        head=("category", *_spaced(["\n".join(lane.head) for lane in lanes], per)),
        rows=tuple(
            (label, *(text for lane in lanes for text in lane.texts(line, per)))
            for label, line in zip(_labels(lines), lines, strict=True)
        ),
        best=frozenset((line, 1 + per * lane + part) for lane, line, part in best),
        second=frozenset((line, 1 + per * lane + part) for lane, line, part in second),
        breaks=frozenset([sum(not line.over for line in lines) - 1]) - {-1, len(lines) - 1},
        text_columns=1,
        pairs=_pairs(len(lanes), per),
        groups=("", *(name for name in names for _ in range(per))) if theirs else (),
        reported_columns=frozenset(1 + per * i + part for i in theirs for part in range(per)),
    )


def transposed(
    lines: Sequence[Line], lanes: Sequence[Lane], cells: Sequence[str], averaged: Averaged
) -> Table:
    """A row a lane, a column (of one or two `cells`) a line. Has no title yet."""
    per = len(cells)
    theirs = [index for index, lane in enumerate(lanes) if lane.is_reported]
    best, second = _ranks(lines, lanes, cells, averaged)
    return Table(
        title="",
        head=("method", *_spaced(_labels(lines), per)),
        rows=tuple(
            (" ".join(lane.head), *(text for line in lines for text in lane.texts(line, per)))
            for lane in lanes
        ),
        best=frozenset((lane, 1 + per * line + part) for lane, line, part in best),
        second=frozenset((lane, 1 + per * line + part) for lane, line, part in second),
        breaks=frozenset([theirs[0] - 1] if theirs else []) - {-1},
        text_columns=1,
        pairs=_pairs(len(lines), per),
        reported_rows=frozenset(theirs),
    )


def _pairs(count: int, per: int) -> frozenset[int]:
    return frozenset(range(1, 2 * count, 2)) if per == 2 else frozenset()


def _spaced(texts: Sequence[str], per: int) -> list[str]:
    """Each text over the first of its columns."""
    return [text for own in texts for text in (own, *[""] * (per - 1))]


def _ranks(
    lines: Sequence[Line],
    lanes: Sequence[Lane],
    cells: Sequence[str],
    averaged: Averaged,
) -> tuple[set[_Where], set[_Where]]:
    """Best and second as (lane, line, part); reported lanes and spreads are never ranked."""
    best: set[_Where] = set()
    second: set[_Where] = set()
    for number, line in enumerate(lines):
        for part, metric in enumerate(cells):
            own = {
                (index, number, part): lane.summaries[line]
                for index, lane in enumerate(lanes)
                if lane.summaries is not None and line in lane.summaries
            }
            first, runner_up = best_and_second(own, metric, averaged)
            best |= first
            second |= runner_up
    return best, second


def _labels(lines: Sequence[Line]) -> list[str]:
    """Names of categories; of a mean or a spread over how many, or which, where that is not
    unique."""
    sizes = [(line.category, len(line.over)) for line in lines]
    labels = []
    for line in lines:
        if not line.over:
            labels.append(line.category)
            continue
        size = (line.category, len(line.over))
        over = f" ({', '.join(sorted(line.over))})" if sizes.count(size) > 1 else ""
        kind = "mean of" if line.category == MEAN else "std over"
        labels.append(f"{kind} {len(line.over)}{over}")
    return labels

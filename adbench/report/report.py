"""A report: the tables and notes of some records, which every format writes down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from adbench.report.beside import reported_rows
from adbench.report.blocks import SHOWN, Numbers
from adbench.report.comparison import DEFAULT_CELLS, comparison, paper_tables
from adbench.report.notes import Note, notes
from adbench.report.side_tables import costs_table, parts_tables, timing_table
from adbench.report.tables import part_rows
from adbench.report.text_table import Table


@dataclass(frozen=True)
class Report(Numbers):
    """What is shown of records and of published numbers beside them, whatever the format.

    The layout `long` has a row a method and a column a metric; `paper` a row a category and a
    column a method with one or two metrics in a `cells`, `transpose` the other way round (None:
    where there are more methods). `all_notes`: notes stand below their table, however long.
    """

    layout: Literal["long", "paper"] = "long"
    cells: tuple[str, ...] = DEFAULT_CELLS
    transpose: bool | None = None
    all_notes: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.cells if self.layout == "paper" else SHOWN

    @cached_property
    def tables(self) -> list[Table]:
        is_paper = self.layout == "paper"
        return paper_tables(self, self.cells, self.transpose) if is_paper else comparison(self)

    @cached_property
    def parts(self) -> list[Table]:
        return parts_tables(self, self.metrics)

    @cached_property
    def timing(self) -> Table | None:
        """With runs and devices as records call them."""
        return timing_table(self)

    @cached_property
    def costs(self) -> Table | None:
        """The same as it is shown."""
        return costs_table(self, self.timing)

    @cached_property
    def side_tables(self) -> list[Table]:
        """What stands below the comparison."""
        return [*self.parts, *([self.costs] if self.costs else [])]

    @cached_property
    def notes(self) -> list[Note]:
        return notes(self, self.metrics)

    @cached_property
    def all_rows(self) -> list[dict[str, Any]]:
        """Of ours, of parts of methods, and of published numbers, for CSV and JSON."""
        return [*self.rows, *part_rows(self.records), *reported_rows(self.beside)]


class OwnTables(Report):
    """A report of other tables in place of the comparison, each value of which is in `all_rows`."""

    @cached_property
    def side_tables(self) -> list[Table]:
        return []

    @cached_property
    def parts(self) -> list[Table]:
        return []

    @cached_property
    def timing(self) -> Table | None:
        return None

    def require_rows(self, results: object) -> None:
        """Raise `UsageError` where there is nothing to show."""
        raise NotImplementedError

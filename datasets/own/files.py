"""The data set that a table of files makes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from adbench.contracts import NORMAL, Inspection, Sample, Split
from adbench.contracts.dataset import unmasked
from adbench.datasets.folder_dataset import FolderDataset
from adbench.datasets.own.dataset import own_card
from adbench.datasets.own.draw import SPLIT_RULE, draw_problem, drawn_for_test
from adbench.datasets.own.table import Row, read_table


class OwnTable(FolderDataset):
    """The images that a table lists, wherever they lie.

    Attributes:
        path: the table, absolute.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.card = path, own_card(path, name)

    @cached_property
    def rows(self) -> dict[str, list[Row]]:
        """By category, in the table's order; one without a name is called as the data set."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in read_table(self.path):
            found[row.category or self.card.name].append(row)
        return dict(sorted(found.items()))

    @cached_property
    def root(self) -> Path:
        """The table's folder; where files lie elsewhere, what holds all of these."""
        files = [
            path for own in self.rows.values() for r in own for path in (r.path, r.mask) if path
        ]
        home = self.path.parent
        if all(path.startswith(_start(home)) for path in files):
            return home
        return Path(os.path.commonpath([os.path.dirname(path) for path in files]))

    def find_root(self, data_root: Path | None) -> Path:
        """As `root`; `data_root` does not matter. Raises `DataError` for what is wrong in it."""
        return self.root

    def layout_at(self, root: Path) -> str | None:
        return "table"

    def available_categories(self, root: Path) -> tuple[str, ...]:
        return tuple(self.rows)

    def has_category(self, root: Path, category: str) -> bool:
        return category in self.rows

    def inspect(self, root: Path, category: str) -> Inspection:
        rows = self.rows[category]
        drawn = self._drawn(category)
        samples = [
            Sample(
                category,
                self._split(row, drawn),
                row.defect if row.label else NORMAL,
                self._below(row.path),
                self._below(row.mask) if row.mask and row.label else None,
                row.label,
            )
            for row in rows
        ]
        problems = unmasked(samples)
        normals = sum(not row.label for row in rows)
        if self._is_drawn:
            problems.append(draw_problem(category, normals, len(drawn), category))
        return Inspection(tuple(sorted(samples)), tuple(problems))

    def normal_masks(self, root: Path, samples: Sequence[Sample]) -> dict[str, str]:
        wanted = {s.path for s in samples}
        every = (row for own in self.rows.values() for row in own if row.mask and not row.label)
        found = ((self._below(row.path), self._below(row.mask)) for row in every)
        return {path: mask for path, mask in found if path in wanted}

    def split_rule(self, root: Path, categories: Sequence[str]) -> str | None:
        return SPLIT_RULE if self._is_drawn else None

    def folders(self, root: Path) -> list[Path]:
        """Those in the root that hold images; the root itself is where one works."""
        inside = [self._below(row.path).split("/") for own in self.rows.values() for row in own]
        return sorted({root / first for first, *more in inside if more})

    def place_words(self, root: Path) -> list[str]:
        return []

    def _way_out(self, data_root: str) -> str:
        return f"To see what is there: {self._verify(data_root)}"

    @cached_property
    def _is_drawn(self) -> bool:
        return not any(row.split for own in self.rows.values() for row in own)

    def _drawn(self, category: str) -> set[str]:
        """Normal images of the test set, relative to the root."""
        if not self._is_drawn:
            return set()
        return drawn_for_test([self._below(r.path) for r in self.rows[category] if not r.label])

    def _split(self, row: Row, drawn: set[str]) -> Split:
        if row.split:
            return "train" if row.split == "train" else "test"
        return "test" if row.label or self._below(row.path) in drawn else "train"

    def _below(self, path: str) -> str:
        return path.removeprefix(_start(self.root))


def _start(folder: Path) -> str:
    return f"{folder}{os.sep}" if folder.name else str(folder)

"""`report --images` and `adbench.load_scores`: what every image scored, and where its map is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.errors import StoreError, UsageError
from adbench.naming import Names
from adbench.report.notes import Note
from adbench.report.report import OwnTables
from adbench.report.tables import grouped
from adbench.report.text_table import Table, columns_of, row_of
from adbench.store.folders import CellFolder
from adbench.store.map_files import map_names
from adbench.store.records import Record

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "dataset", "category", "image", "defect", "label", "score", "method", "variant", "preset",
    "scope", "seed", "limit", "map",
)  # fmt: skip


def image_rows(records: Iterable[Record], results: Path) -> Iterator[dict[str, Any]]:
    """A row an image and finished record, in the record's order, with the names of `COLUMNS`.

    `image` is the path in the data set, `label` 1 for a defect, `score` higher for more anomalous,
    `map` the file of a kept map within the results folder, None without one.
    """
    for record in records:
        if record.status == "done" and record.images:
            facts = {"method": record.identity["method"], "variant": record.variant}
            facts |= {name: record.identity[name] for name in ("dataset", "scope", "seed", "limit")}
            facts["preset"] = record.preset
            own = record.images
            names = ("id", "category", "defect", "label", "score")
            columns = (own[name] for name in names)
            maps = _kept(record, results)
            for (image, category, defect, label, score), file in zip(
                zip(*columns, strict=True), maps, strict=True
            ):
                row = {**facts, "image": image, "category": category, "defect": defect}
                row |= {"label": label, "score": score, "map": file}
                yield {name: row[name] for name in COLUMNS}


def _kept(record: Record, results: Path) -> list[str | None]:
    """The file of each image's map within the results folder."""
    names = map_names(record.images["id"])
    try:
        folder = CellFolder(results, record.keys).predictions / "maps"
    except StoreError:  # a key that leads nowhere: a record that stands alone
        return [None] * len(names)
    if not folder.is_dir():
        return [None] * len(names)
    paths = (folder / name for name in names)
    return [str(path.relative_to(results)) if path.is_file() else None for path in paths]


def image_frame(records: Iterable[Record], results: Path) -> pd.DataFrame:
    """The rows as a DataFrame; `score` is a number, `map` a path that `read_map` takes, or None."""
    import pandas as pd

    rows = [
        {**row, "map": None if row["map"] is None else str(results / row["map"])}
        for row in image_rows(records, results)
    ]
    data = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
    return data.astype({"score": "float64"})


@dataclass(frozen=True)
class ImageReport(OwnTables):
    """A table for each data set and category: a row an image, a column a method and seed."""

    results: Path = field(default=Path("results"))

    @cached_property
    def all_rows(self) -> list[dict[str, Any]]:
        return list(image_rows(self.records, self.results))

    @cached_property
    def tables(self) -> list[Table]:
        places = grouped(self.all_rows, lambda row: (row["dataset"], row["category"]))
        return [_table(place, own, self.names) for place, own in places.items()]

    @cached_property
    def notes(self) -> list[Note]:
        return [
            Note("ours", "Scores are each method's own: higher is more anomalous, no unit."),
            Note("ours", "--format csv and --json name the file of each kept map too."),
        ]

    def require_rows(self, results: object) -> None:
        """Raise `UsageError` where there is nothing to show."""
        if not self.all_rows:
            raise UsageError(
                f"no finished record in {results} has scores of images: "
                f"`adbench run --results {results}` makes some"
            )


def _table(place: tuple[str, str], own: Sequence[dict[str, Any]], names: Names) -> Table:
    seeds = {row["seed"] for row in own}
    heads: dict[str, dict[tuple[str, str], str]] = {}
    for row in own:
        seed = f", seed {row['seed']}" if len(seeds) > 1 else ""
        head = f"{names.of(row, preset=False)}\n{row['preset']}, {row['scope']}{seed}"
        heads.setdefault(head, {})[row["image"], row["defect"]] = f"{float(row['score']):.4g}"
    images = dict.fromkeys((row["image"], row["defect"]) for row in own)
    return Table(
        f"Scores of images: {place[0]}, {place[1]}",
        columns_of(("image", "defect"), tuple(heads)),
        tuple(
            row_of((*image, *(scores.get(image, "–") for scores in heads.values())), ends=True)
            for image in images
        ),
        key=f"images-{'-'.join(place)}",
    )

"""`predictions.csv`: a row an image, added as images are done, and gone on with after a kill.

A row is written after the image's map. It counts as long as the image has not changed since (its
status change time, which no tool can set back, is older than the run that wrote the row) and its
map, where maps are wanted, is there; p-value and verdict follow from its score anew, so that
another `--alpha` needs no prediction. `predictions.json` says which cell and which images.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from adbench.apply.fitted import FittedCell
from adbench.apply.inputs import NewImage
from adbench.apply.pictures import writing
from adbench.errors import StoreError, UsageError
from adbench.spreadsheet import csv_text
from adbench.store import files
from adbench.store.claims import ClaimWatch

COLUMNS = ("path", "score", "p_value", "verdict")
UNREADABLE = "unreadable"
"""In the place of the verdict on a file that is no image."""
FORMAT = 1


class Row(NamedTuple):
    """One image's; None and "" for what there is not."""

    path: str
    score: float | None
    p_value: float | None
    verdict: str


def rows_of(
    cell: FittedCell, names: Sequence[str], scores: Sequence[float], alpha: float
) -> list[Row]:
    """What a cell says of images that have these scores."""
    values, verdicts = cell.judge(scores, alpha)
    return [
        Row(
            name,
            score,
            None if values is None else float(values[i]),
            "" if verdicts is None else verdicts[i],
        )
        for i, (name, score) in enumerate(zip(names, scores, strict=True))
    ]


class PredictionTable:
    """The table in one folder, of one cell and one PATH."""

    def __init__(self, folder: Path, cell: FittedCell, source: Path) -> None:
        self.path = folder / "predictions.csv"
        self._about, self._folder = folder / "predictions.json", folder
        self._cell, self._source = cell, os.path.abspath(source)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """A block in which no other `predict` writes here."""
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            claim = ClaimWatch().try_claim(self._folder)
        if claim is None:
            raise UsageError(
                f"another `adbench predict` writes into {self._folder}: wait for it, or give "
                "another folder with --out DIR"
            )
        try:
            yield
        finally:
            claim.release()

    def resume(
        self, images: Sequence[NewImage], alpha: float, is_drawn: Callable[[str], bool]
    ) -> dict[str, Row]:
        """The rows that count, by name, and a table that holds them alone; `is_drawn`: whether an
        image has the files that are wanted.

        Raises `UsageError` for a folder that holds something else.
        """
        now, before = time.time_ns(), self._began()
        known = self._scores() if before is not None else {}
        left = {_written(i.name): i for i in images}
        kept = {
            image.name: known[text]
            for text, image in left.items()
            if text in known and _is_older(image.path, before or 0) and is_drawn(image.name)
        }
        rows = rows_of(self._cell, list(kept), list(kept.values()), alpha)
        with writing(self.path):
            files.write_json(self._about, self._description(alpha, before or now))
            files.write_text(self.path, csv_text([COLUMNS, *rows]))
            files.write_json(self._about, self._description(alpha, now))
        return {row.path: row for row in rows}

    @contextmanager
    def growing(self) -> Iterator[Callable[[Row], None]]:
        """What adds a row, which a kill of the process leaves there."""
        with writing(self.path):
            stream = self.path.open("a", encoding="utf-8", newline="", buffering=1)
        with stream:
            yield lambda row: _add(self.path, stream, row)
            with writing(self.path):
                os.fsync(stream.fileno())

    def _began(self) -> int | None:
        """When the run began that wrote the rows, None where there are none."""
        about = files.read_or_set_aside(self._about)
        if about is None:
            if self.path.exists():
                raise UsageError(
                    f"{self.path} is there already, and not known to be of this cell and these "
                    "images: move it away, or give another folder with --out DIR"
                )
            return None
        own = self._description(0.0, 0)
        for what, name in (("cell", "key"), ("images", "source")):
            if about.get(name) != own[name]:
                raise UsageError(
                    f"{self._folder} holds predictions of another {what} ({about.get(name)}): "
                    "give another folder with --out DIR"
                )
        began = about.get("began")
        return began if isinstance(began, int) else None

    def _description(self, alpha: float, began: int) -> dict[str, Any]:
        record = self._cell.record
        return {
            "format": FORMAT,
            "key": record.keys["score"],
            "method": record.method,
            "preset": record.preset,
            **{name: record.identity[name] for name in ("dataset", "seed")},
            "category": self._cell.category,
            "held_out": len(self._cell.held_out),
            "alpha": alpha,
            "source": self._source,
            "began": began,
        }

    def _scores(self) -> Mapping[str, float]:
        """Scores by path, as both are written; what is no whole row is passed over."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}") from error
        whole = content[: content.rfind(b"\n") + 1].decode(errors="replace")
        found = {}
        for row in csv.reader(whole.splitlines()):
            if len(row) == len(COLUMNS) and (score := _number(row[1])) is not None:
                found[row[0]] = score
        return found


def _add(path: Path, stream: IO[str], row: Row) -> None:
    with writing(path):
        stream.write(csv_text([row]))


def _written(name: str) -> str:
    """A path as it stands in the table."""
    return next(csv.reader([csv_text([[name]])]))[0]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_older(path: Path, began: int) -> bool:
    try:
        return path.stat().st_ctime_ns < began
    except OSError:
        return False

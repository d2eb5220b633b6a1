"""Results on disk: one folder a cell, content-addressed; the record is written last.

    results/
      adbench.json                  the folder's format
      cells/<fit key>/
        checkpoint.pt               training state, while fitting
        model/                      what `fit` learned, with fit.json; appears by one rename
        <predict key>/chunk-*       maps and scores, while predicting and scoring
        timing.json                 timing-<options>.json where hyper-parameters are prediction-only
        record-<score key>.json     the outcome, written last
        pixels-<score key>.json     per-image pixel statistics of that record, written before it
        failed-<score key>.json     the latest failure, removed by a success
        claim.N                     who works on it

Cells that differ in prediction-only hyper-parameters have one fit key: they share the folder, its
model and its claim, and have records, maps and timings of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adbench.contracts import JSON
from adbench.errors import StoreError, shortened
from adbench.plan import Cell
from adbench.store import atomic
from adbench.store.claims import ClaimWatch
from adbench.store.pixel_statistics import pixel_statistics_path
from adbench.store.record_blocks import Inference, key_path, shaped
from adbench.store.record_heads import read_heads
from adbench.store.records import FORMAT, MAX_NUMBER, Record
from adbench.store.removal import (
    are_maps,
    is_ours,
    is_temporary,
    refuse_other,
    refuse_others,
    remove,
)

MARKER = "adbench.json"


class CellFolder:
    """Paths of one cell and the reading and writing of its small files."""

    def __init__(self, root: Path, cell: Cell) -> None:
        self.path = root / "cells" / cell.fit_key
        self.checkpoint = self.path / "checkpoint.pt"
        self.model = self.path / "model"
        self.predictions = self.path / cell.predict_key
        self._cell = cell
        self._timing = self.path / _timing_name(cell.prediction_options)
        self._record = self.path / f"record-{cell.score_key}.json"
        self._failed = self.path / f"failed-{cell.score_key}.json"

    def timing(self) -> dict[str, Any] | None:
        """Timings measured before, or None."""
        return read_timing(self._timing)

    def write_timing(self, timing: dict[str, Any]) -> None:
        """Keep timings, so that a resumed cell need not measure again."""
        atomic.write_json(self._timing, timing)

    def record(self) -> Record | None:
        """The finished (done or skipped) record of exactly this cell, or None."""
        return _read_record(self._record)

    def of_these_maps(self) -> Record | None:
        """A finished record of the same predictions, scored otherwise, or None."""
        for record in map(_read_record, sorted(self.path.glob("record-*.json"))):
            if record and (record.status, record.keys["predict"]) == (
                "done",
                self._cell.predict_key,
            ):
                return record
        return None

    def failure(self) -> Record | None:
        """The latest failure of exactly this cell, or None."""
        return _read_record(self._failed)

    def path_of(self, record: Record) -> Path:
        """Where an outcome of this cell lies."""
        return self._failed if record.status == "failed" else self._record

    def holds(self, record: Record) -> bool:
        """Whether this very record is there, and not one that another run has written since."""
        there = _read_record(self.path_of(record))
        return there is not None and there == record

    def has_outcome(self) -> bool:
        """Whether a record, of whatever content, is there."""
        return self._record.exists() or self._failed.exists()

    def write_record(self, record: Record, highest: int | None = None) -> Record:
        """Publish the outcome, the last write of a cell; it becomes the newest record here.

        Gives it with its number: one more than the highest, looked for where that is not given.
        """
        if highest is None:
            heads = read_heads(self.path.parent)
            highest = max((head.number for head in heads.values()), default=0)
        record = record.model_copy(update={"number": min(highest + 1, MAX_NUMBER)})
        atomic.write_json(self.path_of(record), record.model_dump(mode="json"))
        if record.status != "failed":
            remove(self._failed)
        return record

    def forget(self, *, keep_model: bool = False) -> None:
        """Remove all of this cell, for `--overwrite all`; the claim stays, and so does what others
        with this fit have (`_of_others`). `keep_model`: it is new in this run."""
        spared = ({self.model} if keep_model else set()) | set(self._of_others())
        for path in self.path.iterdir() if self.path.is_dir() else ():
            if is_ours(path) and path not in spared:
                remove(path)

    def forget_maps(self) -> None:
        """Remove the maps of every cell with this fit: they are of a model that is gone, and no
        record may hold the scores of two."""
        for path in self.path.iterdir() if self.path.is_dir() else ():
            if are_maps(path):
                remove(path)

    def _of_others(self) -> Iterator[Path]:
        """Records of the cells that share this one's fit: under other mask rules or thresholds,
        and, with maps and timings of their own, with other prediction-only hyper-parameters."""
        names = self._cell.prediction_options
        for path in [*self.path.glob("record-*.json"), *self.path.glob("failed-*.json")]:
            record = None if path in (self._record, self._failed) else _read_record(path)
            if record is None:
                continue
            yield path
            yield pixel_statistics_path(self.path, record.keys["score"])
            if names and record.identity != self._cell.identity:
                own = record.identity["hyperparameters"]
                yield key_path(self.path, record.keys["predict"])
                yield self.path / _timing_name({name: own[name] for name in names})

    def tidy(self, *, keep_maps: bool) -> None:
        """After the record: drop the checkpoint, left-over temporary files, and the maps."""
        self.drop_checkpoint()
        if not keep_maps:
            remove(self.predictions)
        self.sweep()

    def drop_checkpoint(self) -> None:
        """Training is over."""
        remove(self.checkpoint)

    def sweep(self) -> None:
        """Remove what killed writers left; only the owner of the claim may call this."""
        for path in self.path.glob(".*.tmp"):
            if is_temporary(path):
                remove(path)


class Store:
    """A results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open_for_writing(self) -> None:
        """Create the folder or check that this version can write it; raises `StoreError`."""
        if self.check_format() != FORMAT:
            atomic.write_json(self.root / MARKER, {"format": FORMAT})
        probe = self.root / "cells"
        try:
            probe.mkdir(exist_ok=True)
            with atomic.replacing(probe / ".probe") as temporary:
                temporary.touch()
            (probe / ".probe").unlink(missing_ok=True)
        except OSError as error:
            raise atomic.explain_os_error(error, probe) from error

    def check_format(self) -> int | None:
        """The format that the folder says it has, None where it says nothing.

        Raises `StoreError` for a folder that a newer version wrote, or that is no folder.
        """
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root} is a file: give a folder with --results DIR")
        marker = atomic.read_or_set_aside(self.root / MARKER)
        if marker is None:
            return None
        found = marker.get("format")
        if not isinstance(found, int) or found > FORMAT:
            raise StoreError(
                f"{self.root} was written by a newer adbench (format {found}, this version reads "
                f"{FORMAT}): upgrade adbench, or give another folder with --results"
            )
        return found

    def cell(self, cell: Cell) -> CellFolder:
        """The folder of one cell (not created); raises `StoreError` for a link in its place."""
        folder = CellFolder(self.root, cell)
        refuse_other(folder.path)
        return folder

    def bring_forward(self, reused: Sequence[tuple[Cell, Record]]) -> None:
        """Make records that a run reuses the newest again where others came after them: a setting,
        code or data that was changed, and changed back.

        What a live owner has, or nobody may write, stays as it is.
        """
        places = [(self.cell(cell), record) for cell, record in reused]
        own = {folder.path_of(record) for folder, record in places}
        later: dict[str, list[tuple[int, Path]]] = {}
        highest = 0
        for path, head in read_heads(self.root / "cells").items():
            highest = max(highest, head.number)
            if path not in own:
                later.setdefault(head.family, []).append((head.number, path))
        kept = cache(_told_by)
        for folder, record in places:
            rivals = (kept(p) for n, p in later.get(record.family, ()) if n > record.number)
            if any(_hides(other, record) for other in rivals):
                claim = ClaimWatch().try_claim(folder.path)
                if claim is not None:
                    try:
                        if folder.holds(record):
                            highest = folder.write_record(record, highest).number
                    finally:
                        claim.release()

    def records(self) -> Iterator[Record]:
        """All readable records, done, skipped and failed; damaged ones are set aside.

        Raises `StoreError` for what is no folder where the records' folders are.
        """
        self.check_format()
        refuse_others(self.root / "cells")
        for pattern in ("record-*.json", "failed-*.json"):
            for path in sorted((self.root / "cells").glob(f"*/{pattern}")):
                refuse_other(path.parent)
                record = _read_record(path)
                if record is not None:
                    yield record

    def is_marked(self) -> bool:
        """Whether the folder says that it is one of ours."""
        return (self.root / MARKER).exists()

    def restore(self, outcomes: Iterable[tuple[Cell, Record]]) -> int:
        """Write again what was removed from the folder while a run went on; how many records.

        Raises `StoreError` where that is not possible.
        """
        lost = 0
        if not self.is_marked():
            self.open_for_writing()
        for cell, record in outcomes:
            folder = self.cell(cell)
            if not folder.has_outcome():
                folder.write_record(record)
                lost += 1
        return lost


_Told = tuple[dict[str, Any], str | None]


def _told_by(path: Path) -> _Told | None:
    """Identity and settings of a record, which are small, where it can be read."""
    record = _read_record(path)
    return None if record is None else (record.identity, record.settings)


def _hides(other: _Told | None, record: Record) -> bool:
    """Whether a later record of the same family would stand in a table in place of this one."""
    if other is None:
        return False
    identity, settings = other
    return identity == record.identity or settings != record.settings


def read_timing(path: Path) -> dict[str, Any] | None:
    """What was measured of a model's inference, or None where it is absent or damaged."""
    timing = atomic.read_or_set_aside(path)
    try:
        return None if timing is None else shaped(Inference, may_be_empty=False)(timing)
    except ValueError as error:
        atomic.say_damaged(path, f"{path.name} holds no timing ({error})")
        return None


def _timing_name(options: dict[str, JSON]) -> str:
    return f"timing-{atomic.digest(options)[:12]}.json" if options else "timing.json"


def _read_record(path: Path) -> Record | None:
    value = atomic.read_or_set_aside(path)
    if value is None:
        return None
    try:
        record = Record.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        where = shortened(".".join(map(str, problem["loc"])))
        raise StoreError(
            f"{path} is not a record of this version ({where}: {shortened(problem['msg'])}): "
            "upgrade adbench, or give another folder with --results DIR"
        ) from None
    kind = "failed" if record.status == "failed" else "record"
    if (path.parent.name, path.name) != (record.keys["fit"], f"{kind}-{record.keys['score']}.json"):
        atomic.say_damaged(path, f"{path.name} holds the record of another cell")
        return None
    return record

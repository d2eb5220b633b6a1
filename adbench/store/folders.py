"""Results on disk: one folder a cell, content-addressed; the record is written last.

    results/
      adbench.json                  the folder's format
      cells/<fit key>/
        checkpoint.pt               training state, while fitting
        model/                      what `fit` learned, with fit.json; appears by one rename
        snapshots/                  the same along the training, where asked for (store.snapshots)
        <predict key>/chunk-*       maps and scores, while predicting and scoring; in `calibration`
                                    those of normals held out
        timing.json                 timing-<options>.json where hyper-parameters are prediction-only
        record-<score key>.json     the outcome, written last
        pixels-<score key>.json     per-image pixel statistics of that record, written before it
        failed-<score key>.json     the latest failure, removed by a success
        claim.N                     who works on it

Cells that differ in prediction-only hyper-parameters have one fit key: they share the folder, its
model and its claim, and have records, maps and timings of their own. A name of another form is
somebody else's file and stays. A link is removed itself, never what it points to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from adbench.contracts import JSON
from adbench.errors import StoreError, shortened
from adbench.store import files
from adbench.store.claims import ClaimWatch
from adbench.store.record_blocks import Inference, shaped
from adbench.store.record_files import OUTCOME, read_flat, read_heads, read_record, scan
from adbench.store.records import FORMAT, MAX_NUMBER, Record
from adbench.store.regular_files import move_command
from adbench.store.snapshots import SnapshotFolder

MARKER = "adbench.json"
_KEY: Final = "[0-9a-f]{24}"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
OURS: Final = re.compile(
    rf"(checkpoint\.pt|model|snapshots|{_KEY}|timing(-[0-9a-f]+)?\.json|(record|failed|pixels)-{_KEY}\.json)"
    r"(\.damaged-[0-9a-f]{8})?"
)
_TEMPORARY: Final = re.compile(r"\.[^.].*\.\d+(\.[0-9a-f]{8})?\.tmp")


class Keyed(Protocol):
    """What the store must know of a cell (`adbench.plan.Cell`)."""

    @property
    def fit_key(self) -> str: ...
    @property
    def predict_key(self) -> str: ...
    @property
    def score_key(self) -> str: ...
    @property
    def prediction_options(self) -> Mapping[str, JSON]: ...


class CellFolder:
    """Paths of one cell and the reading and writing of its small files.

    `keys` are a cell's or a record's, whoever wrote it: no other way leads from a record to a path.
    Raises `StoreError` for a key that could lead elsewhere.
    """

    def __init__(
        self, root: Path, keys: Mapping[str, str], options: Mapping[str, JSON] | None = None
    ) -> None:
        self.path = _named(root / "cells", keys["fit"])
        self.checkpoint = self.path / "checkpoint.pt"
        self.model = self.path / "model"
        self.snapshots = SnapshotFolder(self.path / "snapshots", keys)
        self.predictions = _named(self.path, keys["predict"])
        self.calibration = self.predictions / "calibration"
        self.pixels = _named(self.path, keys["score"], "pixels-{}.json")
        self._record = _named(self.path, keys["score"], "record-{}.json")
        self._failed = _named(self.path, keys["score"], "failed-{}.json")
        self._options = options or {}
        self._timing = self.path / _timing_name(self._options)

    def timing(self) -> dict[str, Any] | None:
        """Timings measured before, or None."""
        return files.checked(self._timing, read_timing)

    def write_timing(self, timing: dict[str, Any]) -> None:
        """Keep timings, so that a resumed cell need not measure again."""
        files.write_json(self._timing, timing)

    def record(self) -> Record | None:
        """The finished (done or skipped) record of exactly this cell, or None."""
        return read_record(self._record)

    def of_these_maps(self) -> Record | None:
        """A finished record of the same predictions, scored otherwise, or None."""
        found = map(read_record, sorted(self._entries(OUTCOME)))
        own = ("done", self.predictions.name)
        return next((r for r in found if r and (r.status, r.keys["predict"]) == own), None)

    def failure(self) -> Record | None:
        """The latest failure of exactly this cell, or None."""
        return read_record(self._failed)

    def path_of(self, record: Record) -> Path:
        """Where an outcome of this cell lies."""
        return self._failed if record.status == "failed" else self._record

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
        files.write_json(self.path_of(record), record.model_dump(mode="json"))
        if record.status != "failed":
            files.remove(self._failed)
        return record

    def forget(self, *, keep_model: bool = False) -> None:
        """Remove all of this cell, for `--overwrite all`; the claim stays, and so does what others
        with this fit have (`_of_others`). `keep_model`: it is new in this run."""
        spared = {self.model, self.snapshots.path} if keep_model else set()
        spared |= set(self._of_others())
        for path in self._entries(OURS):
            if path not in spared:
                files.remove(path)

    def forget_maps(self) -> None:
        """Remove the maps of every cell with this fit: they are of a model that is gone, and no
        record may hold the scores of two."""
        for path in self._entries(re.compile(_KEY)):
            files.remove(path)

    def tidy(self, *, keep_maps: bool) -> None:
        """After the record: drop the checkpoint, left-over temporary files, and the maps."""
        self.drop_checkpoint()
        self.snapshots.tidy()
        files.remove(self.calibration if keep_maps else self.predictions)
        self.sweep()

    def drop_checkpoint(self) -> None:
        """Training is over."""
        files.remove(self.checkpoint)

    def drop_models(self) -> None:
        """Those of the fit, all along it."""
        files.remove(self.model)
        files.remove(self.snapshots.path)

    def sweep(self) -> None:
        """Remove what killed writers left; only the owner of the claim may call this."""
        for path in self._entries(_TEMPORARY):
            files.remove(path)
        self.snapshots.sweep(_TEMPORARY)

    def _entries(self, names: re.Pattern[str]) -> list[Path]:
        found = self.path.iterdir() if self.path.is_dir() else ()
        return [path for path in found if names.fullmatch(path.name)]

    def _of_others(self) -> Iterator[Path]:
        """Records of the cells that share this one's fit: under other mask rules or thresholds,
        and, with maps and timings of their own, with other prediction-only hyper-parameters."""
        for path in self._entries(OUTCOME):
            record = None if path in (self._record, self._failed) else read_record(path)
            if record is None:
                continue
            own = {name: record.identity["hyperparameters"][name] for name in self._options}
            other = CellFolder(self.path.parent.parent, record.keys, own)
            yield from (path, other.pixels)
            if own != self._options:
                yield from (other.predictions, other._timing)


class Store:
    """A results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cells = root / "cells"

    def open_for_writing(self) -> None:
        """Create the folder or check that this version can write it; raises `StoreError`."""
        if self.check_format() != FORMAT:
            files.write_json(self.root / MARKER, {"format": FORMAT})
        probe = self._cells / ".probe"
        try:
            self._cells.mkdir(exist_ok=True)
            with files.replacing(probe) as temporary:
                temporary.touch()
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise files.explain_os_error(error, self._cells) from error

    def check_format(self) -> int | None:
        """The format that the folder says it has, None where it says nothing.

        Raises `StoreError` for a folder that a newer version wrote, or that is no folder.
        """
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root} is a file: give a folder with --results DIR")
        marker = files.read_or_set_aside(self.root / MARKER)
        if marker is None:
            return None
        found = marker.get("format")
        if not isinstance(found, int) or found > FORMAT:
            raise StoreError(
                f"{self.root} was written by a newer adbench (format {found}, this version reads "
                f"{FORMAT}): upgrade adbench, or give another folder with --results"
            )
        return found

    def is_marked(self) -> bool:
        """Whether the folder says that it is one of ours."""
        return (self.root / MARKER).exists()

    def cell(self, cell: Keyed) -> CellFolder:
        """The folder of one cell (not created); raises `StoreError` for a link in its place."""
        keys = {"fit": cell.fit_key, "predict": cell.predict_key, "score": cell.score_key}
        folder = CellFolder(self.root, keys, cell.prediction_options)
        _refuse_other(folder.path)
        return folder

    def records(self) -> Iterator[Record]:
        """All readable records, done, skipped and failed; damaged ones are set aside. Of a folder
        that is not one of ours, those whose files lie in it (`read_flat`).

        Raises `StoreError` for what is no folder where the records' folders are.
        """
        self.check_format()
        if not self.is_marked() and not os.path.lexists(self._cells):
            yield from read_flat(self.root)
        _refuse_no_folder(self._cells)
        for entry in sorted(scan(self._cells), key=lambda entry: entry.name):
            if not entry.is_dir(follow_symlinks=False) and re.fullmatch(_KEY, entry.name):
                _refuse_other(Path(entry.path))
        for pattern in ("record-*.json", "failed-*.json"):
            for path in sorted(self._cells.glob(f"*/{pattern}")):
                _refuse_other(path.parent)
                record = read_record(path)
                if record is not None:
                    yield record

    def bring_forward(self, reused: Sequence[tuple[Keyed, Record]]) -> None:
        """Make records that a run reuses the newest again where others came after them: a setting,
        code or data that was changed, and changed back.

        What a live owner has, or nobody may write, stays as it is.
        """
        places = [(self.cell(cell), record) for cell, record in reused]
        own = {folder.path_of(record) for folder, record in places}
        heads = read_heads(self._cells)
        highest = max((head.number for head in heads.values()), default=0)
        later: dict[str, list[tuple[int, Path]]] = {}
        for path, head in heads.items():
            if path not in own:
                later.setdefault(head.family, []).append((head.number, path))

        @cache
        def told_by(path: Path) -> tuple[dict[str, Any], str | None] | None:
            """Identity and settings, which are small."""
            found = read_record(path)
            return None if found is None else (found.identity, found.settings)

        for folder, record in places:
            rivals = (told_by(p) for n, p in later.get(record.family, ()) if n > record.number)
            if any(r and (r[0] == record.identity or r[1] != record.settings) for r in rivals):
                claim = ClaimWatch().try_claim(folder.path)
                if claim is not None:
                    try:  # unless another run has written it anew since
                        if read_record(folder.path_of(record)) == record:
                            highest = folder.write_record(record, highest).number
                    finally:
                        claim.release()

    def restore(self, outcomes: Iterable[tuple[Keyed, Record]]) -> int:
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


def read_timing(path: Path) -> dict[str, Any]:
    """What was measured of a model's inference; raises ValueError for any other content."""
    timing = files.read_json(path)
    try:
        return shaped(Inference, may_be_empty=False)(timing)
    except ValueError as error:
        raise ValueError(f"{path.name} holds no timing ({error})") from None


def _timing_name(options: Mapping[str, JSON]) -> str:
    return f"timing-{files.digest(options)[:12]}.json" if options else "timing.json"


def _named(folder: Path, key: str, form: str = "{}") -> Path:
    """What a record's key names in `folder`: no other way leads from a record to a path.

    Raises `StoreError` for a key that could lead elsewhere.
    """
    if _NAME.fullmatch(key) is None:
        raise StoreError(
            f"a record names {shortened(repr(key))} below {folder}; expected a key of letters, "
            "digits, - and _: adbench did not write that record, remove it"
        )
    return folder / form.format(key)


def _refuse_other(folder: Path) -> None:
    """Raise `StoreError` for a link, a file or a pipe where a cell's folder should be.

    All behind a link would be ours to write and to delete. `--results` and `cells` may be links.
    """
    _refuse_no_folder(folder)
    if folder.is_symlink():
        raise StoreError(
            f"{folder} is a link to another place; expected a folder of adbench's own: remove the "
            "link (the cell is then made again), or make all of the results folder a link"
        )


def _refuse_no_folder(path: Path) -> None:
    if os.path.lexists(path) and not path.is_dir():
        raise StoreError(
            f"{path} is no folder; expected one of adbench's own: move it away: "
            f"{move_command(path, 'moved')}"
        )

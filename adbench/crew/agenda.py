"""Which cells a run has to settle, and which outcomes do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adbench.plan import Cell
from adbench.store.folders import CellFolder, Store
from adbench.store.records import Record


def is_timed(record: Record) -> bool:
    """Whether a record has an inference timing that was measured undisturbed."""
    return record.status != "done" or bool((record.timing.get("inference") or {}).get("valid"))


def reusable(cell: Cell, store: Store, overwrite: str) -> Record | None:
    """The outcome that makes running this cell unnecessary under `--overwrite`, or None."""
    if overwrite == "all":
        return None
    folder = store.cell(cell)
    done = folder.record()
    if done is None and overwrite == "never":
        return folder.failure()
    return None if done is not None and overwrite == "timing" and not is_timed(done) else done


@dataclass(frozen=True)
class Agenda:
    """The cells that a run has to settle, by score key, with the numbers of the outcomes that it
    found and runs over. Any other outcome settles its cell, whoever made it, and any at all once
    the old ones are forgotten (`--overwrite all`)."""

    over: dict[str, list[int]]

    @classmethod
    def of(cls, cells: Iterable[Cell], store: Store) -> Agenda:
        """Of cells that are to be run."""
        return cls({cell.score_key: [o.number for o in _outcomes(store.cell(cell))]
                    for cell in cells})  # fmt: skip

    def settled(self, cell: Cell, folder: CellFolder, forgotten: bool = False) -> Record | None:
        """The outcome that settles a cell, if it has one."""
        over = () if forgotten else self.over.get(cell.score_key, ())
        return next((o for o in _outcomes(folder) if o.number not in over), None)


def _outcomes(folder: CellFolder) -> Iterator[Record]:
    for outcome in (folder.record(), folder.failure()):
        if outcome is not None:
            yield outcome

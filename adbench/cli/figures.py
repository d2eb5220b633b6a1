"""What `adbench figures` and `adbench run --figures` do: draw, and say what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adbench.data.cache import DiskCache, default_cache_folder
from adbench.errors import UsageError
from adbench.plan import Cell
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record
from adbench.text import counted, say


def figures(results: Path, data_root: Path | None, cache: Path | None, device: str) -> None:
    """Draw a finished results folder. Without the data set: curves and plots, no picture."""
    from adbench.figures import Workshop, draw, subjects_of_records

    records = latest(Store(results).records())
    if not records:
        raise UsageError(f"no record in {results}: `adbench run --results {results}` makes some")
    folder = cache or default_cache_folder()
    subjects, notes = subjects_of_records(records, data_root, folder)
    drawn = draw(records, subjects, Workshop(results, DiskCache(folder, None), device))
    _say(drawn.paths, [*notes, *drawn.notes], records, results)


def draw_run(
    outcomes: Sequence[tuple[Cell, Record]], results: Path, cache: DiskCache, device: str
) -> None:
    """Draw what a run has just finished or found finished."""
    from adbench.figures import Workshop, draw, subjects_of_outcomes

    records = [record for _, record in outcomes]
    drawn = draw(records, subjects_of_outcomes(outcomes), Workshop(results, cache, device))
    _say(drawn.paths, drawn.notes, records, results)


def _say(
    paths: Sequence[Path], notes: Sequence[str], records: Sequence[Record], results: Path
) -> None:
    from adbench.figures import KeptMaps

    if paths:
        say(f"wrote {counted(len(paths), 'file')} below {results / 'figures'}")
    for note in notes:
        say(f"note: {note}")
    done = [record for record in records if record.status == "done"]
    bare = sum(not KeptMaps(results, record).kept for record in done)
    if bare:
        say(f"{counted(bare, 'cell')} without maps, in no figure: --overwrite all makes them")

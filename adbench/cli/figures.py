"""What `adbench figures` and `adbench run --figures` do: draw, and say what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.data.cache import DiskCache, default_cache_folder
from adbench.errors import UsageError
from adbench.plan import Cell
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record
from adbench.text import counted, say

if TYPE_CHECKING:
    from adbench.figures.draw import Workshop
    from adbench.figures.pictures import Subject


def figures(results: Path, data_root: Path | None, cache: Path | None, device: str) -> None:
    """Draw a finished results folder. Without the data set: curves and plots, no picture."""
    from adbench.figures.draw import Workshop
    from adbench.figures.pictures import subjects_of_records

    records = latest(Store(results).records(), budgets=True)
    if not records:
        raise UsageError(f"no record in {results}: `adbench run --results {results}` makes some")
    folder = cache or default_cache_folder()
    whole = [record for record in records if record.budget is None]
    subjects, notes = subjects_of_records(whole, data_root, folder)
    _draw(Workshop(results, DiskCache(folder, None), device, notes=notes), records, subjects)


def draw_run(
    outcomes: Sequence[tuple[Cell, Record]], results: Path, cache: DiskCache, device: str
) -> None:
    """Draw what a run has just finished or found finished."""
    from adbench.figures.draw import Workshop
    from adbench.figures.pictures import subjects_of_outcomes

    records = [record for _, record in outcomes]
    _draw(Workshop(results, cache, device), records, subjects_of_outcomes(outcomes))


def _draw(workshop: Workshop, records: Sequence[Record], subjects: Sequence[Subject]) -> None:
    from adbench.figures.pictures import KeptMaps

    workshop.draw(records, subjects)
    results = workshop.results
    if workshop.paths:
        say(f"wrote {counted(len(workshop.paths), 'file')} below {results / 'figures'}")
    for note in workshop.notes:
        say(f"note: {note}")
    done = [r for r in records if r.status == "done" and r.budget is None]
    bare = sum(not KeptMaps(results, record).kept for record in done)
    if bare:
        say(f"{counted(bare, 'cell')} without maps, in no figure: --overwrite all makes them")

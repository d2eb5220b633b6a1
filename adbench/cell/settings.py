"""How cells are run on this machine, and what a method gets to know of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adbench.contracts import Checkpoint, Context, Team
from adbench.machine.devices import Precision
from adbench.plan import Cell

if TYPE_CHECKING:
    from adbench.data.cache import DiskCache

Progress = Callable[..., None]


@dataclass(frozen=True)
class Settings:
    """How cells are run; only parts of training batches change a number beyond rounding.

    Attributes:
        deadline: `time.monotonic()` after which a cell saves its state and stops, or None.
        batch_divisor: 1, or 2 where the cell ran out of memory before: half the images go
            through a network at a time.
        fit_devices: devices that train a cell together, where its method can.
        accumulate: parts in which each of them works through its share of a batch.
        snapshots: how many points along a training are scored, its end included; 0 for none.
        note, tags: what the user said of the run, for its records.
        recruit: calls up the team for a cell's `fit`, given `batch_divisor`; None for one device.
    """

    device: str
    precision: Precision
    cache: DiskCache
    keep_maps: bool = False
    keep_model: bool = True
    timing: bool = True
    checkpoint_seconds: float = 60.0
    deadline: float | None = None
    batch_divisor: int = 1
    fit_devices: int = 1
    accumulate: int = 1
    snapshots: int = 0
    note: str | None = None
    tags: tuple[str, ...] = ()
    recruit: Callable[[Cell, int], AbstractContextManager[Team]] | None = None

    def division(self, cell: Cell) -> tuple[int, int]:
        """On how many devices a cell trains, and into how many parts a batch is split."""
        if not cell.build().splits_batches:
            return 1, 1
        devices = self.fit_devices if self.recruit is not None else 1
        return devices, self.fit_devices * self.accumulate * self.batch_divisor


def cell_context(
    cell: Cell,
    settings: Settings,
    checkpoint: Checkpoint,
    progress: Progress = lambda *_args, **_numbers: None,
    team: Team | None = None,
) -> Context:
    """What a cell's method gets beside its data, alone or as a member of a team."""
    return Context(
        device=settings.device,
        precision=settings.precision,
        seed=cell.seed,
        checkpoint=checkpoint,
        cache=settings.cache,
        progress=progress,
        category_cards=cell.category_cards(),
        batch_parts=settings.division(cell)[1],
        team=team,
    )

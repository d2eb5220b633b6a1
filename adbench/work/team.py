"""Processes that share the training of a cell, one a device (`--fit-devices`).

All are workers of one launcher, with the variables that torchrun sets. The first owns the cells;
for each training it leaves word in the crew's folder, and the others train along: they own no
claim and write no result. `accelerate` finds the backend, the team adds up gradients through it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adbench.cell.settings import Settings, cell_context
from adbench.contracts import Team
from adbench.contracts.interruptions import Interruption
from adbench.crew.crew import Crew, Duty
from adbench.errors import AdbenchError
from adbench.plan import Cell, Plan
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.folders import Store

if TYPE_CHECKING:
    import torch

SILENCE_MINUTES = 15
"""After which a member whose partner neither speaks nor ends gives up."""
LEAVE_SECONDS = 60.0
LOOK_SECONDS = 0.1


class PartnerLost(Interruption):
    """A process that shared the training is gone; the launcher sees to it."""


@dataclass(frozen=True)
class AcceleratedTeam:
    """The `Team` of one process."""

    rank: int
    size: int
    _accelerator: Any

    def sum(self, tensor: torch.Tensor) -> None:
        """As `Team`; raises `PartnerLost` when a partner is gone, as far as the backend tells."""
        try:
            tensor.copy_(self._accelerator.reduce(tensor, reduction="sum"))
        except RuntimeError as error:
            raise PartnerLost from error


class Leader:
    """The first process of a team: calls the others to a cell's `fit`."""

    def __init__(self, crew: Crew, duty: Duty, device: str) -> None:
        self._crew, self._duty, self._device = crew, duty, device
        self._number = 0

    @contextmanager
    def team(self, cell: Cell, batch_divisor: int) -> Iterator[Team]:
        """The team for this cell's `fit`; waits for all to come."""
        import torch

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        self._number += 1
        order = {
            "number": self._number,
            "cell": cell.score_key,
            "port": port,
            "batch_divisor": batch_divisor,
        }
        self._crew.write(f"{self._duty.name}.fit", order)
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, threads // self._duty.size))
        try:
            with _membership(0, self._duty.size, port, self._device) as team:
                yield team
        finally:
            torch.set_num_threads(threads)


def follow(crew: Crew, duty: Duty, plan: Plan, store: Store, settings: Settings) -> None:
    """Train along with the first process, whatever it trains, until this one is ended."""
    leader, done = duty.name.partition(".")[0], 0
    cells = {cell.score_key: cell for cell in plan.cells}
    device = "cpu" if settings.device == "cpu" else f"cuda:{duty.rank}"
    while True:
        order = crew.read(f"{leader}.fit")
        if order is None or order["number"] == done:
            time.sleep(LOOK_SECONDS)
            continue
        done = order["number"]
        if order["cell"] not in cells:
            raise AdbenchError("the data, the code or the versions changed since the run started")
        cell = cells[order["cell"]]
        own = replace(settings, device=device, batch_divisor=order["batch_divisor"])
        with _membership(duty.rank, duty.size, order["port"], device) as team:
            checkpoint = _LeadersCheckpoint(store.cell(cell).checkpoint, every_seconds=float("inf"))
            context = cell_context(cell, own, checkpoint, team=team)
            method = cell.build(to_fit=True)
            samples = cell.data.split(cell.categories, "train")
            method.fit(cell.data.images(samples, method.geometry, own.cache), context)


class _LeadersCheckpoint(FileCheckpoint):
    """The leader's state to start from; it alone saves, and not before all have begun."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


@contextmanager
def _membership(rank: int, size: int, port: int, device: str) -> Iterator[AcceleratedTeam]:
    """Be member `rank` of a team that meets at `port` of this machine; waits for all to come.

    Afterwards the process is alone again, its environment as before.
    """
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState

    own = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # else it chooses 1, and says so
    }
    before = dict(os.environ)
    os.environ.update(own)
    try:
        silence = InitProcessGroupKwargs(timeout=timedelta(minutes=SILENCE_MINUTES))
        # Its process group is all we ask of it: the precision is the method's own.
        accelerator = Accelerator(
            cpu=device == "cpu", mixed_precision="no", kwargs_handlers=[silence]
        )
        yield AcceleratedTeam(rank, size, accelerator)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        if torch.distributed.is_initialized():  # it may wait for partners that are gone
            leave = torch.distributed.destroy_process_group
            leaving = threading.Thread(target=leave, daemon=True)
            leaving.start()
            leaving.join(LEAVE_SECONDS)
        os.environ.clear()
        os.environ.update(before)

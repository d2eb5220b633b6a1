"""Membership in a team: `accelerate` finds the backend, the team adds up gradients through it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adbench.errors import UsageError

if TYPE_CHECKING:
    import torch

SILENCE_MINUTES = 15
"""After which a member whose partner says nothing gives up. Where a backend cannot tell that a
partner has died (NCCL), this is what ends the cell; its checkpoint is what the next run starts
from."""


@dataclass(frozen=True)
class AcceleratedTeam:
    """The `Team` of one process."""

    rank: int
    size: int
    _accelerator: Any

    def sum(self, tensor: torch.Tensor) -> None:
        """As `Team`."""
        tensor.copy_(self._accelerator.reduce(tensor, reduction="sum"))


def require_accelerate() -> None:
    """Raise `UsageError` with what to install where `accelerate` is missing."""
    try:
        import accelerate  # noqa: F401
    except ImportError:
        raise UsageError(
            "--fit-devices needs the package accelerate, which is not installed: "
            "pip install 'adbench-diffusion[accelerate]'"
        ) from None


@contextmanager
def membership(rank: int, size: int, port: int, device: str) -> Iterator[AcceleratedTeam]:
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
    before = {name: os.environ.get(name) for name in own}
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
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

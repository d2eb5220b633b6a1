"""Membership in a team: `accelerate` finds the backend, the team adds up gradients through it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adbench.errors import UsageError

if TYPE_CHECKING:
    import torch

SILENCE_MINUTES = 15
"""After which a member whose partner neither speaks nor ends gives up."""
LEAVE_SECONDS = 60.0


@dataclass(frozen=True)
class AcceleratedTeam:
    """The `Team` of one process."""

    rank: int
    size: int
    _accelerator: Any
    _given_up: threading.Event = field(default_factory=threading.Event)

    def sum(self, tensor: torch.Tensor) -> None:
        """As `Team`; raises `RuntimeError` when a partner is gone."""
        tensor.copy_(self._accelerator.reduce(tensor, reduction="sum"))
        if tensor.is_cuda:  # NCCL only queues; after `give_up` what arrives is no sum
            import torch

            torch.cuda.current_stream(tensor.device).synchronize()
        if self._given_up.is_set():
            raise RuntimeError("a process that shared the training is gone")

    def give_up(self) -> None:
        """A partner is gone: let go of an exchange that waits for it; from any thread.

        Gloo sees a broken connection by itself; NCCL would wait for `SILENCE_MINUTES` and then
        end this process with all its cells.
        """
        import torch

        self._given_up.set()
        if torch.distributed.is_initialized() and torch.distributed.get_backend() == "nccl":
            with contextlib.suppress(Exception):
                torch.distributed.distributed_c10d._abort_process_group()


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
        _leave_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _leave_group() -> None:
    """End the process group; where it waits for partners that are gone, without it."""
    import torch

    if not torch.distributed.is_initialized():
        return
    leaving = threading.Thread(target=torch.distributed.destroy_process_group, daemon=True)
    leaving.start()
    leaving.join(LEAVE_SECONDS)

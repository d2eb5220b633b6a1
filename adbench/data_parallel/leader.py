"""The member of a team that owns the cell: it calls the others and lets them go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any

from adbench.contracts import Team
from adbench.contracts.interruptions import is_out_of_memory
from adbench.data_parallel.follower import Order, Present
from adbench.errors import AdbenchError, UsageError
from adbench.executors.crash import memory_kills, portable_line
from adbench.executors.job import Job
from adbench.executors.local import spawn
from adbench.executors.slots import Slot
from adbench.plan import Cell

FOLLOWER = "adbench.data_parallel.follower"
COMING_SECONDS = 300.0
"""For a follower to import torch and to plan."""
WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Recruiter:
    """Calls up followers for a cell's `fit`.

    Attributes:
        job: what they plan from.
        size: of the team, this process included.
        device: this process's, "cpu" or "cuda:0"; member r uses CUDA device r.
    """

    job: Job
    size: int
    device: str

    @contextmanager
    def team(self, cell: Cell, batch_divisor: int) -> Iterator[Team]:
        """A team for this cell. Followers end with the block, whatever they are doing.

        Raises:
            MemoryError: a follower had too little memory.
            AdbenchError: a follower could not come, or ended for another reason.
        """
        from adbench.data_parallel.team import membership

        slot = self._slot()
        with ExitStack() as stack:
            followers = [stack.enter_context(_follower(slot)) for _ in range(1, self.size)]
            for rank, follower in enumerate(followers, 1):
                device = "cpu" if self.device == "cpu" else f"cuda:{rank}"
                order = Order(cell.score_key, rank, self.size, device, batch_divisor)
                follower.tell((self.job, order))
            for follower in followers:
                follower.await_present()
            port = _free_port()  # only now: it is not ours before it is listened on
            for follower in followers:
                follower.tell(port)
            stack.enter_context(_threads(len(slot.cores)))
            with membership(0, self.size, port, self.device) as team:
                watch = stack.enter_context(_watching(followers, team.give_up))
                try:
                    yield team
                except Exception as error:  # raised again: only its cause may be a lost partner
                    gone = watch.gone()
                    if gone is None:
                        raise
                    raise gone.loss() from error
                finally:
                    for follower in followers:  # before we leave: leaving may wait for them
                        follower.end()

    def _slot(self) -> Slot:
        """All cores to all, each with its share of threads."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        return Slot(None, tuple(cores[: max(1, len(cores) // self.size)]))


def check_devices(count: int, device: str) -> None:
    """Raise `UsageError` where `device` ("cpu", "cuda:0") cannot lead a team of `count`."""
    import torch

    from adbench.data_parallel.team import require_accelerate

    require_accelerate()
    if device == "cpu":
        cores = os.cpu_count() or 1
        if count > cores:
            raise UsageError(f"--fit-devices {count}: expected at most {cores}, the CPU's cores")
        return
    visible = torch.cuda.device_count()
    if device not in ("cuda", "cuda:0"):
        raise UsageError(
            f"--fit-devices {count} with --device {device}: expected cuda:0, the first of the "
            "visible devices; CUDA_VISIBLE_DEVICES chooses which are visible"
        )
    if count > visible:
        raise UsageError(f"--fit-devices {count}: {visible} CUDA devices are visible")


class _Follower:
    """A child process, the connection to it, and a file of what it says on stderr."""

    def __init__(self, process: subprocess.Popen[str], ours: socket.socket, said: IO[str]) -> None:
        self._process, self._said = process, said
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self._kills = memory_kills()
        self._ended = False

    def tell(self, message: object) -> None:
        """Send, where it lives."""
        try:
            self._connection.send(message)
        except OSError as error:
            raise self.loss() from error

    def await_present(self) -> None:
        """Return when it is about to join; raise `AdbenchError` where it cannot."""
        try:
            if not self._connection.poll(COMING_SECONDS):
                raise AdbenchError(f"no answer within {COMING_SECONDS:.0f} s from a process that "
                                   "was to share the training")  # fmt: skip
            message = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self.loss() from error
        if not isinstance(message, Present):
            raise AdbenchError(f"a process that was to share the training could not: {message}")

    def is_gone(self) -> bool:
        """Whether it has failed or was killed, and not by us."""
        return not self._ended and self._process.poll() not in (None, 0)

    def end(self) -> None:
        """Kill it: it owns nothing."""
        if self._ended:
            return
        self._ended = True
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def loss(self) -> Exception:
        """Why it ended: `MemoryError` where it lacked memory."""
        code = self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()] or ["no message"]
        text = (
            f"a process that shared the training ended with exit code {code}: "
            f"{portable_line(lines[-1])}"
        )
        starved = code == -signal.SIGKILL and memory_kills() > self._kills
        if starved or is_out_of_memory(RuntimeError(lines[-1])):
            return MemoryError(text)
        return AdbenchError(text)


class _Watch(threading.Thread):
    """Looks whether followers live, and tells when one is gone."""

    def __init__(self, followers: Sequence[_Follower], tell: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._followers, self._tell = followers, tell
        self._over = threading.Event()

    def run(self) -> None:
        """As `Thread`."""
        while not self._over.wait(WATCH_SECONDS):
            if any(follower.is_gone() for follower in self._followers):
                self._tell()
                return

    def stop(self) -> None:
        """No more."""
        self._over.set()
        self.join()

    def gone(self) -> _Follower | None:
        """One that is gone; a broken connection may be seen before the end of its process."""
        for _ in range(10):
            for follower in self._followers:
                if follower.is_gone():
                    return follower
            time.sleep(WATCH_SECONDS / 5)
        return None


@contextmanager
def _watching(followers: Sequence[_Follower], tell: Callable[[], None]) -> Iterator[_Watch]:
    watch = _Watch(followers, tell)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


@contextmanager
def _follower(slot: Slot) -> Iterator[_Follower]:
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as said:
        with theirs:
            process = spawn(FOLLOWER, theirs.fileno(), slot, said)
        follower = _Follower(process, ours, said)
        try:
            yield follower
        finally:
            follower.end()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """This process with its share of the threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

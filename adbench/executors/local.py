"""Cells in processes of their own on this machine, one for each slot.

Workers are spawned, never forked, and take one cell after another: importing torch for each would
cost more than a small cell. Whatever happens to one, it is one cell's: a crash ends that worker
alone, is recorded with what happened, and the next cell gets a new one; so does the next cell
after a failure, for a GPU that has seen an illegal access is of no use to anybody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from adbench.errors import AdbenchError
from adbench.executors.attempt import Ticket
from adbench.executors.base import Crash, Ended, Event
from adbench.executors.crash import STDERR_LINES, crash_of, memory_kills
from adbench.executors.job import Job
from adbench.executors.slots import Slot
from adbench.executors.worker import Ready, Refused
from adbench.text import pass_on

STOP_SECONDS = 15.0
"""For a worker to unwind before it is killed; a claim of a killed process is free at once."""
STARTS = 3
"""Of a worker that a signal kills before it is ready: when memory is short, others make it so."""


class LocalExecutor:
    """As many workers as slots, started when there is work for them."""

    detached = False
    outlives = False

    def __init__(self, job: Job, slots: Sequence[Slot]) -> None:
        self._job, self._slots = job, list(slots)
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._some_started = False

    @property
    def alone(self) -> bool:
        """With one slot only."""
        return len(self._slots) == 1

    def open(self, hear: Callable[[Event], None]) -> None:
        """Workers start with the first tickets."""
        self._hear = hear

    def has_room(self) -> bool:
        """Whether a slot is free."""
        return sum(w.ticket is not None for w in self._workers) < len(self._slots)

    def submit(self, ticket: Ticket) -> None:
        """Give the ticket to an idle worker, or to a new one on a free slot."""
        for worker in [w for w in self._workers if w.ticket is None]:
            if worker.take(ticket):
                return
            self._drop(worker)  # it died while it had nothing to do
        taken = {id(w.slot) for w in self._workers}  # two slots may have the same core
        slot = next(s for s in self._slots if id(s) not in taken)
        self._start(ticket, slot)

    def wait(self, seconds: float) -> None:
        """Pass on what the workers tell."""
        self._leaving = [w for w in self._leaving if w.process.poll() is None]
        by_connection = {w.connection: w for w in self._workers}
        for ready in wait(list(by_connection), seconds):
            worker = by_connection[ready]  # type: ignore[index]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            self._handle(worker, message)

    def close(self, *, abort: bool) -> None:
        """Hang up on idle workers; with `abort`, tell all to unwind and kill those that do not."""
        everybody = [*self._workers, *self._leaving]
        self._workers, self._leaving = [], []
        for worker in everybody:
            worker.hang_up()
            if abort:
                worker.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            for worker in everybody:
                worker.join(max(0.0, deadline - time.monotonic()))
        finally:  # also for the second Ctrl-C
            for worker in everybody:
                worker.kill()

    def _handle(self, worker: _Worker, message: Any) -> None:
        if isinstance(message, Ready):
            worker.ready = self._some_started = True
        elif isinstance(message, Refused):
            error = AdbenchError(message.message)
            error.exit_code = message.exit_code
            raise error
        elif isinstance(message, Ended):
            worker.ticket = None
            if message.spoiled:
                self._drop(worker)
                if message.outcome == "memory":  # the next try needs what this one holds
                    worker.join(STOP_SECONDS)
                    worker.kill()
            self._hear(message)
        else:
            self._hear(message)

    def _start(self, ticket: Ticket, slot: Slot, starts: int = 1) -> None:
        worker = _Worker(self._job, slot, starts)
        self._workers.append(worker)
        worker.take(ticket)  # where it dies at once, `wait` sees it

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._leaving.append(worker)
        worker.hang_up()

    def _bury(self, worker: _Worker) -> None:
        """A worker died: of its cell, of a signal, or before it could begin."""
        self._workers.remove(worker)
        crash, ticket = worker.death(), worker.ticket
        if ticket is None:
            return
        if not worker.ready:
            by_signal = worker.process.returncode < 0
            if by_signal and worker.starts < STARTS:
                self._start(ticket, worker.slot, worker.starts + 1)
                return
            if not (by_signal and self._some_started):
                last = next((line for line in reversed(crash.lines) if line.strip()), "no message")
                raise AdbenchError(f"a worker could not start: {crash.what}: {last.strip()}")
        self._hear(Ended(ticket.index, "crashed", crash=crash, spoiled=True))


class _Worker:
    """A process, the connection to it, and the last lines of its stderr."""

    def __init__(self, job: Job, slot: Slot, starts: int) -> None:
        """`starts`: how many have been started for the same ticket, this one included."""
        self.slot, self.starts = slot, starts
        self.ticket: Ticket | None = None
        self.ready = False
        self._kills = memory_kills()
        self._lines: deque[str] = deque(maxlen=STDERR_LINES)
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = spawn("adbench.executors.worker", theirs.fileno(), slot)
        self.connection: Connection[Any, Any] = Connection(ours.detach())
        assert self.process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        with contextlib.suppress(OSError):  # dead already: `wait` finds out
            self.connection.send((job, slot))

    def take(self, ticket: Ticket) -> bool:
        """Hand over a ticket; False where nobody is there to take it."""
        self.ticket = ticket
        try:
            self.connection.send(ticket)
        except OSError:
            self.ticket = None if self.ready else ticket
            return False
        return True

    def hang_up(self) -> None:
        """Close the connection: an idle worker leaves, a busy one unwinds."""
        self.connection.close()

    def terminate(self) -> None:
        """Ask it to unwind."""
        self.process.terminate()

    def join(self, seconds: float) -> None:
        """Wait for its end, at most this long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self) -> None:
        """End it, if it still lives, and collect it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def death(self) -> Crash:
        """What is known of its end, once the connection broke."""
        self.join(STOP_SECONDS)
        self.kill()
        self._reader.join(1.0)
        self.connection.close()
        return crash_of(self.process.returncode, self._lines, memory_kills() - self._kills)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                if line.startswith("Extension modules: "):
                    continue  # faulthandler names some hundred; what it says above is of use
                self._lines.append(line.rstrip("\n"))
                with contextlib.suppress(OSError, ValueError):  # nobody reads what we say
                    pass_on(line)


def spawn(
    module: str, descriptor: int, slot: Slot, stderr: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A child process that calls `main` of `module` with its end of a socket."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main({descriptor})"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=slot.environment(),
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        errors="backslashreplace",
        # Out of the terminal's foreground: Ctrl-C is for the parent, which unwinds its workers.
        process_group=0,
        cwd=os.getcwd(),
    )

"""Workers of this machine: each a process of its own, replaced where it dies.

They are spawned, never forked, and take one cell after another: importing torch for each would
cost more than a small cell. What happens to one is one cell's matter: after a crash or a failure
the next cell gets a new process, for a GPU that has seen an illegal access is of no use to anybody.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from adbench.crew.crew import Crash, Crew, Duty, End, Part, Status
from adbench.errors import AdbenchError, StoreError
from adbench.launch.slots import Slot
from adbench.request import Request
from adbench.text import pass_on

STOP_SECONDS = 15.0
"""For a worker to unwind before it is killed; a claim of a killed process is free at once."""
PARTNER_SECONDS = 10.0
"""For the first of a team to notice that another is gone."""
STARTS = 3
"""Of a worker that a signal kills before its first cell: that may be for want of memory."""
TICK_SECONDS = 0.1
STDERR_LINES = 30
_QUOTED = re.compile(r'"(/[^"\n]+)"')
_BARE = re.compile(r"(?<![\w./~-])(?:~|/)(?:[\w.+@%=-]+/)+[\w.+@%=-]*")
_HANDED_ON = ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")


@dataclass(frozen=True)
class Place:
    """What the words of a request depend on; made of plain values, for other machines too.

    Attributes:
        folder: working folder, for relative paths and `FILE.py:Class`.
        path: `sys.path`, for `MODULE:Class`.
        environment: variables that name data and caches; another host's process has its own.
    """

    folder: str
    path: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def here(cls) -> Place:
        """The calling process's."""
        names = [n for n in os.environ if n.startswith("ADBENCH_") or n in _HANDED_ON]
        handed_on = tuple((n, os.environ[n]) for n in sorted(names))
        return cls(os.getcwd(), tuple(sys.path), handed_on)

    def enter(self) -> None:
        """Make the calling process one in which the request's words mean the same."""
        os.chdir(self.folder)
        os.environ.update(self.environment)

    def command(self, request: Request, duty: Duty) -> list[str]:
        """The same `adbench run`, as a worker."""
        code = (
            f"import sys; sys.path += [p for p in {self.path!r} if p not in sys.path]; "
            "from adbench.cli import main; main()"
        )
        words = [*request.words(), "--yes", "--worker", duty.word()]
        return [sys.executable, "-P", "-c", code, "run", *words]


class Machine:
    """A worker on each slot; with `size` more than one, each is a team that trains together."""

    def __init__(
        self,
        crew: Crew,
        request: Request,
        place: Place,
        slots: Sequence[Slot],
        part: Part,
        *,
        deadline: float | None = None,
        patience: float | None = None,
        size: int = 1,
    ) -> None:
        """`deadline`: a `time.monotonic()`. Nothing is started yet."""
        self._crew, self._place = crew, place
        self._request = replace(request, executor="serial", slots=None)
        self._part, self._patience, self._size = part, patience, size
        self._deadline = deadline
        self._slots = dict(enumerate(slots))
        self._workers: dict[int, _Worker] = {}
        self._starts = self._in_vain = 0
        self._token = uuid.uuid4().hex[:8]
        self.ends: dict[int, End] = {}

    def run(self) -> Iterator[None]:
        """Start the workers and keep them alive, until each has left of itself; yields often."""
        try:
            for number in self._slots:
                self._start(number)
            while self._workers:
                time.sleep(TICK_SECONDS)
                for number, worker in list(self._workers.items()):
                    if worker.has_ended():
                        self._ended(number, worker)
                yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Tell all workers to unwind, and kill those that do not."""
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            for worker in workers:
                worker.join(max(0.0, deadline - time.monotonic()))
        finally:  # also for the second Ctrl-C
            for worker in workers:
                worker.kill()

    def _start(self, number: int) -> None:
        request = self._request
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self.ends[number] = "late"
                return
            request = replace(request, time_limit=max(left, 0.001))
        self._starts += 1
        slot = self._slots[number]
        duty = Duty(
            str(self._crew.folder), f"{self._token}-{self._starts}", self._part, slot.cores,
            size=self._size, patience=self._patience,
        )  # fmt: skip
        self._workers[number] = _Worker(self._place, request, slot, duty)

    def _ended(self, number: int, worker: _Worker) -> None:
        worker.finish()
        del self._workers[number]
        if not self._crew.is_there():
            raise StoreError(
                f"the results folder lost {self._crew.folder} while the run went on: run the same "
                "command again, and expect other programs to leave the folder alone"
            )
        status = self._crew.status(worker.name)
        if status.end == "refused":
            raise refusal(status)
        if status.end in ("done", "late", "others"):
            self.ends[number] = status.end
            return
        crash = None if status.end == "spoiled" else worker.crash()
        if crash is None or self._crew.bury(worker.name, crash):
            self._in_vain = 0
        else:
            self._died_in_vain(crash)
        self._start(number)

    def _died_in_vain(self, crash: Crash) -> None:
        """Raise where workers die before their first cell, unless that may be chance."""
        self._in_vain += 1
        by_signal = crash.what.startswith("its process was killed")
        if not by_signal or self._in_vain >= STARTS:
            last = next((line for line in reversed(crash.lines) if line.strip()), "no message")
            raise AdbenchError(f"a worker could not start: {crash.what}: {last.strip()}")


class _Worker:
    """The processes of one worker, one but for a team, and the last lines of their stderr."""

    def __init__(self, place: Place, request: Request, slot: Slot, duty: Duty) -> None:
        self.name = duty.name
        self._kills = memory_kills()
        self._first_loss: float | None = None
        self._crew = Crew(Path(duty.crew))
        ranks = [duty, *(replace(duty, name=f"{duty.name}.{r}", rank=r)
                         for r in range(1, duty.size))]  # fmt: skip
        self._processes = [_Process(place.command(request, d), slot, place) for d in ranks]

    def has_ended(self) -> bool:
        """Whether the first process has; where another has, it gets a while to notice."""
        first, *partners = self._processes
        if first.poll() is not None:
            return True
        if any(partner.poll() is not None for partner in partners):
            self._first_loss = self._first_loss or time.monotonic()
            return time.monotonic() - self._first_loss >= PARTNER_SECONDS
        return False

    def finish(self) -> None:
        """Collect what is left of it."""
        if self._first_loss is not None or self._crew.status(self.name).end == "partner":
            self.join(1.0)  # what broke it may end a moment later than what it broke
        self.kill()

    def crash(self) -> Crash:
        """How it died: the partner that was killed or failed, else the first process."""
        first, *partners = self._processes
        lost = [p for p in partners if not p.was_killed_by_us]
        lost.sort(key=lambda p: p.returncode >= 0)  # killed by a signal, rather than by that
        for number, process in enumerate(self._processes):
            if number and process in lost and self._crew.status(f"{self.name}.{number}").end:
                return Crash("a process that shared the training ran out of memory", (), True)
        if lost and self._crew.status(self.name).end in ("", "partner"):
            killed = memory_kills() - self._kills
            return lost[0].crash("a process that shared the training", killed)
        return first.crash("its process", memory_kills() - self._kills)

    def terminate(self) -> None:
        """Ask all to unwind."""
        for process in self._processes:
            process.terminate()

    def join(self, seconds: float) -> None:
        """Wait for the end of all, at most this long."""
        deadline = time.monotonic() + seconds
        for process in self._processes:
            process.wait(max(0.0, deadline - time.monotonic()))

    def kill(self) -> None:
        """End all that still live."""
        for process in self._processes:
            process.kill()


class _Process:
    def __init__(self, command: list[str], slot: Slot, place: Place) -> None:
        self._lines: deque[str] = deque(maxlen=STDERR_LINES)
        self.was_killed_by_us = False
        self._process = subprocess.Popen(
            command,
            env=slot.environment(),
            stdin=subprocess.PIPE,  # its end is what tells that we are gone
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            # Out of the terminal's foreground: Ctrl-C is for us, who unwind the workers.
            process_group=0,
            cwd=place.folder,
        )
        assert self._process.stderr is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stderr,), daemon=True
        )
        self._reader.start()

    @property
    def returncode(self) -> int:
        return self._process.returncode or 0

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        if self._process.poll() is None:
            self.was_killed_by_us = True
            self._process.kill()
            self._process.wait()
        self._reader.join(1.0)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def crash(self, who: str, memory_kills: int) -> Crash:
        lines = tuple(portable_line(line) for line in self._lines)
        code = self.returncode
        if code >= 0:
            return Crash(f"{who} ended with exit code {code} in the middle of it", lines)
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        starved = name == "SIGKILL" and memory_kills > 0
        reason = "the system had no memory left" if starved else signal.strsignal(-code)
        what = f"{who} was killed by {name} ({reason or 'no description'})"
        return Crash(what, lines, starved)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                if line.startswith("Extension modules: "):
                    continue  # faulthandler names some hundred; what it says above is of use
                self._lines.append(line.rstrip("\n"))
                with contextlib.suppress(OSError, ValueError):  # nobody reads what we say
                    pass_on(line)


def refusal(status: Status) -> AdbenchError:
    """The mistake that a worker said ends the whole run."""
    error = AdbenchError(status.error[0])
    error.exit_code = status.error[1]
    return error


def memory_kills() -> int:
    """Processes that this system has killed for lack of memory since it started."""
    try:
        counters = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(c.split()[1]) for c in counters if c.startswith("oom_kill ")), 0)


def portable_line(line: str) -> str:
    """A line without what names a machine: paths from their package on, no host."""
    line = _QUOTED.sub(lambda found: f'"{_short(found[1])}"', line)
    line = _BARE.sub(lambda found: _short(found[0]), line)
    host = socket.gethostname()
    return re.sub(rf"\b{re.escape(host)}\b", "HOST", line) if host else line


def _short(path: str) -> str:
    full = Path(path)
    roots = [Path(p) for p in sys.path if p]
    inside = [full.relative_to(r) for r in roots if full.is_relative_to(r) and full != r]
    return min(inside, key=lambda p: len(p.parts)).as_posix() if inside else full.name

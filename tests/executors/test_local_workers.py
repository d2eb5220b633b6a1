"""Workers of `local` that do not get as far as their first ticket."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from adbench.errors import AdbenchError
from adbench.executors import local, worker
from adbench.executors.attempt import Ticket
from adbench.executors.base import Ended, Event
from adbench.executors.local import LocalExecutor
from adbench.executors.slots import whole_machine

WORKS = """
from multiprocessing.connection import Connection
from adbench.executors.base import Ended
from adbench.executors.worker import Ready
parent = Connection({descriptor})
parent.recv()
parent.send(Ready())
index = parent.recv().index
parent.send(Ended(index, "finished", spoiled=True))  # the next ticket gets another worker
parent.poll(None)
"""
IS_KILLED = "import os; os.kill(os.getpid(), 9)"
EXITS = "raise SystemExit('the driver is too old')"


class Pool:
    """An executor whose workers run these scripts, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slots: int, *scripts: str) -> None:
        self.left = list(scripts)
        self.heard: list[Event] = []
        monkeypatch.setattr(local, "spawn", self._spawn)
        machine = [whole_machine() for _ in range(slots)]
        self.executor = LocalExecutor(None, machine)  # type: ignore[arg-type]
        self.executor.open(self.heard.append)

    def run(self, *indices: int) -> list[Event]:
        """Events until all these tickets have ended."""
        self.heard.clear()
        for index in indices:
            self.executor.submit(Ticket(index, "key", "fit"))
        while len(self.heard) < len(indices):
            self.executor.wait(1.0)
        return self.heard

    def _spawn(self, module: str, descriptor: int, slot: object) -> subprocess.Popen[str]:
        script = self.left.pop(0).format(descriptor=descriptor)
        return subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"],
            pass_fds=[descriptor], stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[Pool] = []

    def make(slots: int, *scripts: str) -> Pool:
        made.append(Pool(monkeypatch, slots, *scripts))
        return made[-1]

    yield make
    for pool in made:
        pool.executor.close(abort=True)


def test_a_worker_killed_at_its_start_gets_a_successor(pools: Any) -> None:
    pool = pools(2, WORKS, IS_KILLED, IS_KILLED, WORKS)
    events = sorted(pool.run(0, 1), key=lambda event: event.index)
    assert events == [Ended(index, "finished", spoiled=True) for index in (0, 1)]


def test_no_successor_lives_and_it_is_that_cells_matter_alone(pools: Any) -> None:
    pool = pools(1, WORKS, IS_KILLED, IS_KILLED, IS_KILLED, WORKS)
    assert pool.run(0)[0].outcome == "finished"
    (crashed,) = pool.run(1)
    assert crashed.outcome == "crashed" and "SIGKILL" in crashed.crash.what
    assert pool.run(2)[0].outcome == "finished"


@pytest.mark.parametrize(
    ("scripts", "said"),
    [
        ([IS_KILLED] * 3, "could not start: its process was killed by SIGKILL"),
        ([WORKS, EXITS], "could not start: .* exit code 1 .*: the driver is too old"),
    ],
)
def test_where_workers_cannot_start_the_grid_ends(
    pools: Any, scripts: list[str], said: str
) -> None:
    pool = pools(1, *scripts)
    with pytest.raises(AdbenchError, match=said):
        for index in range(2):
            pool.run(index)
    assert pool.left == []


def test_a_folder_that_cannot_be_written_is_told_as_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Place:
        def __init__(self, _job: object) -> None:
            pass

        def attempt(self, *_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", "results/cells/x/model")

    class Parent:
        to_come: ClassVar = [(None, whole_machine()), Ticket(0, "key", "fit")]
        told: ClassVar[list[Any]] = []

        def recv(self) -> Any:
            return self.to_come.pop(0)

        def send(self, message: Any) -> None:
            self.told.append(message)

    monkeypatch.setattr(worker, "Workplace", Place)
    worker._serve(Parent())  # type: ignore[arg-type]
    refused = Parent.told[-1]
    assert isinstance(refused, worker.Refused) and refused.exit_code == 2
    assert "cannot write results/cells/x/model: the folder is not writable" in refused.message

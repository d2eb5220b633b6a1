"""A member of a team that only trains: it owns no claim, writes no result, and is killed when
the leader's `fit` is over."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from adbench.cell.settings import Settings, cell_context
from adbench.contracts import Team
from adbench.errors import AdbenchError
from adbench.executors.job import Job
from adbench.executors.worker import live_with_parent
from adbench.plan import Cell
from adbench.session import make_settings
from adbench.store.checkpoint import FileCheckpoint
from adbench.text import say, say_traceback


@dataclass(frozen=True)
class Order:
    """Which cell to train, and as whom; `key` is the cell's score key, `batch_divisor` as in
    `Settings`."""

    key: str
    rank: int
    size: int
    device: str
    batch_divisor: int


@dataclass(frozen=True)
class Present:
    """The follower has planned and is about to join."""


def main(descriptor: int) -> NoReturn:
    """Train along with the parent at the other end of the socket `descriptor`."""
    connection: Connection[Any, Any] = Connection(descriptor)
    live_with_parent(connection)
    code = 0
    try:
        job, order = connection.recv()
        _train_along(job, order, connection)
    except (EOFError, ConnectionResetError, KeyboardInterrupt):
        code = 1  # the leader is gone
    except AdbenchError as error:
        _answer(connection, str(error))
        code = error.exit_code
    except Exception:  # a method may raise anything: the leader reads it from stderr and the code
        say_traceback()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _train_along(job: Job, order: Order, connection: Connection[Any, Any]) -> None:
    from adbench.data_parallel.team import membership

    job.enter()
    found = [c for c in job.request.plan().cells if c.score_key == order.key]
    if not found:
        raise AdbenchError("the data, the code or the versions changed since the run started")
    cell = found[0]
    settings = replace(
        make_settings(job.request),
        device=order.device,
        batch_divisor=order.batch_divisor,
    )
    connection.send(Present())
    port: int = connection.recv()
    with membership(order.rank, order.size, port, order.device) as team:
        context = _context(cell, settings, job, team)
        samples = cell.data.split(cell.categories, "train")
        method = cell.build(to_fit=True)
        method.fit(cell.data.images(samples, method.geometry, settings.cache), context)


def _context(cell: Cell, settings: Settings, job: Job, team: Team) -> Any:
    path = job.request.store().cell(cell).checkpoint
    return cell_context(cell, settings, _LeadersCheckpoint(path), team=team)


class _LeadersCheckpoint:
    """The leader's state to start from; it alone saves.

    It cannot have saved a later one: that takes a step, and a step takes all members.
    """

    def __init__(self, path: Any) -> None:
        self._file = FileCheckpoint(path, every_seconds=float("inf"))

    def load(self) -> dict[str, Any] | None:
        """As `Checkpoint`."""
        return self._file.load()

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


def _answer(connection: Connection[Any, Any], message: str) -> None:
    try:
        connection.send(message)
    except OSError:
        say(message)

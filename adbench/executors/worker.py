"""The process that works for `local`: takes a ticket at a time until its parent hangs up.

It lives as long as the connection to its parent does: a parent that dies, however it dies, takes
its workers along. SIGTERM unwinds like Ctrl-C, so that the claim is released.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from adbench.errors import AdbenchError
from adbench.executors.base import Ended, Event
from adbench.executors.job import Workplace
from adbench.executors.serial import Relay
from adbench.store.atomic import explain_os_error
from adbench.text import say, say_traceback

PROGRESS_SECONDS = 0.2
"""Between two progress messages of one stage."""
GRACE_SECONDS = 10.0
"""For unwinding, once the parent is gone."""


@dataclass(frozen=True)
class Ready:
    """The worker has planned and waits for tickets."""


@dataclass(frozen=True)
class Refused:
    """A mistake of the user's, or a full disk: the whole grid ends with this error."""

    message: str
    exit_code: int


def main(descriptor: int) -> NoReturn:
    """Work for the parent at the other end of the socket `descriptor`."""
    connection: Connection[Any, Any] = Connection(descriptor)
    live_with_parent(connection)
    code = 0
    try:
        _serve(connection)
    except (EOFError, ConnectionResetError):
        pass  # the parent has no more work
    except KeyboardInterrupt:
        code = 128 + signal.SIGTERM
    except Exception:  # a bug outside of any cell: the parent reads it from stderr and the code
        say_traceback()
        code = 1
    sys.stderr.flush()
    os._exit(code)  # all is released and written; torch's farewell would take a while


def _serve(connection: Connection[Any, Any]) -> None:
    def tell(event: Event | Ready | Refused) -> None:
        try:
            connection.send(event)
        except OSError:  # nobody hears: no failure of the cell, but a reason to stop
            raise KeyboardInterrupt from None

    try:
        job, slot = connection.recv()
        slot.pin()
        workplace = Workplace(job)
        tell(Ready())
        while True:
            ticket = connection.recv()
            try:
                done = workplace.attempt(ticket, _Throttled(ticket.index, tell))
            except OSError as error:  # from the results folder: what a method raises is its cell's
                where = Path(str(error.filename or workplace.store.root))
                raise explain_os_error(error, where) from error
            failed = done.record is not None and done.record.status == "failed"
            # A device may be left in a state of its own: such a process takes no other cell.
            spoiled = failed or done.outcome == "memory"
            tell(Ended(ticket.index, done.outcome, spoiled=spoiled))
    except AdbenchError as error:
        tell(Refused(str(error), error.exit_code))


class _Throttled:
    """Tells of each stage's beginning and end, and a few times a second in between."""

    def __init__(self, index: int, tell: Callable[[Event], None]) -> None:
        self._relay = Relay(index, tell)
        self._stage, self._told = "", 0.0

    def started(self) -> None:
        """As `Listener`."""
        self._relay.started()

    def progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """As `Listener`."""
        now = time.monotonic()
        if stage == self._stage and now - self._told < PROGRESS_SECONDS and done < total:
            return
        self._stage, self._told = stage, now
        self._relay.progress(stage, done, total, **numbers)


def live_with_parent(connection: Connection[Any, Any]) -> None:
    """Make the calling process a child that unwinds and ends when its parent hangs up."""
    faulthandler.enable(all_threads=False)  # a segmentation fault says where, on stderr
    signal.signal(signal.SIGTERM, _unwind)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)  # they are meant for the parent, which decides
    os.dup2(2, 1)  # what a method prints is no part of a table
    threading.Thread(target=_watch, args=(connection.fileno(),), daemon=True).start()


def _unwind(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: unwinding releases the claim
    raise KeyboardInterrupt


def _watch(descriptor: int) -> None:
    """Wait for the other end to close; then unwind, and if that takes too long, die."""
    poll = select.poll()
    poll.register(descriptor, 0)  # nothing but hang-ups
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    say("the parent is gone and this worker does not unwind: it ends")
    os._exit(1)

"""What a worker does that a launcher has started: `adbench run --worker WORD`."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from adbench.contracts.interruptions import Interruption, is_out_of_memory
from adbench.crew.crew import Crew, Duty, Teller
from adbench.errors import AdbenchError, StoreError
from adbench.plan import Plan
from adbench.request import Request
from adbench.store.files import explain_os_error
from adbench.text import say, say_traceback
from adbench.work.team import Leader, follow
from adbench.work.work import Work, make_settings

GRACE_SECONDS = 10.0
"""For a worker to unwind, once its launcher is gone."""


def serve(word: str, request: Request, make_plan: Callable[[], Plan]) -> NoReturn:
    """Be the worker that `--worker WORD` says, and end the process."""
    duty = Duty.read(word)
    crew, began, code = Crew(Path(duty.crew)), time.monotonic(), 0
    _live_with_launcher(crew)
    teller = Teller(crew, duty.name)
    try:
        if duty.cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, duty.cores)
        deadline = None if request.time_limit is None else began + request.time_limit
        _serve(duty, crew, teller, request, make_plan, deadline)
    except (KeyboardInterrupt, Interruption):
        code = 128 + signal.SIGTERM
    except AdbenchError as error:
        teller.leave("refused", (str(error), error.exit_code))
    except Exception as error:  # outside of any cell: the launcher reads it from stderr
        if is_out_of_memory(error):
            teller.leave("spoiled")
        say_traceback()
        code = 1
    sys.stderr.flush()
    os._exit(code)  # all is released and written; torch's farewell would take a while


def _serve(
    duty: Duty,
    crew: Crew,
    teller: Teller,
    request: Request,
    make_plan: Callable[[], Plan],
    deadline: float | None,
) -> None:
    plan, agenda = make_plan(), crew.agenda()
    if set(agenda.over) - {cell.score_key for cell in plan.cells}:
        raise StoreError(
            "the data, the code or the versions changed after this grid was started, expected "
            "them to stay as they were: run the same command again"
        )
    settings = make_settings(request, deadline)
    if duty.size > 1:
        settings = replace(settings, fit_devices=duty.size)
    if duty.rank:
        follow(crew, duty, plan, request.store(), settings)
    if duty.size > 1:
        settings = replace(settings, recruit=Leader(crew, duty, settings.device).team)
    work = Work(
        plan, agenda, request, settings, teller,
        notes=crew, part=duty.part, patience=duty.patience,
    )  # fmt: skip
    try:
        work.run()
    except OSError as error:  # from the results folder: what a method raises is its cell's
        where = Path(str(error.filename or request.results))
        raise explain_os_error(error, where) from error
    teller.leave(work.end)


def _live_with_launcher(crew: Crew) -> None:
    """Make the calling process a child that unwinds and ends when its launcher hangs up (the other
    end of stdin) or disbands the crew."""
    faulthandler.enable(all_threads=False)  # a segmentation fault says where, on stderr
    signal.signal(signal.SIGTERM, _unwind)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)  # they are meant for the launcher, which decides
    os.dup2(2, 1)  # what a method prints is no part of a table
    threading.Thread(target=_watch, args=(crew,), daemon=True).start()


def _unwind(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: unwinding releases the claim
    raise KeyboardInterrupt


def _watch(crew: Crew) -> None:
    """Wait for the launcher to go; then unwind, and if that takes too long, die."""
    poll = select.poll()
    poll.register(0, 0)  # nothing but hang-ups
    while not poll.poll(1000) and crew.is_there():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    say("the launcher is gone and this worker does not unwind: it ends")
    os._exit(1)

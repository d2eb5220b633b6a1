"""Job arrays on SLURM, or on whatever submitit finds; the launcher may leave at any time.

All that a launcher knows is in the results folder, below `jobs/`: submitit's scripts and logs, and
for each share a file that names its job and its cells. The same command, given again, finds those
that are still queued or running and waits for them; it submits nothing twice. No job is ever
cancelled for another one's sake.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adbench import atomic
from adbench.errors import AdbenchError, UsageError
from adbench.executors.attempt import Ticket
from adbench.executors.base import Crash, Ended, Event
from adbench.executors.crash import STDERR_LINES, portable_line
from adbench.executors.job import Job
from adbench.executors.shares import make_shares
from adbench.executors.slots import make_slots, visible_gpus
from adbench.executors.submitit_share import ShareTask
from adbench.storage.claims import process_start

CLASSES_MINUTES = (60, 360, 1440, 4320)
"""Without `--time-limit`: the shortest that is three times the estimate; the longest for more,
for a cell that does not finish in it goes on from its checkpoint in the next job."""
PARALLEL = 256
"""Jobs of one array that run at a time, without `--slots`."""
SHORTEST_SECONDS = 60.0
"""SLURM counts in minutes, and a job that only starts gets nowhere."""
_EVER = 1_000_000
"""How often a job may be requeued: each time it has got further."""


@dataclass
class _Queued:
    """A share in a job: tickets, the job's handle, and the file in which it tells its end."""

    tickets: tuple[Ticket, ...]
    job: Any
    end: Path


class SubmititExecutor:
    """Collects tickets in `submit` and sends them off, grouped, at the next `wait`."""

    alone = True
    detached = True
    outlives = True

    def __init__(
        self, job: Job, limit_seconds: float | None, slots: int | None, options: Mapping[str, str]
    ) -> None:
        """Raises `UsageError` for too short a limit and for what submitit does not know."""
        if limit_seconds is not None and limit_seconds < SHORTEST_SECONDS:
            raise UsageError(
                f"--time-limit: {limit_seconds:g} s is the limit of each job with submitit; "
                f"expected {SHORTEST_SECONDS:g} s or more"
            )
        self._job, self._limit, self._parallel = job, limit_seconds, slots or PARALLEL
        self._folder = Path(job.folder) / job.request.results / "jobs"
        self._options = dict(options)
        self._collected: list[Ticket] = []
        self._queued: list[_Queued] = []
        self._known: dict[str, Any] = {}
        # A wrong option is told here, before anything is submitted.
        if self._executor(60).cluster != "slurm" and slots is None:  # no queue: all start at once
            self._parallel = len(make_slots(None, job.request.device))

    def open(self, hear: Callable[[Event], None]) -> None:
        """Find the jobs that an earlier launcher has left."""
        self._hear = hear
        self._known = dict(self._left_behind())

    def has_room(self) -> bool:
        """The queue is SLURM's."""
        return True

    def submit(self, ticket: Ticket) -> None:
        """Wait for the job that has the cell already, or collect the ticket for a new one."""
        job, end = self._known.pop(ticket.key, (None, None))
        if job is not None:
            self._queued.append(_Queued((ticket,), job, end))
        else:
            self._collected.append(ticket)

    def wait(self, seconds: float) -> None:
        """Send off what was collected, look which jobs have ended."""
        collected, self._collected = self._collected, []
        for minutes, tickets in _classes(collected, self._limit).items():
            self._send(minutes, make_shares(tickets, self._parallel))
        for queued in list(self._queued):
            if queued.end.exists() or _is_done(queued.job):
                self._queued.remove(queued)
                self._collect(queued)
        time.sleep(seconds)

    def close(self, *, abort: bool) -> None:
        """Jobs go on by themselves."""

    # ------------------------------------------------------------------------- submitting

    def _send(self, minutes: int, shares: Sequence[tuple[Ticket, ...]]) -> None:
        executor = self._executor(minutes)
        limit = self._limit if self._limit is not None else 60.0 * minutes
        left = limit - min(600.0, limit / 10)
        sent: list[tuple[tuple[Ticket, ...], Path, Any]] = []
        with executor.batch():
            for share in shares:
                tickets = tuple(replace(t, seconds_left=left) for t in share)
                end = self._folder / f"end-{uuid.uuid4().hex}.json"
                sent.append((tickets, end, executor.submit(ShareTask(self._job, tickets, end))))
        for tickets, end, job in sent:
            self._queued.append(_Queued(tickets, job, end))
            atomic.write_json(
                self._folder / f"share-{uuid.uuid4().hex}.json",
                {"job": job.job_id, "end": end.name, "cells": [t.key for t in tickets]},
            )

    def _executor(self, minutes: int) -> Any:
        import submitit

        options = dict(self._options)
        cluster = options.pop("cluster", None)
        try:
            executor = submitit.AutoExecutor(
                self._folder / "%j", cluster=cluster,
                slurm_max_num_timeout=_EVER, local_max_num_timeout=_EVER,
            )  # fmt: skip
            gpus = 0 if self._job.request.device == "cpu" else 1
            if executor.cluster != "slurm":
                gpus = min(gpus, len(visible_gpus()))
            executor.update_parameters(
                name="adbench", timeout_min=minutes, gpus_per_node=gpus,
                slurm_array_parallelism=self._parallel,
            )  # fmt: skip
            executor.update_parameters(**dict(_typed(options)))
        except (AssertionError, NameError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"--executor submitit: {reason}") from None
        return executor

    # ------------------------------------------------------------------------- collecting

    def _collect(self, queued: _Queued) -> None:
        outcomes = _read_end(queued.end)
        for ticket in queued.tickets:
            outcome = outcomes.get(str(ticket.index))
            if outcome is not None:
                self._hear(Ended(ticket.index, outcome))
            elif _is_cancelled(queued.job):
                self._hear(Ended(ticket.index, "left"))
            elif len(queued.tickets) > 1:
                # The job died, and only one of its cells can be to blame: each gets its own.
                self._send(_class_of(ticket, self._limit), [(ticket,)])
            else:
                self._hear(Ended(ticket.index, "crashed", crash=_crash(queued.job)))

    def _left_behind(self) -> Iterator[tuple[str, tuple[Any, Path]]]:
        for path in self._folder.glob("share-*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                share = atomic.read_json(path)
                end = self._folder / Path(share["end"]).name
                job = self._executor(60)._executor.job_class(self._folder / "%j", share["job"])
                if end.exists() or _is_done(job):
                    path.unlink(missing_ok=True)
                else:
                    yield from ((key, (job, end)) for key in share["cells"])


def _typed(options: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Numbers as numbers; what is no parameter of every engine is one of SLURM."""
    shared = {"mem_gb", "cpus_per_task", "gpus_per_node", "nodes", "tasks_per_node", "name"}
    for name, text in options.items():
        known = name in shared or name.startswith(("slurm_", "local_"))
        try:
            value: Any = json.loads(text)
        except ValueError:
            value = text
        yield (name if known else f"slurm_{name}"), value


def _classes(tickets: Sequence[Ticket], limit: float | None) -> dict[int, list[Ticket]]:
    found: dict[int, list[Ticket]] = {}
    for ticket in tickets:
        found.setdefault(_class_of(ticket, limit), []).append(ticket)
    return found


def _class_of(ticket: Ticket, limit: float | None) -> int:
    """Minutes that a job with this cell asks for."""
    if limit is not None:
        return max(1, math.ceil(limit / 60))
    needed = 3 * ticket.estimate / 60
    return next((m for m in CLASSES_MINUTES if m >= needed), CLASSES_MINUTES[-1])


def _read_end(path: Path) -> dict[str, Any]:
    """What a share said of its tickets; raises the mistake that ended it."""
    try:
        end = atomic.read_json(path)
    except (OSError, ValueError):
        return {}
    if end["error"]:
        error = AdbenchError(end["error"][0])
        error.exit_code = end["error"][1]
        raise error
    outcomes: dict[str, Any] = end["outcomes"]
    return outcomes


def _is_done(job: Any) -> bool:
    local_orphan = hasattr(job, "_process") and job._process is None
    if local_orphan:  # another launcher's process: its pid is the job's id
        return process_start(int(job.job_id)) is None
    return bool(job.done())


def _is_cancelled(job: Any) -> bool:
    return "CANCELLED" in str(job.state).upper()


def _crash(job: Any) -> Crash:
    state = str(job.state)
    lines = (job.stderr() or "").splitlines()[-STDERR_LINES:]
    return Crash(
        f"its job ended without an outcome (state {state})",
        tuple(portable_line(line) for line in lines),
        out_of_memory="MEMORY" in state.upper(),
    )

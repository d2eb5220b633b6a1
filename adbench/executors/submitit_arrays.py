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

from adbench.errors import UsageError
from adbench.executors.attempt import Ticket
from adbench.executors.base import Ended, Event
from adbench.executors.job import Job
from adbench.executors.shares import make_shares
from adbench.executors.slots import make_slots, visible_gpus
from adbench.executors.submitit_jobs import (
    LOST_SECONDS,
    Queue,
    SentJob,
    read_end,
    read_share,
    write_share,
)
from adbench.executors.submitit_share import ShareTask

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
    """Tickets that wait for a job."""

    tickets: tuple[Ticket, ...]
    job: SentJob


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
        self._known: dict[str, SentJob] = {}
        self._queue = Queue()
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
        job = self._known.pop(ticket.key, None)
        if job is not None:
            self._queued.append(_Queued((ticket,), job))
        else:
            self._collected.append(ticket)

    def wait(self, seconds: float) -> None:
        """Send off what was collected, look which jobs have ended."""
        collected, self._collected = self._collected, []
        for minutes, tickets in _classes(collected, self._limit).items():
            self._send(minutes, make_shares(tickets, self._parallel))
        for queued in list(self._queued):
            if queued.job.has_ended(LOST_SECONDS):
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
        for tickets, end, handle in sent:
            job = SentJob.new(handle, end, self._queue)
            self._queued.append(_Queued(tickets, job))
            write_share(self._folder, job, [t.key for t in tickets])

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
        job, outcomes = queued.job, read_end(queued.job.end)
        for ticket in queued.tickets:
            if outcomes and ticket.key in outcomes:
                self._hear(Ended(ticket.index, outcomes[ticket.key]))
            elif job.was_cancelled():
                self._hear(Ended(ticket.index, "left"))
            elif outcomes is None or not job.ours or job.was_preempted():
                # No fault of the cell's that we know of: the grid looks at it, and gives it back.
                self._hear(Ended(ticket.index, "busy"))
            elif len(queued.tickets) > 1:
                # The job died, and only one of its cells can be to blame: each gets its own.
                self._send(_class_of(ticket, self._limit), [(ticket,)])
            else:
                self._hear(Ended(ticket.index, "crashed", crash=job.crash()))

    def _left_behind(self) -> Iterator[tuple[str, SentJob]]:
        job_class = self._executor(60)._executor.job_class
        for path in self._folder.glob("share-*.json"):
            share = read_share(path)
            if share is None:
                continue
            handle, end = job_class(self._folder / "%j", share["job"]), Path(share["end"]).name
            job = SentJob(handle, share.get("start"), self._folder / end, self._queue, ours=False)
            if not job.is_of_its_kind():  # sent off with another cluster=
                continue
            if job.has_ended(0.0):
                with contextlib.suppress(OSError):
                    path.unlink()
            else:
                yield from ((key, job) for key in share["cells"])


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

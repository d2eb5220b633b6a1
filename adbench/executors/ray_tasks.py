"""Tasks on a Ray cluster; results go through the results folder, which all nodes must share.

Each task is a process of its own (`max_calls=1`) with its own GPU, and works on a share of the
cells through one worker. A task whose node dies is tried again on another: what it had finished
is found there, and what it had begun goes on from its checkpoint.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from adbench.errors import AdbenchError, UsageError
from adbench.executors.attempt import Ticket
from adbench.executors.base import Crash, Ended, Event
from adbench.executors.beacon import Beacon
from adbench.executors.crash import STDERR_LINES, portable_line
from adbench.executors.job import Job
from adbench.executors.shares import Share, ShareEnd, make_shares

RETRIES = 3
"""Times that Ray starts a task again whose process or node died."""
AHEAD = 8
"""Tickets that are out for each cell that can run: short ones share a task, as starting one takes
seconds, and the rest stays with the grid, which looks again whether somebody else has done them."""
STOP_SECONDS = 30.0
"""For a task to see that its launcher has gone, and for its worker to unwind."""


class RayExecutor:
    """Hands the cluster as many tickets as it has room for, and some to keep it busy."""

    alone = True
    detached = True
    outlives = False

    def __init__(self, job: Job, slots: int | None, options: Mapping[str, str]) -> None:
        """`options`: address, and gpus and cpus per cell. Raises `UsageError` for others."""
        self._job, self._slots = job, slots
        given = dict(options)
        self._address = given.pop("address", None)
        self._gpus, self._cpus = _number(given, "gpus"), _number(given, "cpus")
        if given:
            raise UsageError(
                f"--executor ray: unknown option {next(iter(given))!r}; valid: address, cpus, gpus"
            )
        self._collected: list[Ticket] = []
        self._running: dict[Any, tuple[Ticket, ...]] = {}
        self._beacon: Beacon | None = None

    def open(self, hear: Callable[[Event], None]) -> None:
        """Join the cluster at `address` or $RAY_ADDRESS, or start one on this machine."""
        import ray

        self._hear = hear
        # Else a task without a GPU loses sight of them all, and says so in a warning.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(
                address=self._address, log_to_driver=False, logging_level=logging.ERROR,
                include_dashboard=False if self._starts_one() else None,
            )  # fmt: skip
        except (ConnectionError, ValueError, RuntimeError) as error:
            where = self._address or "this machine"
            raise UsageError(f"no Ray cluster at {where}: {' '.join(str(error).split())}") from None
        gpus = self._gpus
        if gpus is None:
            on_gpu = self._job.request.device != "cpu" and self._resource("GPU") > 0
            gpus = 1.0 if on_gpu else 0.0
        self._gpus, self._cpus = gpus, 1.0 if self._cpus is None else self._cpus
        self._beacon = Beacon.light(self._job.request.results)
        self._work = ray.remote(
            num_gpus=self._gpus, num_cpus=self._cpus, max_calls=1, max_retries=RETRIES
        )(run_share)

    def has_room(self) -> bool:
        """While fewer cells are out than the cluster can run, and some to keep it busy."""
        out = sum(map(len, self._running.values())) + len(self._collected)
        return out < AHEAD * self._capacity()

    def submit(self, ticket: Ticket) -> None:
        """Collect the ticket."""
        self._collected.append(ticket)

    def wait(self, seconds: float) -> None:
        """Send off what was collected, hear what has ended."""
        import ray

        free = max(0, self._capacity() - len(self._running))
        shares = make_shares(self._collected, self._capacity())
        for share in shares[:free]:
            self._send(share)
        self._collected = [ticket for share in shares[free:] for ticket in share]
        if not self._running:
            return
        ended, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        for reference in ended:
            self._collect(reference, self._running.pop(reference))

    def close(self, *, abort: bool) -> None:
        """Leave the cluster; with `abort`, give the tasks time to unwind, and then end them.

        Without, all cells are settled; a task that has published the last may still be tidying.
        """
        import ray

        try:
            if not abort:
                self._await_all()
            if self._beacon is not None:
                self._beacon.put_out()
            for reference in self._await_all():
                ray.cancel(reference, force=True)
        finally:
            if self._beacon is not None:
                self._beacon.put_out()  # also after the second Ctrl-C
            if ray.is_initialized():
                ray.shutdown()

    def _await_all(self) -> list[Any]:
        """Wait a while for the tasks that are out; gives those that go on."""
        import ray

        tasks = list(self._running)
        if not (tasks and ray.is_initialized()):
            return []
        _, alive = ray.wait(tasks, num_returns=len(tasks), timeout=STOP_SECONDS)
        self._running = {reference: self._running[reference] for reference in alive}
        return list(alive)

    def _send(self, share: tuple[Ticket, ...]) -> None:
        self._running[self._work.remote(self._job, share, self._beacon)] = share

    def _collect(self, reference: Any, tickets: tuple[Ticket, ...]) -> None:
        import ray

        try:
            end: ShareEnd = ray.get(reference)
        except ray.exceptions.RayError as error:
            self._lost(tickets, error)
            return
        if end.error is not None:
            failure = AdbenchError(end.error[0])
            failure.exit_code = end.error[1]
            raise failure
        for ticket in tickets:
            self._hear(Ended(ticket.index, end.outcomes[ticket.index]))  # type: ignore[arg-type]

    def _lost(self, tickets: tuple[Ticket, ...], error: Exception) -> None:
        """A task died more often than it is retried."""
        if len(tickets) > 1:  # only one of its cells can be to blame: each gets its own
            for ticket in tickets:
                self._send((ticket,))
            return
        name = type(error).__name__
        lines = tuple(portable_line(line) for line in str(error).splitlines()[:STDERR_LINES])
        crash = Crash(
            f"its Ray task died and was not saved by {RETRIES} retries ({name})",
            lines,
            out_of_memory=name == "OutOfMemoryError",
        )
        self._hear(Ended(tickets[0].index, "crashed", crash=crash))

    def _capacity(self) -> int:
        """Cells that run at a time; nodes come and go."""
        if self._slots is not None:
            return self._slots
        by_cpu = self._resource("CPU") / self._cpus if self._cpus else math.inf
        by_gpu = self._resource("GPU") / self._gpus if self._gpus else math.inf
        return max(1, int(min(by_cpu, by_gpu, 10_000)))

    def _resource(self, name: str) -> float:
        import ray

        return float(ray.cluster_resources().get(name, 0.0))

    def _starts_one(self) -> bool:
        return self._address in (None, "local") and not os.environ.get("RAY_ADDRESS")


def run_share(job: Job, tickets: tuple[Ticket, ...], beacon: Beacon) -> ShareEnd:
    """The task: Ray tells its end to the driver, and nothing else goes through Ray."""
    return Share(job, tickets, beacon).run()


def _number(options: dict[str, str], name: str) -> float | None:
    text = options.pop(name, None)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise UsageError(f"--executor ray[{name}={text}]: expected a number, 0 or more")
    return value

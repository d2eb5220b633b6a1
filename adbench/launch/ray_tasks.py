"""Tasks on a Ray cluster; results go through the results folder, which all nodes must share.

Each task is a process of its own (`max_calls=1`) with its own GPU, and keeps one worker alive. One
whose node dies is started again on another: what it had finished is found in the folder, and what
it had begun goes on from its checkpoint.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adbench.crew.crew import Crash, Crew
from adbench.errors import AdbenchError, UsageError
from adbench.launch.processes import STDERR_LINES, Machine, Place, portable_line
from adbench.launch.slots import whole_machine
from adbench.launch.watch import Watch
from adbench.request import Request
from adbench.store.claims import STALE_SECONDS, ClaimWatch

RETRIES = 3
"""Times that Ray starts a task again whose process or node died."""
POLL_SECONDS = 1.0
STOP_SECONDS = 30.0
"""For a task to see that its launcher has gone, and for its worker to unwind."""
PATIENCE_SECONDS = STALE_SECONDS + 60.0
"""With nothing but claims of other hosts: if their owner is dead, that shows by then, also where a
network file system tells late of its last sign of life."""


def launch_tasks(options: Mapping[str, str], watch: Watch, deadline: float | None) -> None:
    """Keep as many tasks running as the cluster has room for and cells are open.

    `options`: address, and gpus and cpus per cell. Raises `UsageError` for others.
    """
    request, given = watch.request, dict(options)
    address, gpus, cpus = given.pop("address", None), _number(given, "gpus"), _number(given, "cpus")
    if given:
        raise UsageError(
            f"--executor ray: unknown option {next(iter(given))!r}; valid: address, cpus, gpus"
        )
    import ray

    _join(address)
    if gpus is None:
        gpus = float(request.device != "cpu" and _resource("GPU") > 0)
    needs = {"num_gpus": gpus, "num_cpus": 1.0 if cpus is None else cpus}
    task = ray.remote(max_calls=1, max_retries=RETRIES, **needs)(keep_worker)
    crew = Crew.gather(request.results, watch.agenda)
    watch.crews = [crew]
    claim, running = ClaimWatch().try_claim(crew.folder), list[Any]()
    try:
        while watch.open:
            late = deadline is not None and time.monotonic() >= deadline
            room = (request.slots or _room(needs)) - len(running)
            for _ in range(0 if late else _wanted(watch, room, len(running))):
                left = None if deadline is None else deadline - time.monotonic()
                running.append(task.remote(request, Place.here(), str(crew.folder), left))
            if not running and (late or not request.wait):
                return
            if not running:
                watch.reporter.waiting(len(watch.open))
                time.sleep(POLL_SECONDS)
            for reference in _ended(running):
                _collect(crew, watch, reference)
            watch.look()
    finally:
        if claim is not None:
            claim.release()
        crew.disband()
        try:
            if running and ray.is_initialized():
                _, alive = ray.wait(running, num_returns=len(running), timeout=STOP_SECONDS)
                for reference in alive:
                    ray.cancel(reference, force=True)
        finally:
            if ray.is_initialized():
                ray.shutdown()


def keep_worker(request: Request, place: Place, crew: str, seconds: float | None) -> None:
    """The task: one worker, kept alive until it leaves of itself; raises the user's mistakes."""
    place.enter()
    deadline = None if seconds is None else time.monotonic() + seconds
    machine = Machine(
        Crew(Path(crew)), request, place, [whole_machine()], "alone",
        deadline=deadline, patience=PATIENCE_SECONDS,
    )  # fmt: skip
    for _ in machine.run():
        pass


def _join(address: str | None) -> None:
    """Join the cluster at `address` or $RAY_ADDRESS, or start one on this machine."""
    import ray

    # Else a task without a GPU loses sight of them all, and says so in a warning.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    starts_one = address in (None, "local") and not os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR,
            include_dashboard=False if starts_one else None,
        )  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or "this machine"
        raise UsageError(f"no Ray cluster at {where}: {' '.join(str(error).split())}") from None


def _ended(running: list[Any]) -> list[Any]:
    """Take out the tasks that have ended, after a short wait."""
    import ray

    if not running:
        return []
    ended, running[:] = ray.wait(running, num_returns=len(running), timeout=POLL_SECONDS)
    return list(ended)


def _wanted(watch: Watch, room: int, running: int) -> int:
    """How many tasks to start: one a free fit, less those that are about to begin."""
    if room <= 0:
        return 0
    free = {cell.fit_key for cell in watch.free()}
    busy = {cell.fit_key for cell, _ in watch.open.values()} - free
    return min(room, len(free) - max(0, running - len(busy)))


def _collect(crew: Crew, watch: Watch, reference: Any) -> None:
    """Raise a mistake that concerns the whole run; note what a lost task was at."""
    import ray

    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AdbenchError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        name = type(error).__name__
        lines = tuple(portable_line(line) for line in str(error).splitlines()[:STDERR_LINES])
        what = f"its Ray task died and was not saved by {RETRIES} retries ({name})"
        watch.bury_lost(crew, Crash(what, lines, name == "OutOfMemoryError"))


def _room(needs: Mapping[str, float]) -> int:
    """Cells that run at a time; nodes come and go."""
    parts = [
        _resource(resource) / needs[need]
        for resource, need in (("CPU", "num_cpus"), ("GPU", "num_gpus"))
        if needs[need]
    ]
    return max(1, int(min([*parts, 10_000])))


def _resource(name: str) -> float:
    import ray

    return float(ray.cluster_resources().get(name, 0.0))


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

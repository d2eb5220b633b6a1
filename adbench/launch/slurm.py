"""Workers as jobs of SLURM, or of whatever submitit finds; the launcher may leave at any time.

One array of jobs, each of which keeps one worker alive until nothing is left, and is requeued by
submitit before its time is over. All that a launcher knows is in the crew's folder: `jobs`
names its jobs. The same command, given again, finds those that are still queued or running and
waits for them; it submits nothing twice. No job is ever cancelled.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adbench.crew.agenda import Agenda
from adbench.crew.crew import Crash, Crew, End
from adbench.errors import AdbenchError, UsageError
from adbench.estimates import estimate
from adbench.launch.processes import STDERR_LINES, Machine, Place, portable_line
from adbench.launch.ray_tasks import PATIENCE_SECONDS
from adbench.launch.slots import make_slots, visible_gpus, whole_machine
from adbench.launch.watch import Watch
from adbench.request import Request
from adbench.store.owners import process_start
from adbench.text import say

CLASSES_MINUTES = (60, 360, 1440, 4320)
"""Without `--time-limit`: the shortest that is three times the estimate; the longest for more,
for a cell that does not finish in it goes on from its checkpoint in the next job."""
PARALLEL = 256
"""Jobs of one array that run at a time, without `--slots`."""
SHORTEST_SECONDS = 60.0
"""SLURM counts in minutes, and a job that only starts gets nowhere."""
POLL_SECONDS = 1.0
LOST_SECONDS = 300.0
"""After a job was seen to be in no queue: so long its last words may take through the folder."""
ASK_SECONDS = 60.0
"""Between two looks at SLURM's queue."""
_DOUBTFUL = ("PREEMPTED", "UNKNOWN")
"""States that submitit takes for running."""
_EVER = 1_000_000
"""How often a job may be requeued: each time it has got further."""


def launch_jobs(options: Mapping[str, str], watch: Watch) -> int:
    """Submit what no job has yet, and wait for it; gives the number of cells left to jobs.

    Raises `UsageError` for too short a limit and for what submitit does not know.
    """
    request, agenda = watch.request, watch.agenda
    limit = request.time_limit
    if limit is not None and limit < SHORTEST_SECONDS:
        raise UsageError(
            f"--time-limit: {limit:g} s is the limit of each job with submitit; "
            f"expected {SHORTEST_SECONDS:g} s or more"
        )
    jobs = Jobs(request, options)
    for crew in Crew.all(request.results):
        jobs.find(crew)
    covered = {key for crew in jobs.crews for key in crew.agenda().over}
    missing = Agenda({key: over for key, over in agenda.over.items() if key not in covered})
    watch.crews = list(jobs.crews)
    if missing.over:
        watch.crews.append(Crew.gather(request.results, missing))
        jobs.send(watch.crews[-1], _cells_of(watch, missing))
    while watch.open and request.wait:
        time.sleep(POLL_SECONDS)
        watch.look()
        for crew in watch.crews:
            jobs.follow(crew, watch)
        if jobs.all_left():
            break
    if not watch.open:
        for crew in watch.crews:
            if not set(crew.agenda().over) - set(agenda.over):
                crew.disband()
    return len(watch.open) if jobs.sent else 0


def _cells_of(watch: Watch, agenda: Agenda) -> list[Any]:
    return [cell for key, (cell, _) in watch.open.items() if key in agenda.over]


@dataclass
class SentJob:
    """A job, and when its process started where it is one of a machine: pids are reused."""

    handle: Any
    start: str | None
    ours: bool = True
    lost_since: float | None = None

    @property
    def state(self) -> str:
        """What SLURM calls it."""
        return str(self.handle.state).upper()

    def is_process(self) -> bool:
        """Whether it is one of `cluster=local`, whose id is a pid of this machine."""
        return hasattr(self.handle, "_process")

    def has_ended(self, queue: Queue, patience: float) -> bool:
        """Whether nothing more will come of it; `patience`: seconds with one that seems gone.

        SLURM's accounting, which submitit asks, may be off, may be late and forgets in time. A job
        that it does not know, or calls preempted, may be gone or may wait to run again: the queue
        says which.
        """
        if self.is_process() and self.handle._process is None:  # another launcher's
            started = process_start(int(self.handle.job_id))
            return started is None or started != self.start
        if self.handle.done():
            return True
        if not (self.state.startswith(_DOUBTFUL) and queue.lacks(self.handle.job_id)):
            self.lost_since = None
            return False
        self.lost_since = self.lost_since or time.monotonic()
        return time.monotonic() - self.lost_since >= patience

    def crash(self) -> Crash:
        """What to say of one that ended and left its cell."""
        lines = (self.handle.stderr() or "").splitlines()[-STDERR_LINES:]
        return Crash(
            f"its job ended without an outcome (state {self.handle.state})",
            tuple(portable_line(line) for line in lines),
            out_of_memory="MEMORY" in self.state,
        )


class Queue:
    """The jobs of this user that wait or run on SLURM, asked for at most once in a while."""

    def __init__(self) -> None:
        self._asked: float | None = None
        self._jobs: frozenset[str] | None = None

    def lacks(self, job: str) -> bool:
        """Whether a job is certain neither to wait nor to run."""
        if self._asked is None or time.monotonic() - self._asked >= ASK_SECONDS:
            self._jobs, self._asked = _queued_jobs(), time.monotonic()
        return self._jobs is not None and job not in self._jobs


def _queued_jobs() -> frozenset[str] | None:
    """Their ids, one for each task of an array; None where SLURM does not answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(answer.stdout.split())


class Jobs:
    """The jobs of a launcher, by the crew that they work for."""

    def __init__(self, request: Request, options: Mapping[str, str]) -> None:
        self._request, self._options = request, dict(options)
        self._folder = Path(os.getcwd()) / request.results / "jobs"
        self._queue = Queue()
        self._jobs: dict[Path, list[SentJob]] = {}
        self._parallel = request.slots or PARALLEL
        self.crews: list[Crew] = []
        self.sent = False
        self._settled = 0
        # A wrong option is told here, before anything is submitted.
        if self._executor(60).cluster != "slurm" and request.slots is None:  # no queue: all start
            self._parallel = len(make_slots(None, request.device))

    def find(self, crew: Crew) -> None:
        """Join a crew that an earlier launcher has left, if any of its jobs may still run."""
        found = [job for job in self._left_behind(crew) if not job.has_ended(self._queue, 0.0)]
        if found:
            self.crews.append(crew)
            self._jobs[crew.folder] = found
            self.sent = True
        elif (crew.folder / "jobs").exists():
            crew.disband()

    def send(self, crew: Crew, cells: list[Any]) -> None:
        """Submit as many jobs as can be of use to these cells."""
        fits = len({cell.fit_key for cell in cells})
        count = min(fits, self._parallel)
        # A launcher may have no GPU where its jobs have one.
        device = "cpu" if self._request.device == "cpu" else "cuda"
        expected = estimate(cells, replace(self._request, device=device))
        longest = max(expected.cells.values(), default=0.0)
        minutes = self._minutes(
            expected.around + max(longest, sum(expected.cells.values()) / count)
        )
        limit = self._request.time_limit or 60.0 * minutes
        left = limit - min(600.0, limit / 10)
        executor = self._executor(minutes)
        with executor.batch():
            handles = [
                executor.submit(JobTask(self._request, Place.here(), str(crew.folder), left))
                for _ in range(count)
            ]
        jobs = [SentJob(h, _start_of(h)) for h in handles]
        self._jobs.setdefault(crew.folder, []).extend(jobs)
        written = [[job.handle.job_id, job.start] for job in self._jobs[crew.folder]]
        crew.write("jobs", {"jobs": written})
        self.sent = True

    def follow(self, crew: Crew, watch: Watch) -> None:
        """See which jobs have ended; where cells are left that nobody has, others get them."""
        jobs = self._jobs.get(crew.folder, [])
        gone = [job for job in jobs if job.has_ended(self._queue, LOST_SECONDS)]
        if not gone:
            return
        for job in gone:
            jobs.remove(job)
        if any("CANCELLED" in job.state for job in gone):
            return  # somebody has taken it back: its cells are left
        crashes = [job.crash() for job in gone if job.ours and "PREEMPTED" not in job.state]
        buried = bool(crashes) and watch.bury_lost(crew, crashes[0])
        cells = [c for c in watch.free() if c.score_key in crew.agenda().over]
        if cells and not jobs:
            if crashes and not buried and self._settled == len(watch.outcomes):
                last = next((line for line in reversed(crashes[0].lines) if line.strip()), "")
                raise AdbenchError(f"a job did not begin: {crashes[0].what}: {last.strip()}")
            self._settled = len(watch.outcomes)
            self.send(crew, cells)

    def all_left(self) -> bool:
        """Whether no job is left."""
        return not any(self._jobs.values())

    def _left_behind(self, crew: Crew) -> Iterator[SentJob]:
        job_class = self._executor(60)._executor.job_class
        for number, start in (crew.read("jobs") or {}).get("jobs", ()):
            job = SentJob(job_class(self._folder / "%j", number), start, ours=False)
            if job.is_process() == (start is not None):  # else sent off with another cluster=
                yield job

    def _minutes(self, seconds: float) -> int:
        """That a job asks for."""
        if self._request.time_limit is not None:
            return max(1, math.ceil(self._request.time_limit / 60))
        needed = 3 * seconds / 60
        return next((m for m in CLASSES_MINUTES if m >= needed), CLASSES_MINUTES[-1])

    def _executor(self, minutes: int) -> Any:
        import submitit

        options = dict(self._options)
        cluster = options.pop("cluster", None)
        try:
            executor = submitit.AutoExecutor(
                self._folder / "%j", cluster=cluster,
                slurm_max_num_timeout=_EVER, local_max_num_timeout=_EVER,
            )  # fmt: skip
            gpus = 0 if self._request.device == "cpu" else 1
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


def _start_of(handle: Any) -> str | None:
    return process_start(int(handle.job_id)) if hasattr(handle, "_process") else None


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


@dataclass
class JobTask:
    """What a job runs: submitit pickles it, calls it, and asks it for what is left of it.

    A cell that ends for its time has saved its state; the task then sends itself the signal that
    SLURM sends before a time limit, so that submitit requeues the job, which goes on from the
    checkpoint. Preemption takes the same way.

    Attributes:
        seconds: that a job has for its work.
    """

    request: Request
    place: Place
    crew: str
    seconds: float
    machine: Machine | None = field(default=None, compare=False)

    def __call__(self) -> None:
        """Work until nothing is left."""
        self.place.enter()
        crew = Crew(Path(self.crew))
        if not crew.is_there():
            return  # all was settled before it began
        request = replace(self.request, wait=True, time_limit=None)
        self.machine = Machine(
            crew, request, self.place, [whole_machine()], "alone",
            deadline=time.monotonic() + self.seconds, patience=PATIENCE_SECONDS,
        )  # fmt: skip
        signal.signal(signal.SIGTERM, _interrupt)  # SLURM's: release what is claimed, at once
        try:
            for _ in self.machine.run():
                pass
        except AdbenchError as error:
            say(f"error: {error}")  # the launcher has it from the folder
            return
        ends: set[End] = set(self.machine.ends.values())
        if "late" in ends:
            os.kill(os.getpid(), requeue_signal())
            time.sleep(60)  # the handler ends the process

    def checkpoint(self) -> Any:
        """Called by submitit within a signal: stop, and give what is left as the next job."""
        from submitit.helpers import DelayedSubmission

        if self.machine is not None:
            self.machine.stop()
        return DelayedSubmission(JobTask(self.request, self.place, self.crew, self.seconds))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "machine": None}


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def requeue_signal() -> signal.Signals:
    """The signal at which submitit checkpoints and requeues."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]

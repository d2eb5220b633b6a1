"""Jobs that have been sent: what is written down of each, whether it still lives, how it ended.

SLURM's accounting, which submitit asks, may be off, may be late and forgets in time. A job that it
does not know, or calls preempted, may be gone or may wait to run again: the queue says which.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adbench.errors import AdbenchError
from adbench.executors.base import Crash
from adbench.executors.crash import STDERR_LINES, portable_line
from adbench.store import atomic
from adbench.store.owners import process_start
from adbench.store.regular_files import NotAFile

LOST_SECONDS = 300.0
"""After a job was seen to be in no queue: so long its last words may take through the folder."""
ASK_SECONDS = 60.0
"""Between two looks at SLURM's queue."""
_DOUBTFUL = ("PREEMPTED", "UNKNOWN")
"""States that submitit takes for running."""


class Queue:
    """The jobs of this user that wait or run on SLURM, asked for at most once in a while."""

    def __init__(self) -> None:
        self._asked: float | None = None
        self._jobs: frozenset[str] | None = None

    def lacks(self, job: str) -> bool:
        """Whether a job is certain neither to wait nor to run."""
        if self._asked is None or time.monotonic() - self._asked >= ASK_SECONDS:
            self._jobs = _queued_jobs()
            self._asked = time.monotonic()
        return self._jobs is not None and job not in self._jobs


def _queued_jobs() -> frozenset[str] | None:
    """Their ids, one for each task of an array; None where SLURM does not answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(answer.stdout.split())


@dataclass
class SentJob:
    """A job and the file in which it tells its end.

    Attributes:
        handle: submitit's.
        start: start time of its process, where it is one of a machine: pids are reused.
        end: the file.
        queue: SLURM's.
        ours: whether this launcher has sent it.
    """

    handle: Any
    start: str | None
    end: Path
    queue: Queue
    ours: bool
    _lost_since: float | None = None

    @classmethod
    def new(cls, handle: Any, end: Path, queue: Queue) -> SentJob:
        """One that was sent just now."""
        start = process_start(int(handle.job_id)) if _is_process(handle) else None
        return cls(handle, start, end, queue, ours=True)

    def is_of_its_kind(self) -> bool:
        """Whether what is written down of it fits the handle: a process, or a job of SLURM."""
        return _is_process(self.handle) == (self.start is not None)

    def has_ended(self, patience: float) -> bool:
        """Whether nothing more will come of it; `patience`: seconds with one that seems gone."""
        if self.end.exists():
            return True
        if _is_process(self.handle) and self.handle._process is None:  # another launcher's
            started = process_start(int(self.handle.job_id))
            return started is None or started != self.start
        if self.handle.done():
            return True
        doubtful = str(self.handle.state).upper().startswith(_DOUBTFUL)
        if not (doubtful and self.queue.lacks(self.handle.job_id)):
            self._lost_since = None
            return False
        if self._lost_since is None:
            self._lost_since = time.monotonic()
        return time.monotonic() - self._lost_since >= patience

    def was_preempted(self) -> bool:
        """Whether it had to make room for another job."""
        return "PREEMPTED" in str(self.handle.state).upper()

    def was_cancelled(self) -> bool:
        """Whether somebody has taken it back."""
        return "CANCELLED" in str(self.handle.state).upper()

    def crash(self) -> Crash:
        """What to say of a job that ended without an outcome."""
        state = str(self.handle.state)
        lines = (self.handle.stderr() or "").splitlines()[-STDERR_LINES:]
        return Crash(
            f"its job ended without an outcome (state {state})",
            tuple(portable_line(line) for line in lines),
            out_of_memory="MEMORY" in state.upper(),
        )


def _is_process(handle: Any) -> bool:
    """Whether the job is one of `cluster=local`, whose id is a pid of this machine."""
    return hasattr(handle, "_process")


def write_share(folder: Path, job: SentJob, keys: Sequence[str]) -> None:
    """Write down a job and its cells, for launchers to come."""
    atomic.write_json(
        folder / f"share-{uuid.uuid4().hex}.json",
        {"job": job.handle.job_id, "start": job.start, "end": job.end.name, "cells": list(keys)},
    )


def read_share(path: Path) -> dict[str, Any] | None:
    """What `write_share` wrote; None where it is gone by now or damaged, which is told."""
    try:
        share = atomic.read_json(path)
        texts = [share.get("job"), share.get("end"), *share.get("cells", [None])]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{path.name} names no job")
    except (TypeError, ValueError, NotAFile) as error:
        atomic.say_damaged(path, str(error), "its cells get new jobs")
        return None
    except OSError:
        return None
    return share


def read_end(path: Path) -> dict[str, Any] | None:
    """Outcomes by key that a job told, none where it told nothing; None where that is damaged.

    Raises the mistake that ended the job.
    """
    try:
        end = atomic.read_json(path)
        outcomes, mistake = end.get("outcomes"), end.get("error")
        if not (isinstance(outcomes, dict) and isinstance(mistake, list)):
            raise ValueError(f"{path.name} tells no outcomes")
    except (ValueError, NotAFile) as error:
        atomic.say_damaged(path, str(error), "its cells are looked at again")
        return None
    except OSError:
        return {}
    if mistake:
        failure = AdbenchError(mistake[0])
        failure.exit_code = mistake[1]
        raise failure
    return outcomes

"""What a SLURM job runs: a share of the tickets, requeued by submitit before its time is over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adbench.executors.attempt import Ticket
from adbench.executors.interrupt import terminate_as_interrupt
from adbench.executors.job import Job
from adbench.executors.shares import PATIENCE_SECONDS, Share
from adbench.store import atomic


class ShareTask:
    """A callable that submitit pickles, runs in a job, and asks for what is left of it.

    The tickets carry the seconds that a job has. A cell that these end has saved its state; the
    task then sends itself the signal that SLURM sends before a time limit, so that submitit
    requeues the job, which goes on from the checkpoint. Preemption takes the same way.
    """

    def __init__(
        self,
        job: Job,
        tickets: Sequence[Ticket],
        end: Path,
        settled: Mapping[str, str] | None = None,
    ) -> None:
        """`settled`: outcomes by key of what the job has done before it was requeued."""
        self.job, self.tickets, self.end = job, tuple(tickets), end
        self.settled = dict(settled or {})
        self._share: Share | None = None

    def __call__(self) -> None:
        """Run the share and say what came of it in the file `end`.

        By key: who reads it may have another plan, in which the cell has another index.
        """
        self._share = Share(self.job, self.tickets, patience=PATIENCE_SECONDS)
        with terminate_as_interrupt():  # SLURM's SIGTERM: release what is claimed, at once
            end = self._share.run()
        if self._share.unfinished() and end.error is None:
            os.kill(os.getpid(), requeue_signal())
            time.sleep(60)  # the handler ends the process
        outcomes = self._outcomes(end.outcomes)
        atomic.write_json(self.end, {"outcomes": outcomes, "error": list(end.error or ())})

    def checkpoint(self) -> Any:
        """Called by submitit within a signal: stop, and give what is left as the next job."""
        from submitit.helpers import DelayedSubmission

        left, settled = self.tickets, self.settled
        if self._share is not None:
            self._share.stop()
            left = self._share.unfinished()
            settled = self._outcomes(self._share.outcomes)
        return DelayedSubmission(ShareTask(self.job, left, self.end, settled))

    def _outcomes(self, found: Mapping[int, str]) -> dict[str, str]:
        own = {t.key: found[t.index] for t in self.tickets if t.index in found}
        return {**self.settled, **own}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_share": None}


def requeue_signal() -> signal.Signals:
    """The signal at which submitit checkpoints and requeues."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]

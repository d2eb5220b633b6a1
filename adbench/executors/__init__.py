"""Where cells run: `serial` in this process, `local` in processes of this machine, `submitit` in
job arrays, `ray` on a Ray cluster. All they do is call the runner on a cell (`attempt`); what they
find and what they make is in the results folder, so that they can be mixed and swapped at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adbench.executors.base import Executor
    from adbench.executors.job import Job


def make_executor(
    name: str,
    options: Mapping[str, str],
    job: Job,
    *,
    slots: int | None,
    time_limit: float | None,
) -> Executor:
    """An executor that runs in other processes; raises `UsageError` for what it cannot do."""
    if name == "local":
        from adbench.executors.local import LocalExecutor
        from adbench.executors.slots import make_slots

        return LocalExecutor(job, make_slots(slots, job.request.device))
    if name == "submitit":
        from adbench.executors.submitit_arrays import SubmititExecutor

        return SubmititExecutor(job, time_limit, slots, options)
    from adbench.executors.ray_tasks import RayExecutor

    return RayExecutor(job, slots, options)

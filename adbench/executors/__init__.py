"""Where cells run: `serial` in this process, `local` in processes of this machine, `submitit` in
job arrays, `ray` on a Ray cluster. All they do is call the runner on a cell (`attempt`); what they
find and what they make is in the results folder, so that they can be mixed and swapped at any time.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from adbench.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from adbench.executors.base import Executor
    from adbench.executors.job import Job

EXECUTORS = ("serial", "local", "submitit", "ray")


def parse_executor(text: str) -> tuple[str, dict[str, str]]:
    """Name and options of `--executor NAME[k=v,...]`; raises `UsageError`."""
    match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[(.*)\])?\s*", text, re.DOTALL)
    if match is None:
        raise UsageError(f"--executor {text!r}: expected NAME or NAME[option=value,...]")
    name, options = match[1], {}
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    for part in filter(None, (p.strip() for p in (match[2] or "").split(","))):
        key, equals, value = part.partition("=")
        if not (key.strip().isidentifier() and equals and value.strip()):
            raise UsageError(f"--executor {text!r}: cannot read {part!r}, expected option=value")
        options[key.strip()] = value.strip()
    if options and name in ("serial", "local"):
        raise UsageError(f"--executor {name} takes no options; --slots N sets how many at a time")
    if name in ("submitit", "ray") and importlib.util.find_spec(name) is None:
        raise UsageError(
            f"--executor {name}: the package {name} is not installed; install it with: "
            f"pip install 'adbench-diffusion[{name}]'"
        )
    return name, options


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

"""Starts workers, which run the same command on the same folder, and keeps them alive: processes of
this machine (`local`, and the devices of `--fit-devices`), SLURM jobs, tasks on a Ray cluster.

A launcher knows nothing that the folder does not: it watches what its workers write there, prints
their progress on one screen, and replaces those that died. Executors can be mixed and swapped at
any time.
"""

from __future__ import annotations

import time

from adbench.crew.crew import Crew, Part
from adbench.launch.processes import Machine, Place
from adbench.launch.slots import Slot, check_devices, make_slots, whole_machine
from adbench.launch.watch import Watch
from adbench.request import parse_executor
from adbench.store.claims import ClaimWatch


def launch(watch: Watch, deadline: float | None) -> int:
    """Have what it watches worked on until it is settled, or for as long as may be; gives the
    number of cells that an engine goes on with."""
    name, options = parse_executor(watch.request.executor)
    submitted = 0
    if name in ("serial", "local"):
        _launch_here(watch, deadline)
    elif name == "submitit":
        from adbench.launch.slurm import launch_jobs

        submitted = launch_jobs(options, watch)
    else:
        from adbench.launch.ray_tasks import launch_tasks

        launch_tasks(options, watch, deadline)
    watch.look(thoroughly=True)
    return submitted


def _launch_here(watch: Watch, deadline: float | None) -> None:
    request = watch.request
    if request.fit_devices > 1:
        check_devices(request.fit_devices, request.device)
        slots = [whole_machine()]
    else:
        slots = make_slots(request.slots, request.device)
    crew, place = Crew.gather(request.results, watch.agenda), Place.here()
    watch.crews = [crew]
    claim = ClaimWatch().try_claim(crew.folder)

    def run(slots: list[Slot], part: Part) -> None:
        machine = Machine(
            crew, request, place, slots, part, deadline=deadline, size=request.fit_devices
        )
        for _ in machine.run():
            watch.look()
        watch.look(thoroughly=True)

    try:
        run(slots, "alone" if len(slots) == 1 else "beside")
        if len(slots) > 1 and not (deadline is not None and time.monotonic() >= deadline):
            untimed = watch.untimed() if request.timing else []
            if untimed:
                watch.quiet = {cell.score_key for cell in untimed}
                watch.reporter.timing(len(untimed))
            if untimed or watch.starved():
                run([Slot(slots[0].gpu, whole_machine().cores)], "after")
    finally:
        if claim is not None:
            claim.release()
        crew.disband()

"""From a request and its plan to records; the command line and the Python interface both come
through here."""

from __future__ import annotations

import contextlib
import time

from adbench.cell.settings import Settings
from adbench.errors import StoreError
from adbench.executors import make_executor
from adbench.executors.attempt import cached_outcome
from adbench.executors.base import Executor
from adbench.executors.serial import SerialExecutor
from adbench.grid import GridOptions, GridResult, Reporter, run_on
from adbench.machine.devices import choose_device, choose_precision
from adbench.plan import Cell, Plan, estimate_seconds
from adbench.request import Request as Request
from adbench.request import parse_executor
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.plan_files import write_plan
from adbench.text import counted, say


def execute(request: Request, plan: Plan, reporter: Reporter) -> GridResult:
    """Run what is missing; imports torch only when something is."""
    began = time.monotonic()
    store = request.store()
    name, _ = parse_executor(request.executor)
    store.check_format()
    done = [(c, cached_outcome(c, store, request.overwrite)) for c in plan.cells]
    records = [(c, r) for c, r in done if r is not None]
    if len(records) == len(plan.cells):
        return _settled(GridResult(records, reused=len(records)), store)
    store.open_for_writing()
    executor = open_executor(request, plan)
    write_plan(plan, store.root)
    limit = None if name == "submitit" else request.time_limit  # there it is each job's
    grid = GridOptions(
        overwrite=request.overwrite,
        wait=request.wait,
        keep_model=request.keep_model,
        timing=request.timing,
        deadline=None if limit is None else began + limit,
    )
    # A launcher may have no GPU where its jobs have one.
    gpu = None if name in ("serial", "local") else request.device != "cpu"
    result = run_on(
        executor, plan, store, grid, reporter, lambda cell: estimate_seconds([cell], gpu=gpu)
    )
    marked, lost = store.is_marked(), store.restore(result.records)
    if lost or not marked:
        write_plan(plan, store.root)
    if lost:
        say(
            f"warning: {counted(lost, 'record')} vanished from {store.root} while the run went on "
            "and was written again; models and maps that went with it are gone"
        )
    return _settled(result, store)


def _settled(result: GridResult, store: Store) -> GridResult:
    """Nobody works on the cells that are finished: what killed owners left of claims goes, and what
    was reused is the newest again."""
    watch = ClaimWatch()
    finished = [cell for cell, record in result.records if record.status != "failed"]
    for fit in {cell.fit_key: cell for cell in finished}.values():
        watch.sweep(store.cell(fit).path)
    with contextlib.suppress(StoreError):  # a folder that is finished and read-only
        store.bring_forward(result.records)
    return result


def pending_cells(plan: Plan, store: Store, overwrite: str) -> list[Cell]:
    """Cells that a run would work on."""
    return [c for c in plan.cells if cached_outcome(c, store, overwrite) is None]


def open_executor(request: Request, plan: Plan) -> Executor:
    """What `request.executor` names; raises `UsageError` for what it cannot do here."""
    name, settings = parse_executor(request.executor)
    if name == "serial":
        return SerialExecutor(plan, request.store(), make_settings(request))
    from adbench.executors.job import Job

    job = Job.here(request)
    return make_executor(name, settings, job, slots=request.slots, time_limit=request.time_limit)


def make_settings(request: Request) -> Settings:
    """How the calling process runs cells; imports torch."""
    device = choose_device(request.device)
    recruit = None
    if request.fit_devices > 1:
        from adbench.data_parallel.leader import Recruiter, check_devices
        from adbench.executors.job import Job

        check_devices(request.fit_devices, device)
        recruit = Recruiter(Job.here(request), request.fit_devices, device).team
    return Settings(
        device=device,
        precision=choose_precision(device),
        cache=request.open_cache(),
        keep_maps=request.keep_maps,
        keep_model=request.keep_model,
        timing=request.timing,
        checkpoint_seconds=request.checkpoint_seconds,
        fit_devices=request.fit_devices,
        accumulate=request.accumulate,
        recruit=recruit,
    )

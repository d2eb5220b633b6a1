"""One request, from its words to a plan and from the plan to records; the command line and the
Python interface both come through here."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adbench.cell.settings import Settings
from adbench.data.cache import DiskCache, default_cache_folder
from adbench.data.selection import check_threshold, refuse_shared_dataset_names, select_data
from adbench.errors import StoreError, UnknownNameError, UsageError
from adbench.executors import make_executor, parse_executor
from adbench.executors.attempt import OVERWRITES, Overwrite, cached_outcome
from adbench.executors.base import Executor
from adbench.executors.serial import SerialExecutor
from adbench.grid import GridOptions, GridResult, Reporter, run_on
from adbench.machine.devices import choose_device, choose_precision, gpu_visible
from adbench.plan import Cell, Plan, make_plan
from adbench.selectors import parse_seeds, parse_shard
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.plan_files import write_plan
from adbench.text import at_home, counted, say

CPU_FLOPS_PER_CORE = 8e10
GPU_FLOPS = 4e13
"""Sustained rates for the plan's rough estimate: a convolution network in bf16 or fp32."""
MAX_HOURS_WITHOUT_GPU = 12.0


@dataclass(frozen=True)
class Request:
    """What to run, in the words of the command line."""

    methods: str
    datasets: tuple[str, ...]
    preset: str = "paper"
    seeds: str = "0"
    scope: str | None = None
    data_root: Path | None = None
    results: Path = Path("results")
    overrides: tuple[str, ...] = ()
    limit: int | None = None
    shard: str | None = None
    mask_rule: str = "nearest"
    mask_threshold: int | None = None
    cache_folder: Path | None = None
    cache_limit_gb: float | None = 50.0
    device: str = "auto"
    selected: Path | None = None

    def plan(self) -> Plan:
        """The cells; raises the errors that exit with 2 or 4 before anything runs."""
        seeds = parse_seeds(self.seeds)
        shard = parse_shard(self.shard) if self.shard else None
        if not self.datasets:
            raise UsageError("no data set: give --dataset NAME[:CATEGORY,...]")
        select = partial(
            make_plan,
            self.methods,
            preset=self.preset,
            seeds=seeds,
            scope=self.scope,
            overrides=self.overrides,
            mask_rule=self.mask_rule,
        )
        chosen = self._selection()
        check_threshold(self.mask_threshold)
        select(data=())  # a wrong word (exit code 2) is told before missing data (4)
        refuse_shared_dataset_names(self.datasets)
        root = self.data_root or _root_from_environment()
        folder = self.cache_folder or default_cache_folder()
        data = [
            select_data(
                name,
                root,
                limit=self.limit,
                index_folder=folder,
                mask_threshold=self.mask_threshold,
            )
            for name in self.datasets
        ]
        plan = chosen(select(data=data))
        return plan.shard(*shard) if shard else plan

    def _selection(self) -> Callable[[Plan], Plan]:
        """What `--selected` does to a plan."""
        if self.selected is None:
            return lambda plan: plan
        from adbench.select.apply import apply_selection
        from adbench.select.file import read_selection

        return partial(
            apply_selection,
            selection=read_selection(self.selected),
            path=self.selected,
            methods=self.methods,
            overrides=self.overrides,
        )

    def store(self) -> Store:
        """The results folder."""
        return Store(self.results)

    def open_cache(self) -> DiskCache:
        """The cache of decoded images and features."""
        limit = None if self.cache_limit_gb is None else int(self.cache_limit_gb * 1e9)
        return DiskCache(self.cache_folder or default_cache_folder(), limit)


@dataclass(frozen=True)
class RunOptions:
    """How to run it.

    Attributes:
        executor: "serial", "local", "submitit" or "ray", the last two with options in brackets.
        slots: cells at a time; None: as many as there are GPUs, or what fits the cores.
        fit_devices: devices of this machine that train one cell together.
        accumulate: parts of a device's share of a training batch, one after the other.
        time_limit: seconds after which running cells save their state and stop: of the whole run,
            or of each job for "submitit". None: no limit.
    """

    overwrite: Overwrite = "failed"
    wait: bool = True
    keep_maps: bool = False
    keep_model: bool = True
    timing: bool = True
    checkpoint_seconds: float = 60.0
    executor: str = "serial"
    slots: int | None = None
    time_limit: float | None = None
    fit_devices: int = 1
    accumulate: int = 1


def execute(request: Request, plan: Plan, options: RunOptions, reporter: Reporter) -> GridResult:
    """Run what is missing; imports torch only when something is."""
    began = time.monotonic()
    store = request.store()
    if options.overwrite not in OVERWRITES:
        raise UnknownNameError("overwrite", options.overwrite, OVERWRITES)
    name, _ = parse_executor(options.executor)
    store.check_format()
    done = [(c, cached_outcome(c, store, options.overwrite)) for c in plan.cells]
    records = [(c, r) for c, r in done if r is not None]
    if len(records) == len(plan.cells):
        return _settled(GridResult(records, reused=len(records)), store)
    store.open_for_writing()
    executor = open_executor(request, plan, options)
    write_plan([cell.planned for cell in plan.cells], store.root)
    limit = None if name == "submitit" else options.time_limit  # there it is each job's
    grid = GridOptions(
        overwrite=options.overwrite,
        wait=options.wait,
        keep_model=options.keep_model,
        timing=options.timing,
        deadline=None if limit is None else began + limit,
    )
    # A launcher may have no GPU where its jobs have one.
    gpu = None if name in ("serial", "local") else request.device != "cpu"
    result = run_on(
        executor, plan, store, grid, reporter, lambda cell: estimate_seconds([cell], gpu=gpu)
    )
    marked, lost = store.is_marked(), store.restore(result.records)
    if lost or not marked:
        write_plan([cell.planned for cell in plan.cells], store.root)
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


def open_executor(request: Request, plan: Plan, options: RunOptions) -> Executor:
    """What `options.executor` names; raises `UsageError` for what it cannot do here."""
    name, settings = parse_executor(options.executor)
    if name != "serial" and options.fit_devices > 1:
        raise UsageError(
            f"--fit-devices {options.fit_devices} with --executor {options.executor}: one process "
            "per cell is what that executor starts; expected --executor serial"
        )
    if name == "serial":
        return SerialExecutor(plan, request.store(), make_settings(request, options))
    from adbench.executors.job import Job

    if options.slots is not None and options.slots < 1:
        raise UsageError(f"--slots {options.slots}: expected 1 or more")
    job = Job.here(request, options)
    return make_executor(name, settings, job, slots=options.slots, time_limit=options.time_limit)


def make_settings(request: Request, options: RunOptions) -> Settings:
    """How the calling process runs cells; imports torch."""
    device = choose_device(request.device)
    recruit = None
    if options.fit_devices > 1:
        from adbench.data_parallel.leader import Recruiter, check_devices
        from adbench.executors.job import Job

        check_devices(options.fit_devices, device)
        recruit = Recruiter(Job.here(request, options), options.fit_devices, device).team
    return Settings(
        device=device,
        precision=choose_precision(device),
        cache=request.open_cache(),
        keep_maps=options.keep_maps,
        keep_model=options.keep_model,
        timing=options.timing,
        checkpoint_seconds=options.checkpoint_seconds,
        fit_devices=options.fit_devices,
        accumulate=options.accumulate,
        recruit=recruit,
    )


def estimate_seconds(cells: Sequence[Cell], *, gpu: bool | None = None) -> float:
    """Rough seconds for these cells on this machine, from the methods' own FLOP estimates."""
    has_gpu = gpu_visible() if gpu is None else gpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    rate = GPU_FLOPS if has_gpu else CPU_FLOPS_PER_CORE * cores
    return sum(work_of(cells).values()) / rate


def work_of(cells: Sequence[Cell]) -> dict[str, float]:
    """Rough FLOPs of each cell by its score key; of those that share a fit, the first trains."""
    fits: set[str] = set()
    work = {}
    for cell in cells:
        work[cell.score_key] = cell.estimate_flops(trains=cell.fit_key not in fits)
        fits.add(cell.fit_key)
    return work


def pending_cells(plan: Plan, store: Store, overwrite: Overwrite) -> list[Cell]:
    """Cells that a run would work on."""
    return [c for c in plan.cells if cached_outcome(c, store, overwrite) is None]


def refuse_if_hopeless(cells: Sequence[Cell], preset: str, command: str) -> None:
    """Raise `UsageError` where no GPU is found and the estimate exceeds 12 hours."""
    hours = estimate_seconds(cells) / 3600
    if gpu_visible() or hours <= MAX_HOURS_WITHOUT_GPU:
        return
    raise UsageError(
        f"no GPU was found and {counted(len(cells), 'cell')} with --preset {preset} would take "
        f"about {hours:,.0f} hours here (limit {MAX_HOURS_WITHOUT_GPU:.0f}); run `{command}`, "
        "or the same with --yes to go ahead"
    )


def _root_from_environment() -> Path | None:
    value = os.environ.get("ADBENCH_DATA")
    return at_home(Path(value)) if value else None

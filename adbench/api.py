"""The Python interface: the same runs as the command line, as pandas DataFrames.

`run`, `load_results` and `load_cell` are for everybody; `execute`, from a request and its plan to
records, is what they and the command line have in common.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

from adbench.apply.fitted import load_cell as load_cell
from adbench.crew.agenda import Agenda, reusable
from adbench.crew.reporter import Reporter
from adbench.errors import StoreError
from adbench.grid_files import keep_grid
from adbench.launch import launch
from adbench.launch.watch import Watch
from adbench.loggers import logged
from adbench.plan import Cell, Plan
from adbench.report.image_table import image_frame
from adbench.report.tables import frame, rows
from adbench.request import Request, parse_executor
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.plan_files import write_plan
from adbench.store.records import Record
from adbench.text import counted, say

if TYPE_CHECKING:
    import pandas as pd

    from adbench.work.work import Work


def run(
    methods: str,
    dataset: str | Sequence[str],
    *,
    preset: str = "paper",
    seeds: str | int = "0",
    scope: str | None = None,
    normal: str | Sequence[str] = (),
    masks: str | Path | None = None,
    data_root: str | Path | None = None,
    results: str | Path = "results",
    overrides: Sequence[str] = (),
    limit: int | None = None,
    mask_rule: str = "nearest",
    mask_threshold: int | None = None,
    calibrate: float | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    overwrite: Literal["never", "failed", "timing", "all"] = "failed",
    timing: bool = True,
    executor: str = "serial",
    slots: int | None = None,
    time_limit: float | None = None,
    snapshots: int = 0,
    budgets: str | Sequence[float] | None = None,
    keep_maps: bool = False,
    note: str | None = None,
    tags: Sequence[str] = (),
    log: Sequence[str] = (),
) -> pd.DataFrame:
    """Run a grid and give its rows, one per method, category (or `mean`) and seed.

    Finished cells are reused, and a call that was interrupted goes on where it was.

    Arguments, in the language of the command line (`adbench run --help`):
        methods: names (`adbench methods` lists them), a group ("diffusion", "baselines"), "all" or
            "FILE.py:Class", separated by commas; "lafite[tau=200|300]" sets hyper-parameters, and
            | makes a cell of each value.
        dataset: a name (`adbench datasets`), or "FILE.py:Class", alone or with categories,
            "mpdd:tubes,connector"; or a list of such.
        normal: folders of an unregistered data set that hold its normal images, where their names
            do not say so.
        masks: the folder of its masks, where none is found.
        preset: "paper" (as published), "fast" (minutes on a GPU, honest scores) or "smoke"
            (seconds; the scores mean nothing).
        seeds: 0, "0,3" or "0-4"; a cell each.
        scope: "separate" (a model a category) or "unified" (one for all); None: the method's own.
        data_root: the folder that holds the data sets' folders, or the data set's own; None: that
            of the environment variable ADBENCH_DATA.
        results: where records, models and tables are kept.
        overrides: hyper-parameters one by one, "METHOD.NAME=VALUE" each, as `--set`.
        limit: at most so many training and test images a category, to try things out; comparable
            with nothing. None: all.
        mask_rule: how masks are resized: "nearest" (as in papers) or "area_max" (no defect
            vanishes).
        mask_threshold: a mask value is anomalous when it is greater, 0 to 254; None: the data
            set's own.
        device: "auto" (the first GPU, else the CPU), "cpu" or "cuda:N".
        cache: where decoded images and features are kept; None: ~/.cache/adbench, or that of the
            environment variable ADBENCH_CACHE.
        overwrite: what is run again where a record exists: "never", "failed", "timing" (what was
            measured under load) or "all".
        timing: whether inference is measured after each fit.
        executor: "serial", "local" (a process a slot), "submitit" (SLURM) or "ray". Those but
            "serial" start processes of their own, which need no `if __name__ == "__main__"`.
        slots: cells at a time, for executors but "serial"; None: one a GPU, or by cores.
        time_limit: seconds; a cell that it stops has no row, and the same call goes on with it.
        keep_maps: whether maps are kept, for `load_scores`.
        snapshots: score so many points along each training too.
        budgets: shares of the steps, or a text like "0.25,0.5,1": trainings anew at parts of it,
            whose rows have `budget=` in their variant.
        note: a text that is kept with records.
        tags: words that are kept with records.
        calibrate: the share of the normals that is held out, for p-values of new images
            (`load_cell`); None: none.
        log: tools that get losses, scores and pictures: "tensorboard", "mlflow", "wandb".

    Gives a DataFrame. Metrics are fractions, NaN where undefined; `status` is done, failed or
    skipped; `selector` names the run on a command line; `skill` is NaN where it is not known
    whether a network learned. There is a `mean` row where there are several categories.

    Raises `adbench.errors.AdbenchError` for wrong arguments or missing data; a cell that fails
    becomes a row with status failed.

    Example:
        >>> import adbench
        >>> table = adbench.run(
        ...     "adbench.testing:PixelGaussian", "synthetic", preset="smoke", results=folder
        ... )
        >>> bool(table.query("category == 'mean'")["image_auroc"].between(0, 1).all())
        True
        >>> len(adbench.load_results(folder)) == len(table)
        True
    """
    request = Request(
        methods=methods,
        datasets=(dataset,) if isinstance(dataset, str) else tuple(dataset),
        preset=preset,
        seeds=str(seeds),
        scope=scope,
        normal=(normal,) if isinstance(normal, str) else tuple(normal),
        masks=Path(masks) if masks is not None else None,
        data_root=Path(data_root) if data_root is not None else None,
        results=Path(results),
        overrides=tuple(overrides),
        limit=limit,
        mask_rule=mask_rule,
        mask_threshold=mask_threshold,
        calibrate=calibrate,
        device=device,
        cache_folder=Path(cache) if cache is not None else None,
        overwrite=overwrite,
        timing=timing,
        executor=executor,
        slots=slots,
        time_limit=time_limit,
        snapshots=snapshots,
        budgets=_listed(budgets),
        keep_maps=keep_maps or bool(log),
        note=note,
        tags=tuple(tags),
        log=tuple(log),
    )
    plan = request.plan()
    if pending_cells(plan, request.store(), request.overwrite):
        keep_grid(request)
    with logged(Reporter(), request) as reporter:
        result = execute(request, plan, reporter)
    return frame(rows(record for _, record in result.records))


def _listed(budgets: str | Sequence[float] | None) -> str | None:
    return budgets if budgets is None or isinstance(budgets, str) else ",".join(map(str, budgets))


def load_scores(results: str | Path = "results") -> pd.DataFrame:
    """What every test image scored: a row an image and finished cell, the newest record of each.

    Columns: dataset, category, image (its path in the data set), defect, label (1 for a defect),
    score (higher is more anomalous, in the method's own unit), method, variant, preset, scope,
    seed, limit, and map: the file of the image's anomaly map, which `adbench.read_map` reads and
    any program that reads 32-bit TIFF, or None where maps were not kept.
    """
    records = latest(Store(Path(results)).records(), budgets=True)
    return image_frame(records, Path(results))


def load_results(results: str | Path = "results") -> pd.DataFrame:
    """The rows of all cells in a results folder, the newest record of each cell.

    Columns as those of `run`. An absent or empty folder gives an empty DataFrame.
    """
    return frame(rows(latest(Store(Path(results)).records())))


@dataclass
class Result:
    """Outcomes in the plan's order.

    Attributes:
        reused: how many were there already, or others have made.
        left: how many are absent: other runs have them, or the time was over.
        submitted: of these, how many an engine goes on with.
        out_of_time: whether the deadline has passed.
    """

    records: list[tuple[Cell, Record]] = field(default_factory=list)
    reused: int = 0
    left: int = 0
    submitted: int = 0
    out_of_time: bool = False

    @property
    def exit_code(self) -> int:
        """0, 3 when cells failed, 4 when one failed for its data."""
        codes = {r.failure.exit_code for _, r in self.records if r.failure is not None}
        return 4 if 4 in codes else (3 if codes else 0)


def execute(request: Request, plan: Plan, reporter: Reporter) -> Result:
    """Run what is missing; imports torch only when something is."""
    began = time.monotonic()
    store, cells = request.store(), plan.cells
    store.check_format()
    there = _there(request, store, dict(enumerate(cells)))
    if len(there) == len(cells):
        return _settled(Result([(cells[i], r) for i, r in there.items()], len(there)), store)
    store.open_for_writing()
    name, _ = parse_executor(request.executor)
    limit = None if name == "submitit" else request.time_limit  # there it is each job's
    deadline = None if limit is None else began + limit
    left = {index: cell for index, cell in enumerate(cells) if index not in there}
    agenda = Agenda.of(left.values(), store)
    # Another run may have finished some since the first look: these are not to be run over.
    since = _there(request, store, left)
    for index in since:
        agenda.over.pop(left[index].score_key, None)
    there |= since
    write_plan(plan, store.root)
    reused, submitted = len(there), 0
    done: Work | Watch
    with _terminate_as_interrupt():
        if name == "serial" and request.fit_devices == 1:
            from adbench.work.work import Work, make_settings

            done = Work(plan, agenda, request, make_settings(request, deadline), reporter)
            done.run()
        else:
            done = Watch(request, plan, agenda, reporter)
            submitted = launch(done, deadline)
    there |= done.outcomes
    reused += done.reused
    result = Result([(cells[i], there[i]) for i in sorted(there)], reused)
    result.left, result.submitted = len(cells) - len(there), submitted
    late = deadline is not None and time.monotonic() >= deadline
    result.out_of_time = bool(result.left) and late
    _restore(result, plan, store)
    return _settled(result, store)


def _there(request: Request, store: Store, cells: dict[int, Cell]) -> dict[int, Record]:
    """The records that need no run."""
    found = ((index, reusable(c, store, request.overwrite)) for index, c in cells.items())
    return {index: record for index, record in found if record is not None}


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """A block in which SIGTERM, a scheduler's farewell, raises KeyboardInterrupt, so that claims
    are released; elsewhere than in the main thread, which alone has signals, none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _restore(result: Result, plan: Plan, store: Store) -> None:
    marked, lost = store.is_marked(), store.restore(result.records)
    if lost or not marked:
        write_plan(plan, store.root)
    if lost:
        say(
            f"warning: {counted(lost, 'record')} vanished from {store.root} while the run went on "
            "and was written again; models and maps that went with it are gone"
        )


def _settled(result: Result, store: Store) -> Result:
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
    return [c for c in plan.cells if reusable(c, store, overwrite) is None]

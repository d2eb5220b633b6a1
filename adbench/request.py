"""One request: which cells, and how they are run. Every option of `run` is declared here, once.

The command line is made of the fields, Python callers fill them, and a worker's command line is
made of them again (`Request.words`).
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from adbench.errors import UnknownNameError, UsageError, shortened
from adbench.shared_options import (
    NORMAL,
    CacheFolder,
    Calibrate,
    DataRoot,
    Device,
    MaskRuleName,
    MasksFolder,
    MaskThreshold,
    Results,
)
from adbench.text import at_home, is_printable, parse_duration

if TYPE_CHECKING:
    from adbench.data.cache import DiskCache
    from adbench.plan import Plan
    from adbench.registry import OwnWords
    from adbench.store.folders import Store

OVERWRITES = ("never", "failed", "timing", "all")
EXECUTORS = ("serial", "local", "submitit", "ray")
LOGS = ("tensorboard", "mlflow", "wandb")


@dataclass(frozen=True)
class Request:
    """What to run and how, in the words of the command line; raises `UsageError` for wrong ones.

    The types say what each field is on the command line. `time_limit` is in seconds: of the whole
    run, or of each job for "submitit".
    """

    methods: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="all, a group (diffusion, baselines), names or FILE.py:Class, separated by "
            "commas; NAME[k=v,k2=v1|v2] sets hyper-parameters, | sweeps",
        ),
    ]
    datasets: Annotated[
        tuple[str, ...],
        typer.Option(
            "--dataset",
            metavar="NAME|PATH[:CATEGORY,...]",
            help="data set, a folder or table of your own images, or FILE.py:Class, and some of "
            "its categories (default: all); repeatable. NAME=PATH names your own",
        ),
    ]
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="paper (as published), fast (minutes on a GPU, honest scores) or smoke (seconds "
            "on a CPU; the scores mean nothing)",
        ),
    ] = "paper"
    overrides: Annotated[
        tuple[str, ...],
        typer.Option("--set", metavar="METHOD.NAME=VALUE", help="one hyper-parameter; repeatable"),
    ] = ()
    seeds: Annotated[
        str, typer.Option(metavar="LIST", help="like 0 or 0,3 or 0-4; a cell each")
    ] = "0"
    scope: Annotated[
        str | None,
        typer.Option(
            metavar="SCOPE",
            help="separate (one model a category) or unified (one for all); default: the method's "
            "own",
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="at most N (2 or more) training and N test images a category, to try things out; "
            "its scores are comparable with nothing",
        ),
    ] = None
    mask_rule: MaskRuleName = "nearest"
    mask_threshold: MaskThreshold = None
    normal: Annotated[tuple[str, ...], NORMAL] = ()
    masks: MasksFolder = None
    calibrate: Calibrate = None
    data_root: DataRoot = None
    results: Results = Path("results")
    cache_folder: CacheFolder = None
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="only the I-th of N equal shares of the cells")
    ] = None
    selected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="hyper-parameters that `adbench select` has chosen",
            callback=at_home,
        ),
    ] = None
    budgets: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="like 0.25,0.5,1: train anew at these parts of the steps, a cell each; for "
            "`report --budgets` and figures, in no other table",
        ),
    ] = None
    overwrite: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="what to run again where a record exists: never, failed, "
            "timing (measured under load: time again, keep the scores) or all",
        ),
    ] = "failed"
    device: Device = "auto"
    timing: Annotated[bool, typer.Option(help="measure inference after each fit")] = True
    keep_maps: Annotated[
        bool,
        typer.Option(
            "--keep-maps",
            help="keep anomaly maps: figures, other mask rules and changed pixel metrics then need "
            "no prediction (image metrics never do)",
        ),
    ] = False
    keep_model: Annotated[bool, typer.Option(help="keep fitted models")] = True
    wait: Annotated[bool, typer.Option(help="wait for cells that another run has claimed")] = True
    snapshots: Annotated[
        int,
        typer.Option(
            min=0,
            max=100,
            metavar="N",
            help="score N points along each training too, log-spaced from a hundredth of its steps "
            "to its end: for `report --snapshots` and figures, never for tables; their models are "
            "kept as the model is",
        ),
    ] = 0
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            "--checkpoint-every",
            min=0,
            metavar="SECONDS",
            help="training time between checkpoints",
        ),
    ] = 60.0
    cache_limit_gb: Annotated[
        float | None,
        typer.Option(
            "--cache-limit", min=0.1, metavar="GB", help="size of the cache; oldest go first"
        ),
    ] = 50.0
    executor: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="serial, local (a process a slot, for all GPUs or cores of this machine), "
            "submitit (SLURM) or ray; submitit[partition=gpu] and ray[address=auto] take options",
        ),
    ] = "serial"
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            metavar="N",
            help="cells at a time, for executors but serial (default: one per GPU, or by cores)",
        ),
    ] = None
    time_limit: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="like 90m or 12:00:00: save what is running and stop in time; "
            "for submitit the limit of each job, which then goes on in another",
        ),
    ] = None
    fit_devices: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="devices that train one cell together (with accelerate), same batch size",
        ),
    ] = 1
    accumulate: Annotated[
        int,
        typer.Option(
            min=1,
            max=4096,
            metavar="N",
            help="parts of a device's training batch, gradients accumulated: less memory",
        ),
    ] = 1
    note: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="why this is run; kept with its records, for `runs`"),
    ] = None
    tags: Annotated[
        tuple[str, ...],
        typer.Option(
            "--tag", metavar="NAME", help="kept with its records, for `runs --tag`; repeatable"
        ),
    ] = ()

    log: Annotated[
        tuple[str, ...],
        typer.Option(
            metavar="TOOL",
            help="tensorboard, mlflow or wandb (extras of that name): losses, scores and a sheet "
            "of maps of each cell, in RESULTS/logs or where the tool is set to; keeps maps; "
            "repeatable",
        ),
    ] = ()

    def __post_init__(self) -> None:
        for tool in self.log:
            _require_tool(tool)
        if self.overwrite not in OVERWRITES:
            raise UnknownNameError("--overwrite", self.overwrite, OVERWRITES)
        if self.budgets is not None and self.selected is not None:
            raise UsageError(
                "--budgets with --selected: what was chosen was chosen for the whole training; "
                "expected one of them"
            )
        if self.calibrate is not None and self.selected is not None:
            raise UsageError(
                "--calibrate with --selected: what was chosen was chosen on normals of which some "
                "would calibrate; expected one of them"
            )
        for option, text in (("--note", self.note), *(("--tag", tag) for tag in self.tags)):
            if text is not None and not (text.strip() and is_printable(text) and len(text) <= 500):
                raise UsageError(
                    f"{option} {shortened(repr(text))}: expected a line of at most 500 characters"
                )
        name, _ = parse_executor(self.executor)
        if self.slots is not None and self.slots < 1:
            raise UsageError(f"--slots {self.slots}: expected 1 or more")
        if name != "serial" and self.fit_devices > 1:
            raise UsageError(
                f"--fit-devices {self.fit_devices} with --executor {self.executor}: one process "
                "per cell is what that executor starts; expected --executor serial"
            )

    def words(self) -> list[str]:
        """The command line that makes this request."""
        found: list[str] = []
        for name, (_, _, default) in declared().items():
            value, flag = getattr(self, name), flag_of(name)
            if value == default or (value == () and default is MISSING):
                continue
            if isinstance(value, bool):
                found.append(flag if value else f"--no-{flag.removeprefix('--')}")
            elif isinstance(value, tuple):
                found += [word for item in value for word in (flag, item)]
            else:
                found += [flag, f"{value:.3f}s" if name == "time_limit" else str(value)]
        return found

    def plan(self, choose: Callable[[Plan], Plan] = lambda plan: plan) -> Plan:
        """The cells; raises the errors that exit with 2 or 4 before anything runs.

        `choose` is what `--selected` does to a plan (`select.apply.chosen_by`).
        """
        from adbench.data.cache import default_cache_folder
        from adbench.data.calibration import check_share
        from adbench.data.selection import check_dataset_names, check_threshold, select_data
        from adbench.plan import make_plan
        from adbench.selectors import parse_budgets, parse_seeds, parse_shard

        seeds = parse_seeds(self.seeds)
        shard = parse_shard(self.shard) if self.shard else None
        if not self.datasets:
            raise UsageError("no data set: give --dataset NAME[:CATEGORY,...]")
        make = partial(
            make_plan,
            self.methods,
            preset=self.preset,
            seeds=seeds,
            scope=self.scope,
            overrides=self.overrides,
            mask_rule=self.mask_rule,
            budgets=() if self.budgets is None else parse_budgets(self.budgets),
        )
        check_threshold(self.mask_threshold)
        check_share(self.calibrate)
        make(data=())  # a wrong word (exit code 2) is told before missing data (4)
        check_dataset_names(self.datasets, self.own_words())
        root = self.data_root
        if root is None and os.environ.get("ADBENCH_DATA"):
            root = at_home(Path(os.environ["ADBENCH_DATA"]))
        select = partial(
            select_data,
            limit=self.limit,
            index_folder=self.cache_folder or default_cache_folder(),
            mask_threshold=self.mask_threshold,
            said=self.own_words(),
            calibrate=self.calibrate,
        )
        plan = choose(make(data=[select(name, root) for name in self.datasets]))
        return plan.shard(*shard) if shard else plan

    def own_words(self) -> OwnWords:
        """What is said of folders of one's own."""
        from adbench.registry import OwnWords

        return OwnWords(self.normal, self.masks)

    def store(self) -> Store:
        """The results folder."""
        from adbench.store.folders import Store

        return Store(self.results)

    def open_cache(self) -> DiskCache:
        """The cache of decoded images and features."""
        from adbench.data.cache import DiskCache, default_cache_folder

        limit = None if self.cache_limit_gb is None else int(self.cache_limit_gb * 1e9)
        return DiskCache(self.cache_folder or default_cache_folder(), limit)


@cache
def declared() -> dict[str, tuple[Any, Any, Any]]:
    """Of each field: its type, its option, and its default (`dataclasses.MISSING` for none)."""
    hints = get_type_hints(Request, include_extras=True)
    return {f.name: (*get_args(hints[f.name])[:2], f.default) for f in fields(Request)}


def flag_of(name: str) -> str:
    """What a field is called on the command line."""
    option = declared()[name][1]
    # What is given first Typer takes for a default, until it reads the annotation.
    flag = option.default if isinstance(option.default, str) else f"--{name}"
    return flag.replace("_", "-")


def _require_tool(tool: str) -> None:
    if tool not in LOGS:
        raise UnknownNameError("--log", tool, LOGS)
    if importlib.util.find_spec(tool) is None:
        raise UsageError(
            f"--log {tool}: the package {tool} is not installed; install it with: "
            f"pip install 'adbench-diffusion[{tool}]'"
        )


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

"""Options that several commands share, declared once for Typer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from adbench.errors import UsageError
from adbench.metrics.table import shown
from adbench.text import at_home

if TYPE_CHECKING:
    from adbench.session import Request


def _out_file(path: Path | None) -> Path | None:
    path = at_home(path)
    if path is not None and path.is_dir():
        raise UsageError(f"--out {path} is a folder: expected a file to write")
    return path


Methods = Annotated[
    str,
    typer.Option(
        metavar="LIST",
        help="all, a group (diffusion, baselines), names or FILE.py:Class, separated by commas; "
        "NAME[k=v,k2=v1|v2] sets hyper-parameters, | sweeps",
    ),
]
Datasets = Annotated[
    list[str],
    typer.Option(
        metavar="NAME[:CATEGORY,...]",
        help="data set, or FILE.py:Class, and some of its categories (default: all); repeatable",
    ),
]
PresetName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="paper (as published), fast (minutes on a GPU, honest scores) or smoke (seconds on a "
        "CPU; the scores mean nothing)",
    ),
]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="METHOD.NAME=VALUE", help="one hyper-parameter; repeatable"),
]
Seeds = Annotated[str, typer.Option(metavar="LIST", help="like 0 or 0,3 or 0-4; a cell each")]
ScopeName = Annotated[
    str | None,
    typer.Option(
        metavar="SCOPE",
        help="separate (one model a category) or unified (one for all); default: the method's own",
    ),
]
MaskRuleName = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help="how masks are resized: nearest (as in papers) or area_max (no defect vanishes)",
    ),
]
MaskThreshold = Annotated[
    int | None,
    typer.Option(
        min=0, max=254, metavar="N",
        help="a mask value is anomalous when it is greater than N, at native size "
        "(default: the data set's own, 0 for most); 127 for masks with grey edges",
    ),
]  # fmt: skip
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="at most N (2 or more) training and N test images a category, to try things out; "
        "its scores are comparable with nothing",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        envvar="ADBENCH_DATA",
        metavar="DIR",
        help="folder that holds the data sets' folders",
        callback=at_home,
    ),
]
Results = Annotated[
    Path,
    typer.Option(metavar="DIR", help="where records, models and tables are kept", callback=at_home),
]
CacheFolder = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="ADBENCH_CACHE",
        metavar="DIR",
        help="where decoded images and features are kept (default: ~/.cache/adbench)",
        callback=at_home,
    ),
]
Shard = Annotated[
    str | None, typer.Option(metavar="I/N", help="only the I-th of N equal shares of the cells")
]
Overwrite = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help="what to run again where a record exists: never, failed, "
        "timing (measured under load: time again, keep the scores) or all",
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="serial, local (a process a cell, for all GPUs or cores of this machine), submitit "
        "(SLURM) or ray; submitit[partition=gpu] and ray[address=auto] take options",
    ),
]
Slots = Annotated[
    int | None,
    typer.Option(
        min=1, max=100_000, metavar="N",
        help="cells at a time, for executors but serial (default: one per GPU, or by cores)",
    ),
]  # fmt: skip
FitDevices = Annotated[
    int,
    typer.Option(
        min=1, max=64, metavar="N",
        help="devices that train one cell together (with accelerate), same batch size",
    ),
]  # fmt: skip
Accumulate = Annotated[
    int,
    typer.Option(
        min=1, max=4096, metavar="N",
        help="parts of a device's training batch, gradients accumulated: less memory",
    ),
]  # fmt: skip
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="like 90m or 12:00:00: save what is running and stop in time; "
        "for submitit the limit of each job, which then goes on in another",
    ),
]
ExplainCache = Annotated[
    bool, typer.Option("--explain-cache", help="say why each cell is or is not reused")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else, on stdout")]


SelectedFile = Annotated[
    Path | None,
    typer.Option(
        "--selected",
        metavar="FILE",
        help="hyper-parameters that `adbench select` has chosen",
        callback=at_home,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="draw the curves: .png or .pdf", callback=at_home),
]

OnlyMethod = Annotated[
    str | None, typer.Option("--method", metavar="NAME", help="only this method")
]
OnlyDataset = Annotated[
    str | None, typer.Option("--dataset", metavar="NAME", help="only this data set")
]
OnlyPreset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="only this preset")
]
MetricNames = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help=f"default: {','.join(shown())}",
    ),
]
TextFormat = Annotated[str, typer.Option("--format", metavar="NAME", help="terminal or markdown")]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="write there instead of to stdout", callback=_out_file
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda:N")]


Command = Callable[..., None]


def _taking(name: str, make: Callable[..., Any]) -> Callable[[Command], Command]:
    """Gives a command the options of `make` where it has the parameter `name`, and what `make`
    makes of them as that argument.

    Typer reads options off a signature, so one is put together: commands cannot differ in them.
    """

    def decorate(command: Command) -> Command:
        shared, own = _parameters(make), _parameters(command)
        place = next(i for i, parameter in enumerate(own) if parameter.name == name)
        own[place : place + 1] = shared

        def called(**values: Any) -> None:
            chosen = {p.name: values.pop(p.name) for p in shared}
            command(**{name: make(**chosen)}, **values)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {p.name: p.annotation for p in own}
        called.__signature__ = Signature(own)  # type: ignore[attr-defined]
        return called

    return decorate


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    # Request is not imported here at run time: listing the options must stay instant.
    hints = get_type_hints(function, localns={"Request": object}, include_extras=True)
    found = signature(function).parameters.values()
    return [p.replace(annotation=hints[p.name], kind=Parameter.KEYWORD_ONLY) for p in found]


def _request(
    methods: Methods,
    dataset: Datasets,
    preset: PresetName = "paper",
    overrides: Overrides = [],  # noqa: B006 - Typer reads it once and never changes it
    seeds: Seeds = "0",
    scope: ScopeName = None,
    limit: Limit = None,
    mask_rule: MaskRuleName = "nearest",
    mask_threshold: MaskThreshold = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache: CacheFolder = None,
    shard: Shard = None,
    selected: SelectedFile = None,
) -> Request:
    from adbench.session import Request

    return Request(
        methods=methods,
        datasets=tuple(dataset),
        preset=preset,
        overrides=tuple(overrides),
        seeds=seeds,
        scope=scope,
        limit=limit,
        mask_rule=mask_rule,
        mask_threshold=mask_threshold,
        data_root=data_root,
        results=results,
        cache_folder=cache,
        shard=shard,
        selected=selected,
    )


def _only(
    method: OnlyMethod = None, dataset: OnlyDataset = None, preset: OnlyPreset = None
) -> Mapping[str, str | None]:
    return {"method": method, "dataset": dataset, "preset": preset}


Only = Mapping[str, str | None]
"""What a record has to be of, None being anything."""
selecting_cells = _taking("request", _request)
"""The options of `run` and `plan` that select cells."""
selecting_records = _taking("only", _only)
"""Those of commands on finished records."""

"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adbench.errors import AdbenchError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train and score diffusion anomaly detectors on industrial images under one protocol.",
)
data_app = typer.Typer(no_args_is_help=True, help="Check or prepare a data set.")
app.add_typer(data_app, name="data")

Methods = Annotated[
    str, typer.Option("--methods", help="all, a group, or NAME[k=v,k2=v1|v2],... (`|` sweeps)")
]
Datasets = Annotated[
    list[str], typer.Option("--dataset", help="NAME or NAME:CATEGORY,...; repeat for several")
]
Preset = Annotated[str, typer.Option(help="paper, fast or smoke")]
Seeds = Annotated[str, typer.Option(help="like 0 or 0,3 or 0-4")]
Scope = Annotated[
    str | None, typer.Option(help="separate or unified; default: each method's own")
]
DataRoot = Annotated[
    Path | None, typer.Option(envvar="ADBENCH_DATA", help="folder that holds the data sets")
]
Results = Annotated[Path, typer.Option("--results", help="results folder")]
Overrides = Annotated[list[str], typer.Option("--set", help="METHOD.NAME=VALUE; repeatable")]
Limit = Annotated[
    int | None,
    typer.Option(min=2, help="images per category and split; the scores compare with nothing"),
]
Shard = Annotated[str | None, typer.Option(help="i/n: this process's share of the cells")]
MaskRule = Annotated[str, typer.Option(help="how masks are resized: nearest or area_max")]
CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", envvar="ADBENCH_CACHE", help="decoded images and features"),
]
CacheLimit = Annotated[float, typer.Option("--cache-limit", min=0.1, help="in GB")]
Overwrite = Annotated[str, typer.Option(help="what to run again: never, failed or all")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def run(
    methods: Methods,
    dataset: Datasets,
    preset: Preset = "paper",
    seeds: Seeds = "0",
    scope: Scope = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    overrides: Overrides = [],  # noqa: B006 - typer reads it once and never changes it
    limit: Limit = None,
    shard: Shard = None,
    mask_rule: MaskRule = "nearest",
    cache: CacheFolder = None,
    cache_limit: CacheLimit = 50.0,
    overwrite: Overwrite = "failed",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N")] = "auto",
    timing: Annotated[bool, typer.Option(help="measure inference after each fit")] = True,
    keep_maps: Annotated[bool, typer.Option("--keep-maps", help="keep anomaly maps")] = False,
    keep_model: Annotated[bool, typer.Option(help="keep fitted models")] = True,
    wait: Annotated[bool, typer.Option(help="wait for cells that another run has claimed")] = True,
    yes: Annotated[bool, typer.Option("--yes", help="run even where it takes days")] = False,
    explain_cache: Annotated[
        bool, typer.Option("--explain-cache", help="say why each cell is or is not reused")
    ] = False,
    checkpoint_every: Annotated[float, typer.Option(min=0, help="seconds of training")] = 60.0,
    as_json: Json = False,
) -> None:
    """Train and score every cell of a grid that is not there yet, then print the table."""
    from adbench import commands

    request = _request(locals())
    commands.run(
        request,
        commands.run_options(
            overwrite, wait, keep_maps, keep_model, timing, checkpoint_every
        ),
        explain=explain_cache,
        assume_yes=yes,
        as_json=as_json,
        command=sys.argv[1:],
    )


@app.command()
def plan(
    methods: Methods,
    dataset: Datasets,
    preset: Preset = "paper",
    seeds: Seeds = "0",
    scope: Scope = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    overrides: Overrides = [],  # noqa: B006 - as above
    limit: Limit = None,
    shard: Shard = None,
    mask_rule: MaskRule = "nearest",
    cache: CacheFolder = None,
    overwrite: Overwrite = "failed",
    explain_cache: Annotated[
        bool, typer.Option("--explain-cache", help="say why each cell is or is not reused")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the cells of a run, which are there already and a rough estimate; run nothing."""
    from adbench import commands

    cache_limit, device = 50.0, "auto"
    commands.plan(_request(locals()), overwrite, explain=explain_cache, as_json=as_json)


@app.command()
def report(
    results: Results = Path("results"),
    format: Annotated[str, typer.Option(help="terminal, markdown or csv")] = "terminal",
    out: Annotated[Path | None, typer.Option(help="file to write instead of stdout")] = None,
    method: Annotated[str | None, typer.Option(help="only this method")] = None,
    dataset: Annotated[str | None, typer.Option(help="only this data set")] = None,
    preset: Annotated[str | None, typer.Option(help="only this preset")] = None,
    as_json: Json = False,
) -> None:
    """Print the table of a results folder."""
    from adbench import commands

    only = {"method": method, "dataset": dataset, "preset": preset}
    commands.report(results, "json" if as_json else format, out, only)


@app.command()
def runs(
    results: Results = Path("results"),
    every: Annotated[bool, typer.Option("--all", help="superseded records too")] = False,
    as_json: Json = False,
) -> None:
    """List the records of a results folder."""
    from adbench import commands

    commands.runs(results, every, as_json)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="describe one method")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or describe one with its hyper-parameters and deviations."""
    from adbench import listing

    listing.methods(name, as_json)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="describe one data set")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, or describe one with its licence, source and layout."""
    from adbench import listing

    listing.datasets(name, as_json)


@app.command()
def doctor(
    results: Results = Path("results"),
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Check this installation: packages, device, weights, data, folders."""
    from adbench import doctor as checks

    checks.doctor(results, data_root, as_json)


@data_app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(help="NAME or NAME:CATEGORY,...")],
    data_root: DataRoot = None,
    strict: Annotated[bool, typer.Option("--strict", help="warnings fail too")] = False,
    evaluation_size: Annotated[int, typer.Option(min=8, help="side of the scored maps")] = 256,
    mask_rule: MaskRule = "nearest",
    as_json: Json = False,
) -> None:
    """Check every file of a data set and say what it is."""
    from adbench import commands

    commands.verify(name, data_root, strict, evaluation_size, mask_rule, as_json)


@data_app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(help="NAME")],
    data_root: DataRoot = None,
) -> None:
    """Render the synthetic set, or say where to get another one and where to put it."""
    from adbench import commands

    commands.prepare(name, data_root)


def _request(values: dict[str, Any]) -> Any:
    from adbench.session import Request

    return Request(
        methods=values["methods"],
        datasets=tuple(values["dataset"]),
        preset=values["preset"],
        seeds=values["seeds"],
        scope=values["scope"],
        data_root=values["data_root"],
        results=values["results"],
        overrides=tuple(values["overrides"]),
        limit=values["limit"],
        shard=values["shard"],
        mask_rule=values["mask_rule"],
        cache_folder=values["cache"],
        cache_limit_gb=values["cache_limit"],
        device=values["device"],
    )


def main() -> None:
    """Entry point: one line for a user's mistake, never a traceback."""
    try:
        app(standalone_mode=True)
    except AdbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(
            "\ninterrupted: finished cells are kept and training goes on from its checkpoint; "
            "run the same command again",
            file=sys.stderr,
        )
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output left (`| head`): not an error, and nothing more can be said.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()

"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adbench import __version__
from adbench.errors import AdbenchError
from adbench.exits import CommandGroup, end
from adbench.options import (
    DataRoot,
    ExplainCache,
    Json,
    MaskRuleName,
    Overwrite,
    Results,
    selecting_cells,
)

if TYPE_CHECKING:
    from adbench.session import Request

_WIDTH = {"max_content_width": 100}
app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is plain text: `NAME[k=v]` is no markup, and pipes stay legible
    context_settings=_WIDTH,
)
data_app = typer.Typer(rich_markup_mode=None, context_settings=_WIDTH)
app.add_typer(data_app, name="data")


@app.callback(invoke_without_command=True)
def adbench(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Train and score diffusion anomaly detectors on industrial images under one protocol.

    \b
    Try it, without any download, in a minute:
      adbench run --methods all --dataset synthetic --preset smoke
    Then `adbench doctor` says what this machine has, `adbench datasets NAME` where to get data.

    \b
    Exit codes: 0 ok, 2 wrong usage or folder, 3 some cells failed, 4 a problem with the data.
    """
    if version:
        print(__version__)
    else:
        _help_unless_called(context)


@app.command()
@selecting_cells
def run(
    request: Request,
    overwrite: Overwrite = "failed",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda:N")] = "auto",
    timing: Annotated[bool, typer.Option(help="measure inference after each fit")] = True,
    keep_maps: Annotated[bool, typer.Option("--keep-maps", help="keep anomaly maps")] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="draw input, mask and maps per category; keeps maps")
    ] = False,
    keep_model: Annotated[bool, typer.Option(help="keep fitted models")] = True,
    wait: Annotated[bool, typer.Option(help="wait for cells that another run has claimed")] = True,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="training time between checkpoints")
    ] = 60.0,
    cache_limit: Annotated[
        float, typer.Option(min=0.1, metavar="GB", help="size of the cache; oldest go first")
    ] = 50.0,
    yes: Annotated[bool, typer.Option("--yes", help="run even where it takes days")] = False,
    explain_cache: ExplainCache = False,
    as_json: Json = False,
) -> None:
    """Train and score every cell of a grid that is not there yet, then print the table.

    Cells are methods x hyper-parameters x categories x seeds. What is finished is reused; what was
    interrupted goes on from its checkpoint. Several processes, on several machines that share the
    results folder, divide the work.

    \b
    adbench run --methods all --dataset mpdd --data-root DIR
    adbench run --methods 'lafite[tau=200|300]' --dataset mpdd:tubes --seeds 0-4 --preset fast
    """
    from adbench import commands

    commands.run(
        replace(request, device=device, cache_limit_gb=cache_limit),
        commands.run_options(
            overwrite, wait, keep_maps or figures, keep_model, timing, checkpoint_every
        ),
        explain=explain_cache,
        figures=figures,
        assume_yes=yes,
        as_json=as_json,
        command=sys.argv[1:],
    )


@app.command()
@selecting_cells
def plan(
    request: Request,
    overwrite: Overwrite = "failed",
    explain_cache: ExplainCache = False,
    as_json: Json = False,
) -> None:
    """Show the cells of a run, which are there already and a rough estimate; run nothing."""
    from adbench import commands

    commands.plan(request, overwrite, explain=explain_cache, as_json=as_json)


@app.command()
def report(
    results: Results = Path("results"),
    style: Annotated[
        str, typer.Option("--format", metavar="NAME", help="terminal, markdown or csv")
    ] = "terminal",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write there instead of to stdout")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="only this method")] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="only this data set")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="only this preset")] = None,
    as_json: Json = False,
) -> None:
    """Print the table of a results folder; runs nothing and needs neither data nor a GPU."""
    from adbench import results_commands

    only = {"method": method, "dataset": dataset, "preset": preset}
    results_commands.report(results, "json" if as_json else style, out, only)


@app.command()
def runs(
    results: Results = Path("results"),
    every: Annotated[bool, typer.Option("--all", help="superseded records too")] = False,
    as_json: Json = False,
) -> None:
    """List the records of a results folder, oldest first."""
    from adbench import results_commands

    results_commands.runs(results, every, as_json)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or describe one: paper, hyper-parameters, presets, deviations."""
    from adbench import listing

    listing.methods(name, as_json)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, or describe one: licence, where to get it, expected folders."""
    from adbench import listing

    listing.datasets(name, as_json)


@app.command()
def doctor(
    results: Results = Path("results"),
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Check this installation and say how to mend it; exit code 2 if it is broken."""
    from adbench import doctor as checks

    checks.doctor(results, data_root, as_json)


@data_app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Check the files of a data set, or make it ready."""
    _help_unless_called(context)


@data_app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME[:CATEGORY,...]")],
    data_root: DataRoot = None,
    strict: Annotated[bool, typer.Option("--strict", help="warnings fail too")] = False,
    evaluation_size: Annotated[
        int, typer.Option(min=8, max=8192, metavar="PIXELS", help="side of the scored maps")
    ] = 256,
    mask_rule: MaskRuleName = "nearest",
    as_json: Json = False,
) -> None:
    """Open every image and mask of a data set and say what is wrong; exit code 4 for an error."""
    from adbench import data_commands

    data_commands.verify(name, data_root, strict, evaluation_size, mask_rule, as_json)


@data_app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    data_root: DataRoot = None,
) -> None:
    """Render the synthetic set, or say where to get another one and where to put it."""
    from adbench import data_commands

    data_commands.prepare(name, data_root)


def _help_unless_called(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(AdbenchError.exit_code)


def main() -> None:
    """Entry point: one line for a user's mistake, never a traceback."""
    end(app)


if __name__ == "__main__":
    main()

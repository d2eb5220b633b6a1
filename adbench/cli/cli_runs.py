"""The words of commands that run cells: run, plan, select, selected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from adbench.cli.app import app
from adbench.cli.options import (
    CommandInPanels,
    ExplainCache,
    Grid,
    Json,
    Plot,
    Yes,
    running_cells,
    searching_cells,
)
from adbench.request import Request
from adbench.text import at_home


@app.command(cls=CommandInPanels)
@running_cells
def run(
    request: Request,
    figures: Annotated[
        bool, typer.Option("--figures", help="draw input, mask and maps per category; keeps maps")
    ] = False,
    yes: Yes = False,
    explain_cache: ExplainCache = False,
    as_json: Json = False,
    grid: Grid = None,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train and score every cell of a grid that is not there yet, then print the table.

    Cells are methods x hyper-parameters x categories x seeds. What is finished is reused; what was
    interrupted goes on from its checkpoint. Several processes, on several machines that share the
    results folder, divide the work.

    \b
    adbench run --methods all --dataset mpdd --data-root DIR
    adbench run --methods 'lafite[tau=200|300]' --dataset mpdd:tubes --seeds 0-4 --preset fast
    adbench run --methods all --dataset mpdd --executor local --slots 4 --time-limit 8h
    adbench run --grid results/runs/NAME.yaml --seeds 1
    """
    if worker is not None:
        from adbench.select.apply import chosen_by
        from adbench.work.serve import serve

        serve(worker, request, lambda: request.plan(chosen_by(request)))
    from adbench.cli import run as commands

    commands.run(
        replace(request, keep_maps=request.keep_maps or figures or bool(request.log)),
        explain=explain_cache,
        figures=figures,
        assume_yes=yes,
        as_json=as_json,
    )


@app.command(cls=CommandInPanels)
@running_cells
def plan(
    request: Request,
    explain_cache: ExplainCache = False,
    as_json: Json = False,
    grid: Grid = None,
) -> None:
    """Show the cells of a run, which are there already and a rough estimate; run nothing."""
    from adbench.cli import run as commands

    commands.plan(request, explain=explain_cache, as_json=as_json)


@app.command()
@searching_cells
def select(
    request: Request,
    grid: Annotated[
        list[str],
        typer.Option(
            metavar="METHOD.NAME=V1|V2",
            help="values to try instead of the method's own grid; repeatable, chosen in this order",
        ),
    ] = [],  # noqa: B006 - Typer reads it once and never changes it
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="of the split and the fits")] = 0,
    held_out: Annotated[
        float, typer.Option(metavar="FRACTION", help="of each category's normals; at least 10")
    ] = 0.1,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="what to write (default: RESULTS/selections/NAME.json)"),
    ] = None,
    plot: Plot = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Choose hyper-parameters on normal images alone, and write them for `run --selected`.

    Some normals are held out and fragments of them pasted onto others; of the values tried on
    these images, one hyper-parameter after the other, the best is chosen. No test image is
    opened. What was interrupted goes on where it stopped.

    \b
    adbench select --methods lafite --dataset mpdd --preset fast
    adbench select --methods patchcore --dataset mpdd:tubes --grid 'patchcore.num_neighbours=1|5|9'
    """
    from adbench.cli import select as select_commands

    request = replace(request, seeds=str(seed))
    select_commands.select(request, grid, held_out, out, plot, yes, as_json)


@app.command()
def selected(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="what `adbench select` wrote", callback=at_home),
    ],
    compare_with_test: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULTS",
            help="show finished test records of the same values too",
            callback=at_home,
        ),
    ] = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Show a selection again, on request beside test curves from finished records."""
    from adbench.cli import select as select_commands

    select_commands.selected(file, compare_with_test, plot, as_json)

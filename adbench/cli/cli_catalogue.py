"""The words of commands that tell what there is: methods, datasets, cite, doctor, data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adbench.cli.app import app, data_app, help_unless_called
from adbench.cli.options import (
    DataRoot,
    Json,
    MaskRuleName,
    MaskThreshold,
    Results,
)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or describe one: paper, hyper-parameters, presets, deviations."""
    from adbench.cli import listing

    listing.methods(name, as_json)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, or describe one: licence, where to get it, expected folders."""
    from adbench.cli import listing

    listing.datasets(name, as_json)


@app.command()
def cite(
    method: Annotated[
        list[str] | None, typer.Argument(metavar="METHOD...", help="names, or a group")
    ] = None,
    dataset: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="a data set to cite; repeatable"),
    ] = [],  # noqa: B006 - Typer reads it once and never changes it
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Print the BibTeX of methods, data sets and adbench.

    Without names: of all that the records in --results were made with.

    \b
    adbench cite lafite patchcore --dataset mpdd >> references.bib
    """
    from adbench.report.cite import cite as cite_all

    cite_all(method or [], dataset, results, as_json)


@app.command()
def doctor(
    results: Results = Path("results"),
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Check this installation and say how to mend it; exit code 2 if it is broken."""
    from adbench.machine import doctor as checks

    checks.doctor(results, data_root, as_json)


@data_app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """Check the files of a data set, or make it ready."""
    help_unless_called(context)


@data_app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME[:CATEGORY,...]")],
    data_root: DataRoot = None,
    strict: Annotated[bool, typer.Option("--strict", help="warnings fail too")] = False,
    evaluation_size: Annotated[
        int, typer.Option(min=8, max=8192, metavar="PIXELS", help="side of the scored maps")
    ] = 256,
    mask_rule: MaskRuleName = "nearest",
    mask_threshold: MaskThreshold = None,
    as_json: Json = False,
) -> None:
    """Open every image and mask of a data set and say what is wrong; exit code 4 for an error."""
    from adbench.cli import data as data_commands

    data_commands.verify(
        name, data_root, strict, evaluation_size, mask_rule, mask_threshold, as_json
    )


@data_app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    data_root: DataRoot = None,
) -> None:
    """Render the synthetic set, or say where to get another one and where to put it."""
    from adbench.cli import data as data_commands

    data_commands.prepare(name, data_root)

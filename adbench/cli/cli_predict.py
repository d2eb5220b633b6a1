"""The words of the command on new images: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adbench.cli.app import app
from adbench.shared_options import Device, Results
from adbench.text import at_home


@app.command()
def predict(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="an image, a folder with all below it, or a table of files with a column `path`",
            callback=at_home,
        ),
    ],
    cell: Annotated[
        str,
        typer.Option(
            metavar="METHOD[:DATASET[:CATEGORY]]",
            help="which finished cell: as much as is unique in --results, or the id that `adbench "
            "runs` shows",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="where predictions.csv, maps and overlays go", callback=at_home
        ),
    ] = Path("predictions"),
    alpha: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            help="false alarms to allow: an image is anomalous where its p-value is as low as this",
        ),
    ] = 0.05,
    maps: Annotated[
        bool, typer.Option(help="write a map (32-bit TIFF) and an overlay (PNG) of each image")
    ] = True,
    overrides: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="METHOD.NAME=FILE",
            help="a hyper-parameter that is a file, which records know by its content alone",
        ),
    ] = [],  # noqa: B006 - Typer reads it once and never changes it
    results: Results = Path("results"),
    device: Device = "auto",
) -> None:
    """Apply a finished cell to new images: scores, p-values, verdicts and maps.

    A p-value is the share of normals that score as high as the image, counted on normals that a run
    with --calibrate held out of training: a verdict calls at most a share --alpha of new normals
    anomalous. What was interrupted goes on where it stopped.

    \b
    adbench run --methods patchcore --dataset mpdd:tubes --preset fast --calibrate 0.2
    adbench predict --cell patchcore:mpdd:tubes new_images --out verdicts
    """
    from adbench.cli import predict as commands

    commands.predict(
        cell, path, out, alpha=alpha, maps=maps, results=results, device=device,
        overrides=overrides,
    )  # fmt: skip

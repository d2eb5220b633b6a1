"""The words of commands that hold scores against each other: compare, baseline, gate, history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adbench.cli.app import app, baseline_app, help_unless_called
from adbench.cli.options import (
    Json,
    MetricNames,
    OnlyDataset,
    OnlyMethod,
    OnlyPreset,
    OutFile,
    TextFormat,
)
from adbench.request import Results
from adbench.text import at_home


@app.command()
def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="results folder, baseline or method")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="the same; what is new")],
    results: Results = Path("results"),
    metrics: MetricNames = None,
    any_protocol: Annotated[
        bool, typer.Option("--any-protocol", help="compare across protocols too, marked")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="every difference, however small")] = False,
    method: OnlyMethod = None,
    dataset: OnlyDataset = None,
    preset: OnlyPreset = None,
    style: TextFormat = "terminal",
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Show every difference between two sides with its interval, what matters first.

    A side is a results folder, a file of `baseline save`, or a method (NAME or NAME[k=v]) whose
    records are in --results. Differences are paired: the same images on both sides. What is not
    comparable is listed with the reason; exit code 5 where nothing is.

    \b
    adbench compare results-main results
    adbench compare lafite 'lafite[reconstruction=false]' --preset fast
    """
    from adbench.cli import regress as regress_commands

    regress_commands.compare(
        base, head, results, metrics=metrics, any_protocol=any_protocol, every=every, out=out,
        only={"method": method, "dataset": dataset, "preset": preset},
        style="json" if as_json else style,
    )  # fmt: skip


@baseline_app.callback(invoke_without_command=True)
def baseline(context: typer.Context) -> None:
    """Keep the scores that later runs are held against."""
    help_unless_called(context)


@baseline_app.command("save")
def save_baseline(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="what to write, or replace", callback=at_home)
    ],
    results: Results = Path("results"),
    method: OnlyMethod = None,
    dataset: OnlyDataset = None,
    preset: OnlyPreset = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="refuse smoke runs and runs with --limit")
    ] = False,
) -> None:
    """Write the finished records of a results folder, per-image scores included, to one file."""
    from adbench.cli import regress as regress_commands

    only = {"method": method, "dataset": dataset, "preset": preset}
    regress_commands.save_baseline(file, results, only, strict=strict)


@app.command()
def gate(
    baseline: Annotated[
        Path, typer.Option(metavar="FILE", help="made by `baseline save`", callback=at_home)
    ],
    results: Results = Path("results"),
    metrics: MetricNames = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, metavar="FRACTION", help="smaller drops never fail")
    ] = 0.01,
    alpha: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, metavar="RATE", help="chance of any false alarm, at most"),
    ] = 0.05,
    max_drop: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="FRACTION",
            help="larger drops fail wherever images are enough to see one",
        ),
    ] = 0.10,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="WHAT",
            help="gate only `means` over categories, or only single `categories`; default: both",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit 5 if anything has too few images to tell")
    ] = False,
    timing: Annotated[bool, typer.Option(help="gate seconds per image too")] = True,
    timing_tolerance: Annotated[
        float, typer.Option(min=0, metavar="FRACTION", help="smaller slow-downs never fail")
    ] = 0.25,
    require_all: Annotated[
        bool, typer.Option("--require-all", help="exit 5 if anything was not comparable")
    ] = False,
    method: OnlyMethod = None,
    dataset: OnlyDataset = None,
    preset: OnlyPreset = None,
    style: TextFormat = "terminal",
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Exit with 1 if a score of a results folder really dropped below a baseline.

    A drop is a regression when it is larger than the tolerance and outside noise: paired, one-sided
    tests on the same images, corrected for all comparisons made. Every other number says the
    smallest drop that would have been seen; where that is above --max-drop there are too few images
    to tell, which is not passed. Timings count only where both sides were measured undisturbed on
    the same kind of device.

    \b
    Exit codes: 0 no regression, 1 regression found, 2 wrong usage or file, 3 some cells failed,
    4 a cell failed for its data, 5 nothing comparable or (--strict) too few images to tell; the
    first of 2, 4, 3, 1, 5 that applies.
    """
    from adbench.cli import regress as regress_commands

    rules = regress_commands.make_rules(
        metrics, on, tolerance=tolerance, alpha=alpha, max_drop=max_drop, strict=strict,
        require_all=require_all, timing_tolerance=timing_tolerance if timing else None,
    )  # fmt: skip
    regress_commands.gate(
        baseline, results, rules, out=out, style="json" if as_json else style,
        only={"method": method, "dataset": dataset, "preset": preset},
    )  # fmt: skip


@app.command()
def history(
    results: Results = Path("results"),
    metric: Annotated[str, typer.Option(metavar="NAME", help="like aupro@0.3")] = "image_auroc",
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="instead of the mean over categories")
    ] = None,
    method: OnlyMethod = None,
    dataset: OnlyDataset = None,
    preset: OnlyPreset = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="draw it too: .png, .pdf or .svg", callback=at_home),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a metric over the runs and commits of a results folder."""
    from adbench.cli import regress as regress_commands

    only = {"method": method, "dataset": dataset, "preset": preset}
    regress_commands.history(results, metric, category, only=only, out=out, as_json=as_json)

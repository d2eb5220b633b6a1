"""The commands on a results folder: report, figures, runs, prune, status."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adbench.cli.app import app, deliver
from adbench.cli.options import (
    Json,
    Only,
    OutFile,
    selecting_records,
)
from adbench.shared_options import CacheFolder, DataRoot, Device, Results


@app.command()
@selecting_records
def report(
    *,
    results: Results = Path("results"),
    style: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="terminal, markdown, csv, latex or html"),
    ] = "terminal",
    out: OutFile = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="long (a row a method, a column a metric) or paper (a row a category, a column a "
            "method); default: paper for latex, else long",
        ),
    ] = None,
    cells: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC[/METRIC]",
            help="what a cell of the paper layout shows (default: image_auroc/pixel_auroc)",
        ),
    ] = None,
    transpose: Annotated[
        bool | None,
        typer.Option(
            "--transpose/--no-transpose",
            help="paper layout with a row a method (default: where there are more methods than "
            "categories)",
        ),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="the papers' numbers too, marked, with what sets ours apart"
        ),
    ] = False,
    fragment: Annotated[
        bool,
        typer.Option(
            "--fragment", help=r"latex: only the tables, to \input; else a whole document"
        ),
    ] = False,
    notes: Annotated[
        str,
        typer.Option(
            metavar="short|full",
            help="latex, html: notes that are longer than their table go to an appendix page or "
            "below a fold (short), or stand with it (full)",
        ),
    ] = "short",
    snapshots: Annotated[
        bool,
        typer.Option(
            "--snapshots",
            help="instead: scores along each training, against its FLOPs, seconds and skill so far",
        ),
    ] = False,
    budgets: Annotated[
        bool,
        typer.Option("--budgets", help="instead: scores of trainings at parts of the steps"),
    ] = False,
    verdicts: Annotated[
        bool,
        typer.Option(
            "--verdicts",
            help="instead: false alarms and recall on the test set of cells run with --calibrate",
        ),
    ] = False,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help="of --verdicts: the rate of false alarms to allow (default: 0.05)"
        ),
    ] = None,
    images: Annotated[
        bool,
        typer.Option(
            "--images",
            help="instead: label and score of every test image, and (csv, --json) the file of its "
            "kept map",
        ),
    ] = False,
    only: Only,
    as_json: Json = False,
) -> None:
    """Print the tables of a results folder; runs nothing and needs neither data nor a GPU.

    \b
    adbench report --format latex --out table.tex       a document that pdflatex compiles
    adbench report --layout paper --cells image_auroc/aupro@0.3 --published
    """
    from adbench.report.folder import report_text

    style = "json" if as_json else style
    text = report_text(
        results, style, only, layout=layout, cells=cells, transpose=transpose,
        published=published, fragment=fragment, notes=notes,
        kinds=("verdicts",) * verdicts + ("snapshots",) * snapshots + ("budgets",) * budgets,
        images=images, alpha=alpha,
    )  # fmt: skip
    deliver(text, out, coloured=style == "terminal")


@app.command()
def figures(
    results: Results = Path("results"),
    data_root: DataRoot = None,
    cache: CacheFolder = None,
    device: Device = "auto",
) -> None:
    """Draw a finished results folder: sheets from kept maps, curves, histograms, training, ranks.

    Writes PNG and PDF into RESULTS/figures, and what the HTML report shows of them. Contact sheets
    and steps need the data set and a run with --keep-maps or --figures; the rest needs neither.
    """
    from adbench.cli import figures as figures_commands

    figures_commands.figures(results, data_root, cache, device)


@app.command()
def runs(
    results: Results = Path("results"),
    every: Annotated[bool, typer.Option("--all", help="superseded records too")] = False,
    tag: Annotated[
        str | None, typer.Option(metavar="NAME", help="only those of `run --tag NAME`")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the records of a results folder, oldest first, with their tags and notes."""
    from adbench.report.folder import record_lines, record_list
    from adbench.text import print_json, show

    listed = record_list(results, every=every, tag=tag)
    if as_json:
        print_json(listed)
        return
    for line in record_lines(listed) if listed else [f"no record in {results}"]:
        show(line)


@app.command()
def prune(
    results: Results = Path("results"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would go, and remove nothing")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Remove what no table uses: superseded records with their models and maps, damaged files.

    Superseded is what `runs --all` lists and `runs` does not: of older code, data or settings.
    `history` then shows what is left. What another run works on stays.
    """
    from adbench.cli.prune import prune

    prune(results, dry_run=dry_run, assume_yes=yes)


@app.command()
def status(results: Results = Path("results"), as_json: Json = False) -> None:
    """Show how far the runs on a results folder are: finished, running, interrupted, failed."""
    from adbench.cli import status as states

    states.status(results, as_json)

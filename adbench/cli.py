"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adbench import __version__
from adbench.commands.exits import CommandGroup, end
from adbench.commands.options import (
    Accumulate,
    CacheFolder,
    DataRoot,
    Datasets,
    ExecutorName,
    ExplainCache,
    FitDevices,
    Json,
    Limit,
    MaskRuleName,
    Methods,
    MetricNames,
    OnlyDataset,
    OnlyMethod,
    OnlyPreset,
    OutFile,
    Overrides,
    Overwrite,
    Plot,
    PresetName,
    Results,
    ScopeName,
    Slots,
    TextFormat,
    TimeLimit,
    selecting_cells,
)
from adbench.errors import AdbenchError

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
baseline_app = typer.Typer(rich_markup_mode=None, context_settings=_WIDTH)
app.add_typer(baseline_app, name="baseline")


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
    Exit codes: 0 ok, 1 regression found (gate), 2 wrong usage or folder, 3 some cells failed,
    4 a problem with the data, 5 nothing comparable (gate, compare), 70 adbench itself broke.
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
    executor: ExecutorName = "serial",
    slots: Slots = None,
    time_limit: TimeLimit = None,
    fit_devices: FitDevices = 1,
    accumulate: Accumulate = 1,
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
    adbench run --methods all --dataset mpdd --executor local --slots 4 --time-limit 8h
    """
    from adbench.commands import run as commands

    commands.run(
        replace(request, device=device, cache_limit_gb=cache_limit),
        commands.run_options(
            overwrite,
            wait,
            keep_maps or figures,
            keep_model,
            timing,
            checkpoint_every,
            executor,
            slots,
            time_limit,
            fit_devices,
            accumulate,
        ),  # fmt: skip
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
    from adbench.commands import run as commands

    commands.plan(request, overwrite, explain=explain_cache, as_json=as_json)


@app.command()
def select(
    methods: Methods,
    dataset: Datasets,
    preset: PresetName = "paper",
    overrides: Overrides = [],  # noqa: B006 - Typer reads it once and never changes it
    grid: Annotated[
        list[str],
        typer.Option(
            metavar="METHOD.NAME=V1|V2",
            help="values to try instead of the method's own grid; repeatable, chosen in this order",
        ),
    ] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="of the split and the fits")] = 0,
    scope: ScopeName = None,
    limit: Limit = None,
    held_out: Annotated[
        float, typer.Option(metavar="FRACTION", help="of each category's normals; at least 10")
    ] = 0.1,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache: CacheFolder = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda:N")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="what to write (default: RESULTS/selections/NAME.json)"),
    ] = None,
    plot: Plot = None,
    yes: Annotated[bool, typer.Option("--yes", help="run even where it takes days")] = False,
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
    from adbench.commands import select as select_commands
    from adbench.session import Request

    request = Request(
        methods=methods,
        datasets=tuple(dataset),
        preset=preset,
        seeds=str(seed),
        scope=scope,
        data_root=data_root and data_root.expanduser(),
        results=results.expanduser(),
        overrides=tuple(overrides),
        limit=limit,
        cache_folder=cache and cache.expanduser(),
        device=device,
    )
    select_commands.select(request, grid, held_out, out, plot, yes, as_json)


@app.command()
def selected(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="what `adbench select` wrote")],
    compare_with_test: Annotated[
        Path | None,
        typer.Option(metavar="RESULTS", help="show finished test records of the same values too"),
    ] = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Show a selection again, on request beside test curves from finished records."""
    from adbench.commands import select as select_commands


    select_commands.selected(file, compare_with_test, plot, as_json)


@app.command()
def report(
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
        bool, typer.Option("--transpose", help="paper layout with a row a method")
    ] = False,
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
    method: OnlyMethod = None,
    dataset: OnlyDataset = None,
    preset: OnlyPreset = None,
    as_json: Json = False,
) -> None:
    """Print the tables of a results folder; runs nothing and needs neither data nor a GPU.

    \b
    adbench report --format latex --out table.tex       a document that pdflatex compiles
    adbench report --layout paper --cells image_auroc/aupro@0.3 --published
    """
    from adbench.commands import results as results_commands


    style = "json" if as_json else style
    shape = results_commands.report_layout(layout, style, cells, transpose, published)
    only = {"method": method, "dataset": dataset, "preset": preset}
    results_commands.report(results, style, out, only, shape, fragment)


@app.command()
def figures(
    results: Results = Path("results"),
    data_root: DataRoot = None,
    cache: CacheFolder = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda:N")] = "auto",
) -> None:
    """Draw a finished results folder: sheets from kept maps, curves, histograms, latency, ranks.

    Writes PNG and PDF into RESULTS/figures, and what the HTML report shows of them. Contact sheets
    and steps need the data set and a run with --keep-maps or --figures; the rest needs neither.
    """
    from adbench.commands import figures as figures_commands


    figures_commands.figures(
        results.expanduser(),
        data_root and data_root.expanduser(),
        cache and cache.expanduser(),
        device,
    )


@app.command()
def runs(
    results: Results = Path("results"),
    every: Annotated[bool, typer.Option("--all", help="superseded records too")] = False,
    as_json: Json = False,
) -> None:
    """List the records of a results folder, oldest first."""
    from adbench.commands import results as results_commands


    results_commands.runs(results, every, as_json)


@app.command()
def status(results: Results = Path("results"), as_json: Json = False) -> None:
    """Show how far the runs on a results folder are: finished, running, interrupted, failed."""
    from adbench.commands import status as states

    states.status(results, as_json)


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
    from adbench.commands import regress as regress_commands


    regress_commands.compare(
        base, head, results, metrics=metrics, any_protocol=any_protocol, every=every, out=out,
        only={"method": method, "dataset": dataset, "preset": preset},
        style="json" if as_json else style,
    )  # fmt: skip


@baseline_app.callback(invoke_without_command=True)
def baseline(context: typer.Context) -> None:
    """Keep the scores that later runs are held against."""
    _help_unless_called(context)


@baseline_app.command("save")
def save_baseline(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="what to write, or replace")],
    results: Results = Path("results"),
    method: OnlyMethod = None,
    dataset: OnlyDataset = None,
    preset: OnlyPreset = None,
) -> None:
    """Write the finished records of a results folder, per-image scores included, to one file."""
    from adbench.commands import regress as regress_commands


    only = {"method": method, "dataset": dataset, "preset": preset}
    regress_commands.save_baseline(file, results, only)


@app.command()
def gate(
    baseline: Annotated[Path, typer.Option(metavar="FILE", help="made by `baseline save`")],
    results: Results = Path("results"),
    metrics: MetricNames = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, metavar="FRACTION", help="smaller drops never fail")
    ] = 0.01,
    alpha: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, metavar="RATE", help="chance of any false alarm, at most"),
    ] = 0.05,
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

    A drop fails the gate when it is larger than the tolerance and outside noise: paired, one-sided
    tests on the same images, corrected for all comparisons made. Timings count only where both
    sides were measured undisturbed on the same kind of device.

    \b
    Exit codes: 0 no regression, 1 regression found, 2 wrong usage or file, 3 some cells failed,
    4 a cell failed for its data, 5 nothing comparable; the first of 2, 4, 3, 1, 5 that applies.
    """
    from adbench.commands import regress as regress_commands


    rules = regress_commands.make_rules(
        metrics, tolerance, alpha, timing, timing_tolerance, require_all
    )
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
        Path | None, typer.Option(metavar="FILE", help="draw it too: .png, .pdf or .svg")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a metric over the runs and commits of a results folder."""
    from adbench.commands import regress as regress_commands


    only = {"method": method, "dataset": dataset, "preset": preset}
    regress_commands.history(results, metric, category, only=only, out=out, as_json=as_json)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or describe one: paper, hyper-parameters, presets, deviations."""
    from adbench.commands import listing

    listing.methods(name, as_json)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="describe this one")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, or describe one: licence, where to get it, expected folders."""
    from adbench.commands import listing

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
    from adbench.reports.cite import cite as cite_all

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
    from adbench.commands import data as data_commands


    data_commands.verify(name, data_root, strict, evaluation_size, mask_rule, as_json)


@data_app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    data_root: DataRoot = None,
) -> None:
    """Render the synthetic set, or say where to get another one and where to put it."""
    from adbench.commands import data as data_commands


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

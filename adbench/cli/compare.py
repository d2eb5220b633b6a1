"""The commands that hold scores against each other: compare, baseline, gate, history."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adbench import errors
from adbench.cli.app import app, baseline_app, deliver
from adbench.cli.options import (
    Json,
    MetricNames,
    Only,
    OutFile,
    TextFormat,
    selecting_records,
)
from adbench.errors import UnknownNameError, UsageError
from adbench.shared_options import Results
from adbench.text import at_home, counted, json_text, print_json, say

if TYPE_CHECKING:
    from adbench.compare.page import Page
    from adbench.store.records import Record

FORMATS = ("terminal", "markdown")
_NAMED = 5
"""Cells in one message."""
_CODES = {
    "passed": errors.OK,
    "UNDECIDED": errors.OK,
    "FAILED: regression": errors.REGRESSION,
    "FAILED: cells failed": errors.CELLS_FAILED,
    "FAILED: a problem with the data": errors.DATA_PROBLEM,
}
"""Outcome of the gate to exit code; of every other one it is `NOTHING_COMPARABLE`."""


@app.command()
@selecting_records
def compare(
    *,
    base: Annotated[str, typer.Argument(metavar="BASE", help="results folder, baseline or method")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="the same; what is new")],
    results: Results = Path("results"),
    metrics: MetricNames = None,
    any_protocol: Annotated[
        bool, typer.Option("--any-protocol", help="compare across protocols too, marked")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="every difference, however small")] = False,
    only: Only,
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
    from adbench.compare.compare import compare, comparison_json, comparison_page
    from adbench.compare.differences import check_metrics
    from adbench.compare.sides import side_of

    _check_style(style)
    names = check_metrics(metrics)
    left, right = (side_of(side, results).only(only) for side in (base, head))
    result = compare(left, right, names, any_protocol=any_protocol)
    if as_json:
        deliver(json_text(comparison_json(result)) + "\n", out)
    else:
        _deliver_page(comparison_page(result, every=every), style, f"{base} → {head}", out)
    if not result.compared:
        say(f"nothing comparable in {base} and {head}")
        raise SystemExit(errors.NOTHING_COMPARABLE)


@baseline_app.command("save")
@selecting_records
def save_baseline(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="what to write, or replace", callback=at_home)
    ],
    results: Results = Path("results"),
    only: Only,
    strict: Annotated[
        bool, typer.Option("--strict", help="refuse smoke runs and runs with --limit")
    ] = False,
) -> None:
    """Write the finished records of a results folder, per-image scores included, to one file."""
    from adbench.compare.baseline import make_baseline, write_baseline
    from adbench.compare.sides import folder_side

    if file.is_dir():
        raise UsageError(f"{file} is a folder: expected a file to write, like baseline.json")
    side = folder_side(results).only(only)
    done = [r for r in side.records if r.status == "done"]
    if not done:
        raise UsageError(
            f"no finished record in {results}: `adbench run --results {results}` makes some"
        )
    doubts = list(_doubts(done))
    if strict and doubts:
        again = ["adbench", "baseline", "save", file.resolve(), "--results", results.resolve()]
        again += [word for name, value in only.items() if value for word in (f"--{name}", value)]
        raise UsageError(
            f"{'; '.join(doubts)}: expected runs of another preset without --limit; "
            f"`{shlex.join(map(str, again))}`, without --strict, saves these all the same"
        )
    pixels = {r.keys["score"]: side.encoded_pixels(r) for r in done}
    write_baseline(make_baseline(done, {k: v for k, v in pixels.items() if v}), file)
    for line in doubts:
        say(f"warning: {line}; saved all the same (--strict refuses)")
    left_out = len(side.records) - len(done)
    more = f"; {left_out} failed or skipped left out" if left_out else ""
    say(f"wrote {file}: {counted(len(done), 'cell')}{more}")


def _doubts(records: Sequence[Record]) -> Iterator[str]:
    """A line with count and names for each reason why records are no benchmark results."""
    smoke = [r for r in records if r.preset == "smoke"]
    limited = [r for r in records if r.identity["limit"] is not None]
    for reason, own in (
        ("of preset smoke, whose scores mean nothing", smoke),
        ("of a part of the images (--limit)", limited),
    ):
        names = list(dict.fromkeys(map(_name, own)))
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{counted(len(own), 'cell')} {reason}: {', '.join(names[:_NAMED])}{more}"


def _name(record: Record) -> str:
    own = record.identity
    return f"{own['dataset']}:{','.join(own['categories'])} {record.method} {record.preset}"


@app.command()
@selecting_records
def gate(
    *,
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
    only: Only,
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
    from adbench.compare.differences import check_metrics
    from adbench.compare.gate import run_gate
    from adbench.compare.gate_output import gate_headline, gate_json, gate_page
    from adbench.compare.sides import baseline_side, folder_side
    from adbench.compare.verdicts import CATEGORIES, MEANS, Rules

    if on not in (None, MEANS, CATEGORIES):
        raise UnknownNameError("--on", on, (MEANS, CATEGORIES))
    rules = Rules(
        check_metrics(metrics), tolerance, alpha, timing_tolerance if timing else None,
        require_all, max_drop, on, strict,
    )  # fmt: skip
    _check_style(style)
    result = run_gate(baseline_side(baseline).only(only), folder_side(results).only(only), rules)
    code = _CODES.get(result.outcome, errors.NOTHING_COMPARABLE)
    if as_json:
        deliver(json_text(gate_json(result, code)) + "\n", out)
    else:
        _deliver_page(gate_page(result), style, "adbench gate", out)
    if out is not None or as_json:
        say(gate_headline(result))
    raise SystemExit(code)


@app.command()
@selecting_records
def history(
    *,
    results: Results = Path("results"),
    metric: Annotated[str, typer.Option(metavar="NAME", help="like aupro@0.3")] = "image_auroc",
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="instead of the mean over categories")
    ] = None,
    only: Only,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="draw it too: .png, .pdf or .svg", callback=at_home),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a metric over the runs and commits of a results folder."""
    from adbench.compare import history as timeline
    from adbench.compare.differences import check_metrics
    from adbench.compare.sides import passes
    from adbench.store.folders import Store

    name, *more = check_metrics(metric)
    if more or not metric.strip():
        raise UsageError(f"--metric {metric!r}: expected one metric, like image_auroc")
    types = timeline.PLOT_TYPES
    if out is not None and out.suffix.lower() not in types:
        raise UsageError(f"--out {out}: expected a name that ends in {', '.join(types)}")
    records = [r for r in Store(results).records() if passes(r, only)]  # all, not the latest alone
    series = timeline.history(records, name, category)
    if as_json:
        print_json([timeline.series_json(own, name) for own in series])
    elif series:
        _deliver_page(timeline.history_page(series, name), "terminal", "", None)
    else:
        where = f" of category {category}" if category else ""
        say(f"no {name}{where} in the records of {results}: `adbench runs` lists them")
    if out is not None:
        if not series:
            raise UsageError(f"--out {out}: there is nothing to draw")
        timeline.write_plot(series, name, out)
        say(f"wrote {out}")


def _check_style(style: str) -> None:
    if style not in FORMATS:
        raise UnknownNameError("--format", style, FORMATS)


def _deliver_page(page: Page, style: str, title: str, out: Path | None) -> None:
    from adbench.compare.page import markdown, terminal

    text = markdown(page, title) if style == "markdown" else terminal(page)
    deliver(text, out, coloured=style == "terminal")

"""The report of a results folder as one text, and the list of its records."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adbench.errors import UnknownNameError, UsageError
from adbench.report import formats
from adbench.report.comparison import DEFAULT_CELLS
from adbench.report.footnotes import footnotes
from adbench.report.report import Report
from adbench.report.reported import published_numbers
from adbench.report.tables import TITLES, public
from adbench.store.comparability import newness
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record, mean_metrics
from adbench.text import json_text

FORMATS = ("terminal", "markdown", "csv", "latex", "html")
LAYOUTS = ("long", "paper")
NOTES = ("short", "full")


def report_text(
    results: Path,
    style: str,
    only: Mapping[str, str | None],
    *,
    layout: str | None = None,
    cells: str | None = None,
    transpose: bool | None = None,
    published: bool = False,
    fragment: bool = False,
    notes: str = "short",
    kinds: tuple[str, ...] = (),
) -> str:
    """The tables of the selected records; `style` is one of `FORMATS` or json, the rest are the
    options of `adbench report`, `kinds` some of `trainings.KINDS`. Raises `UsageError` for options
    that do not go together, and where no record is selected."""
    if style not in (*FORMATS, "json"):
        raise UnknownNameError("--format", style, FORMATS)
    if fragment and style != "latex":
        raise UsageError(f"--fragment with --format {style}: expected --format latex")
    if layout not in (None, *LAYOUTS):
        raise UnknownNameError("--layout", layout, LAYOUTS)
    if notes not in NOTES:
        raise UnknownNameError("--notes", notes, NOTES)
    shaped = bool(cells) or transpose is not None
    is_paper = layout == "paper" or (layout is None and (style == "latex" or shaped))
    if not is_paper and shaped:
        raise UsageError("--cells and --transpose shape --layout paper: found --layout long")
    metrics = _metrics(cells) if cells else DEFAULT_CELLS
    if kinds and (layout or shaped or published or style == "html"):
        raise UsageError(
            f"--{kinds[0]} is a table of its own, for --format terminal, markdown, latex, csv and "
            "--json: leave the other options out"
        )
    every = latest(Store(results).records(), budgets="budgets" in kinds)
    records = [r for r in every if all(v in (None, _facts(r)[k]) for k, v in only.items())]
    if not records and style != "json":
        raise UsageError(_nothing(results, every, only))
    if kinds:
        return _trainings(records, results, style, fragment, kinds)
    numbers = published_numbers() if published else ()
    report = Report(
        records, numbers, "paper" if is_paper else "long", metrics, transpose, notes == "full"
    )
    if style == "html":
        from adbench.report.html.document import document

        return document(report, results)
    if style == "latex":
        from adbench.report.latex import latex

        return latex(report, fragment)
    writers = {
        "terminal": _terminal, "markdown": formats.markdown, "csv": formats.csv, "json": _json
    }  # fmt: skip
    return writers[style](report)


def _trainings(
    records: Sequence[Record], results: Path, style: str, fragment: bool, kinds: tuple[str, ...]
) -> str:
    from adbench.report.trainings import TrainingReport

    report = TrainingReport(records, kinds=kinds)
    if style == "json":
        return json_text(report.all_rows) + "\n"
    report.require_points(results)
    if style == "latex":
        from adbench.report.latex import latex

        return latex(report, fragment)
    if style == "csv":
        return report.csv()
    return formats.markdown(report) if style == "markdown" else _terminal(report)


def tables_text(records: Sequence[Record]) -> str:
    """The tables and footnotes as they look on stdout, be it a terminal, a file or a pipe."""
    return _terminal(Report(records))


def _terminal(report: Report) -> str:
    buffer = io.StringIO()
    from adbench.consoles import table_console

    formats.print_report(report, table_console(buffer))
    return buffer.getvalue()


def _json(report: Report) -> str:
    return json_text(public(report.all_rows)) + "\n"


def record_list(results: Path, *, every: bool) -> list[dict[str, Any]]:
    """What `adbench runs --json` says of the latest record of each cell, or of every one."""
    records = Store(results).records()
    return [
        _summary(r)
        for r in sorted(records if every else latest(records, budgets=True), key=newness)
    ]


def record_line(summary: Mapping[str, Any]) -> str:
    """One of them in a line, without the traceback of a failure."""
    auroc = summary["image_auroc"]
    outcome = "" if auroc is None else f" image AUROC {100 * auroc:.2f}"
    if summary["failure"] is not None:
        outcome = f" {summary['failure']['type']}: {summary['failure']['message']}"
    variant = f"[{summary['variant']}]" if summary["variant"] else ""
    return (
        f"{summary['created']} {summary['key'][:12]} {summary['status']:7s} "
        f"{summary['dataset']}:{','.join(summary['categories'])} {summary['method']}{variant} "
        f"{summary['preset']} {summary['scope']} seed {summary['seed']}{outcome}"
    )


def _metrics(cells: str) -> tuple[str, ...]:
    names = tuple(cells.split("/"))
    for name in names:
        if name not in TITLES:
            raise UnknownNameError("metric in --cells", name, TITLES)
    if len(names) > 2:
        raise UsageError(f"--cells {cells}: found {len(names)} metrics, expected one or two")
    return names


def _facts(record: Record) -> dict[str, Any]:
    return {**record.identity, "preset": record.preset}


def _nothing(results: Path, every: Sequence[Record], only: Mapping[str, str | None]) -> str:
    """Why there is no table: an empty folder, or a filter that matches none of its records."""
    if not every:
        return f"no record in {results}: `adbench run --results {results}` makes some"
    parts = []
    for name, value in only.items():
        if value is not None:
            found = sorted({_facts(r)[name] for r in every})
            parts.append(f"--{name} {value} (there: {', '.join(found)})")
    return f"none of the {len(every)} records in {results} has {' and '.join(parts)}"


def _summary(record: Record) -> dict[str, Any]:
    mean, _ = mean_metrics(record.metrics)
    names = ("method", "dataset", "categories", "scope", "seed", "limit")
    return {
        "created": record.created,
        "key": record.keys["score"],
        "status": record.status,
        **{name: record.identity[name] for name in names},
        "preset": record.preset,
        "variant": record.variant,
        "protocol": record.protocol_digest if record.status == "done" else None,
        "image_auroc": mean.get("image_auroc"),
        "failure": record.failure.model_dump() if record.failure is not None else None,
        "notes": footnotes([record]),
    }

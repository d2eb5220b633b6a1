"""The report of a results folder as one text, and the list of its records."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adbench.errors import UnknownNameError, UsageError
from adbench.report import report
from adbench.report.footnotes import footnotes
from adbench.report.paper_table import DEFAULT_CELLS
from adbench.report.report import LONG, Layout
from adbench.report.reported import published_numbers
from adbench.report.tables import TITLES, part_rows, public, rows
from adbench.store.comparability import newness
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record, mean_metrics
from adbench.text import json_text, table_console

FORMATS = ("terminal", "markdown", "csv", "latex", "html")
LAYOUTS = ("long", "paper")


def report_text(
    results: Path,
    style: str,
    only: Mapping[str, str | None],
    *,
    layout: str | None = None,
    cells: str | None = None,
    transpose: bool = False,
    published: bool = False,
    fragment: bool = False,
) -> str:
    """The tables of the selected records; `style` is one of `FORMATS` or json, the rest are the
    options of `adbench report`. Raises `UsageError` for options that do not go together, and where
    no record is selected."""
    if style not in (*FORMATS, "json"):
        raise UnknownNameError("--format", style, FORMATS)
    if fragment and style != "latex":
        raise UsageError(f"--fragment with --format {style}: expected --format latex")
    chosen = _layout(layout, style, cells, transpose, published)
    every = latest(Store(results).records())
    records = [r for r in every if all(v in (None, _facts(r)[k]) for k, v in only.items())]
    if style == "json":
        theirs = report.published_rows(records, chosen.numbers)
        return json_text(public([*rows(records), *part_rows(records), *theirs])) + "\n"
    if not records:
        raise UsageError(_nothing(results, every, only))
    if style == "html":
        from adbench.report import html

        return html.document(records, results, chosen)
    if style == "latex":
        return report.latex(records, chosen, fragment)
    write = {"terminal": tables_text, "markdown": report.markdown, "csv": report.csv}[style]
    return write(records, chosen)


def tables_text(records: Sequence[Record], layout: Layout = LONG) -> str:
    """The tables and footnotes as they look on stdout, be it a terminal, a file or a pipe."""
    buffer = io.StringIO()
    report.print_report(records, table_console(buffer), layout)
    return buffer.getvalue()


def record_list(results: Path, *, every: bool) -> list[dict[str, Any]]:
    """What `adbench runs --json` says of the latest record of each cell, or of every one."""
    records = Store(results).records()
    return [_summary(r) for r in sorted(records if every else latest(records), key=newness)]


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


def _layout(
    name: str | None, style: str, cells: str | None, transpose: bool, published: bool
) -> Layout:
    """Papers' layout where LaTeX is written, or an option is given that only it has; else long."""
    if name not in (None, *LAYOUTS):
        raise UnknownNameError("--layout", name, LAYOUTS)
    is_paper = name == "paper" or (name is None and (style == "latex" or cells or transpose))
    if not is_paper and (cells or transpose):
        raise UsageError("--cells and --transpose shape --layout paper: found --layout long")
    metrics = tuple(cells.split("/")) if cells else DEFAULT_CELLS
    for metric in metrics:
        if metric not in TITLES:
            raise UnknownNameError("metric in --cells", metric, TITLES)
    if len(metrics) > 2:
        raise UsageError(f"--cells {cells}: found {len(metrics)} metrics, expected one or two")
    numbers = published_numbers() if published else ()
    return Layout("paper" if is_paper else "long", metrics, transpose, numbers)


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

"""What the commands do that only read a results folder: `report` and `runs`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.cli.deliver import deliver, refuse_folder
from adbench.errors import UnknownNameError, UsageError
from adbench.report.footnotes import footnotes
from adbench.report.tables import TITLES, part_rows, public, rows
from adbench.store.comparability import newness
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record, mean_metrics
from adbench.text import json_text, print_json, show, table_console

if TYPE_CHECKING:
    from adbench.report.report import Layout

FORMATS = ("terminal", "markdown", "csv", "latex", "html")
LAYOUTS = ("long", "paper")


def report(
    results: Path,
    style: str,
    out: Path | None,
    only: Mapping[str, str | None],
    layout: Layout | None = None,
    fragment: bool = False,
) -> None:
    """Print or write the tables of the selected records; `style` is one of `FORMATS` or json."""
    if style not in (*FORMATS, "json"):
        raise UnknownNameError("--format", style, FORMATS)
    if fragment and style != "latex":
        raise UsageError(f"--fragment with --format {style}: expected --format latex")
    refuse_folder(out)
    every = latest(Store(results).records())
    records = [r for r in every if _selected(r, only)]
    if not records and style != "json":
        raise UsageError(_nothing(results, every, only))
    text = _render(records, style, results, layout, fragment)
    deliver(text, out, coloured=style == "terminal")


def report_layout(
    name: str | None, style: str, cells: str | None, transpose: bool, published: bool
) -> Layout:
    """The layout that the options of `report` ask for.

    Papers' layout where LaTeX is written, or an option is given that only it has; else long.
    """
    from adbench.report.paper_table import DEFAULT_CELLS
    from adbench.report.report import Layout
    from adbench.report.reported import published_numbers

    if name not in (None, *LAYOUTS):
        raise UnknownNameError("--layout", name, LAYOUTS)
    is_paper = name == "paper" or (name is None and (style == "latex" or cells or transpose))
    if not is_paper and (cells or transpose):
        raise UsageError("--cells and --transpose shape --layout paper: found --layout long")
    return Layout(
        name="paper" if is_paper else "long",
        cells=_metrics(cells) if cells else DEFAULT_CELLS,
        transpose=transpose,
        numbers=published_numbers() if published else (),
    )


def _metrics(cells: str) -> tuple[str, ...]:
    names = tuple(cells.split("/"))
    for name in names:
        if name not in TITLES:
            raise UnknownNameError("metric in --cells", name, TITLES)
    if len(names) > 2:
        raise UsageError(f"--cells {cells}: found {len(names)} metrics, expected one or two")
    return names


def runs(results: Path, every: bool, as_json: bool) -> None:
    """List the records, the latest of each cell or all; JSON has the tracebacks of failures."""
    store = Store(results)
    records = list(store.records()) if every else latest(store.records())
    listed = [_summary(record) for record in sorted(records, key=newness)]
    if as_json:
        print_json(listed)
        return
    for summary in listed:
        show(_line(summary))
    if not listed:
        show(f"no record in {results}")


def _selected(record: Record, only: Mapping[str, str | None]) -> bool:
    own = {**record.identity, "preset": record.preset}
    return all(value is None or own[name] == value for name, value in only.items())


def _nothing(results: Path, every: Sequence[Record], only: Mapping[str, str | None]) -> str:
    """Why there is no table: an empty folder, or a filter that matches none of its records."""
    if not every:
        return f"no record in {results}: `adbench run --results {results}` makes some"
    parts = []
    for name, value in only.items():
        if value is not None:
            found = sorted({{**r.identity, "preset": r.preset}[name] for r in every})
            parts.append(f"--{name} {value} (there: {', '.join(found)})")
    return f"none of the {len(every)} records in {results} has {' and '.join(parts)}"


def _render(
    records: Sequence[Record],
    style: str,
    results: Path,
    layout: Layout | None,
    fragment: bool,
) -> str:
    from adbench.report import report as reports

    layout = layout or reports.LONG
    if style == "json":
        theirs = reports.published_rows(records, layout.numbers)
        return json_text(public([*rows(records), *part_rows(records), *theirs])) + "\n"
    if style == "terminal":
        return tables_text(records, layout)
    if style == "html":
        from adbench.report import html

        return html.document(records, results, layout)
    if style == "latex":
        return reports.latex(records, layout, fragment)
    write = reports.markdown if style == "markdown" else reports.csv
    return write(records, layout)


def tables_text(records: Sequence[Record], layout: Layout | None = None) -> str:
    """The tables and footnotes as they look on stdout, be it a terminal, a file or a pipe."""
    from adbench.report.report import LONG, print_report

    buffer = io.StringIO()
    print_report(records, table_console(buffer), layout or LONG)
    return buffer.getvalue()


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


def _line(summary: Mapping[str, Any]) -> str:
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

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
from adbench.report.image_table import ImageReport
from adbench.report.report import OwnTables, Report
from adbench.report.reported import published_numbers
from adbench.report.tables import TITLES, public
from adbench.report.trainings import TrainingReport
from adbench.report.verdicts import VerdictReport
from adbench.spreadsheet import rows_csv
from adbench.stats.conformal import ALPHA, check_alpha
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
    alpha: float | None = None,
    images: bool = False,
) -> str:
    """The tables of the selected records; `style` is one of `FORMATS` or json, the rest are the
    options of `adbench report`, `kinds` some of `trainings.KINDS` or "verdicts", which `alpha` is
    for. Raises `UsageError` for options that do not go together, and where no record is selected.
    """
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
    own = (*kinds, *(("images",) if images else ()))
    if own and (layout or shaped or published or style == "html" or (images and kinds)):
        raise UsageError(
            f"--{own[0]} is a table of its own, for --format terminal, markdown, latex, csv and "
            "--json: leave the other options out"
        )
    if "verdicts" in kinds and len(kinds) > 1:
        raise UsageError(f"--verdicts with --{kinds[1]}: expected one of them")
    if alpha is not None and "verdicts" not in kinds:
        raise UsageError("--alpha is of verdicts: give --verdicts too")
    every = latest(Store(results).records(), budgets="budgets" in kinds)
    records = [r for r in every if all(v in (None, _facts(r)[k]) for k, v in only.items())]
    if not records and style != "json":
        raise UsageError(_nothing(results, every, only))
    if images:
        return _of_its_own(ImageReport(records, results=results), results, style, fragment)
    if kinds:
        return _of_its_own(_instead(records, kinds, alpha), results, style, fragment)
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


def _instead(records: Sequence[Record], kinds: tuple[str, ...], alpha: float | None) -> OwnTables:
    if "verdicts" in kinds:
        return VerdictReport(records, alpha=check_alpha(ALPHA if alpha is None else alpha))
    return TrainingReport(records, kinds=kinds)


def _of_its_own(report: OwnTables, results: Path, style: str, fragment: bool) -> str:
    if style == "json":
        return json_text(report.all_rows) + "\n"
    report.require_rows(results)
    if style == "latex":
        from adbench.report.latex import latex

        return latex(report, fragment)
    if style == "csv":
        return rows_csv(report.all_rows)
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


def record_list(results: Path, *, every: bool, tag: str | None = None) -> list[dict[str, Any]]:
    """What `adbench runs --json` says of the latest record of each cell, or of every one; of those
    with a tag, where one is named."""
    records = Store(results).records()
    found = [
        _summary(r)
        for r in sorted(records if every else latest(records, budgets=True), key=newness)
    ]
    tags = sorted({own for summary in found for own in summary["tags"]})
    if tag is not None and tag not in tags:
        raise UnknownNameError(f"tag in {results}", tag, tags)
    return [summary for summary in found if tag in (None, *summary["tags"])]


def record_lines(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line each, in columns: id, name, outcome and when; then tags and the note."""
    rows = [_line(summary) for summary in listed]
    widths = [max(map(len, column)) for column in zip(*(row[:3] for row in rows), strict=True)]
    return [
        "  ".join([*(text.ljust(n) for text, n in zip(row, widths, strict=False)), *row[3:]])
        for row in rows
    ]


def _line(summary: Mapping[str, Any]) -> list[str]:
    """Without the traceback of a failure."""
    auroc, failure = summary["image_auroc"], summary["failure"]
    outcome = summary["status"] if auroc is None else f"image AUROC {100 * auroc:.2f}"
    when = summary["created"].replace("T", " ")[:16]
    said = [f"#{tag}" for tag in summary["tags"]]
    said += [f'"{summary["note"]}"'] if summary["note"] else []
    said += [f"{failure['type']}: {failure['message']}"] if failure is not None else []
    return [summary["key"][:12], summary["name"], outcome, when, *said]


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
        "folder": f"cells/{record.keys['fit']}",
        "name": record.name,
        "status": record.status,
        **{name: record.identity[name] for name in names},
        "preset": record.preset,
        "variant": record.variant,
        "protocol": record.protocol_digest if record.status == "done" else None,
        "image_auroc": mean.get("image_auroc"),
        "failure": record.failure.model_dump() if record.failure is not None else None,
        "notes": footnotes([record]),
        "note": record.environment.get("note"),
        "tags": record.environment.get("tags", []),
    }

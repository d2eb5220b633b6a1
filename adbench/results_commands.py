"""What the commands do that only read a results folder: `report` and `runs`."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adbench import atomic
from adbench.errors import UnknownNameError, UsageError
from adbench.footnotes import footnotes
from adbench.output import json_text, print_json, say, table_console
from adbench.records import Record, mean_metrics
from adbench.store import Store
from adbench.tables import latest, rows

FORMATS = ("terminal", "markdown", "csv")


def report(results: Path, style: str, out: Path | None, only: Mapping[str, str | None]) -> None:
    """Print or write the table of the selected records; `style` is one of `FORMATS` or json."""
    if style not in (*FORMATS, "json"):
        raise UnknownNameError("--format", style, FORMATS)
    every = latest(Store(results).records())
    records = [r for r in every if _selected(r, only)]
    if not records and style != "json":
        raise UsageError(_nothing(results, every, only))
    text = _render(records, style)
    if out is None:
        sys.stdout.write(text)
        return
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: expected a file to write")
    atomic.write_text(out, text)
    say(f"wrote {out}")


def runs(results: Path, every: bool, as_json: bool) -> None:
    """List the records, the latest of each cell or all; JSON has the tracebacks of failures."""
    store = Store(results)
    records = list(store.records()) if every else latest(store.records())
    listed = [_summary(record) for record in sorted(records, key=lambda r: r.created)]
    if as_json:
        print_json(listed)
        return
    for summary in listed:
        print(_line(summary))
    if not listed:
        print(f"no record in {results}")


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


def _render(records: Sequence[Record], style: str) -> str:
    from adbench import report as reports

    if style == "json":
        return json_text(rows(records)) + "\n"
    if style == "terminal":
        return tables_text(records)
    return reports.markdown(records) if style == "markdown" else reports.csv(records)


def tables_text(records: Sequence[Record]) -> str:
    """The tables and footnotes as they look on stdout, be it a terminal, a file or a pipe."""
    from adbench.report import print_report

    buffer = io.StringIO()
    print_report(records, table_console(buffer))
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

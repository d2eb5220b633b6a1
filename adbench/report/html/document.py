"""From records to the text of one HTML file.

Templates escape every text that they print. What the page may load or run is fixed twice over: it
refers to nothing outside itself, and its content security policy allows data-URI images and, by
their digests, our own style sheet and script alone. A name that slipped through the escaping
could still run nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from adbench.report.comparison import notes, timing_table
from adbench.report.footnotes import protocol_notes
from adbench.report.html.cells import METRIC_TITLES, cell_views, environments_of, settings_of
from adbench.report.html.charts import category_charts
from adbench.report.html.pictures import Budget, gallery_views, plots
from adbench.report.html.protocols import differences, protocols_of
from adbench.report.html.tables import table_view
from adbench.report.parts_table import parts_tables
from adbench.report.report import LONG, Layout
from adbench.store.records import Record
from adbench.text import printable
from adbench.version import __version__


def document(records: Sequence[Record], results: Path, layout: Layout = LONG) -> str:
    """The report of `records` as one HTML document.

    Args:
        records: those to show, the latest of each cell; none failed, all failed, both are fine.
        results: the results folder; pictures that were drawn there (`figures/`) are shown, its
            maps and the data set are not read.
        layout: of the comparison tables, with the published numbers to show in them.
    """
    budget = Budget()
    protocols = protocols_of(records)
    environments = environments_of(records)
    settings = settings_of(records)
    cells = cell_views(records, protocols, environments, settings)
    timing = timing_table(records, layout.numbers)
    galleries, pixel_curves = gallery_views(records, results / "figures", budget)
    charts = category_charts(records, pixel_curves, budget.notes)
    said = [n for n in protocol_notes(records) if n.startswith("Protocol")]
    below = notes(records, layout.numbers, layout.metrics)
    page = {
        "version": __version__,
        "facts": _facts(records),
        "banners": _banners(records),
        "tables": [
            *(table_view(table, cells) for table in layout.tables(records)),
            *(table_view(table, ()) for table in parts_tables(records, layout.metrics)),
        ],
        "timing": table_view(timing, ()) if timing else None,
        "notes": [n for n in below if n not in said],  # protocols have a section
        "protocols": protocols,
        "differences": differences(protocols),
        "failures": [cell for cell in cells if cell.failure or cell.reason],
        "plots": plots(records),
        "charts": charts,
        "galleries": galleries,
        "left_out": budget.notes,
        "cells": cells,
        "environments": environments,
        "settings": settings,
        "metric_titles": METRIC_TITLES,
    }
    return _render(page)


def _render(page: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("adbench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_source(style)}'; "
        f"script-src '{_source(script)}'; base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template("document.html")
    # Our own files, the only text that is not escaped.
    return template.render(style=Markup(style), script=Markup(script), policy=policy, **page)


def _without_controls(value: Any) -> Any:
    """A text of a record without control characters but newlines; our own files as they are."""
    if type(value) is not str:
        return value
    return "\n".join(map(printable, value.split("\n")))


def _asset(name: str) -> str:
    path = resources.files("adbench.report.html").joinpath("assets", name)
    return path.read_text(encoding="utf-8")


def _source(text: str) -> str:
    """The digest by which a content security policy allows an inline element."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What the report is about, in a few words each."""

    def listed(values: Sequence[str], most: int = 12) -> str:
        names = sorted(set(values))
        more = f" and {len(names) - most} more" if len(names) > most else ""
        return ", ".join(names[:most]) + more

    statuses = [record.status for record in records]
    counts = [f"{statuses.count(s)} {s}" for s in ("done", "failed", "skipped") if s in statuses]
    created = sorted(record.created for record in records)
    first_and_last = dict.fromkeys(text[:10] for text in (created[:1] + created[-1:]))
    return [
        ("data sets", listed([record.identity["dataset"] for record in records])),
        ("methods", listed([record.identity["method"] for record in records])),
        ("presets", listed([record.preset for record in records])),
        ("seeds", listed([str(record.identity["seed"]) for record in records])),
        ("cells", ", ".join(counts) or "none"),
        ("recorded", " to ".join(first_and_last) or "never"),
    ]


def _banners(records: Sequence[Record]) -> list[str]:
    """What nobody may overlook."""
    banners = []
    if any(record.preset == "smoke" for record in records):
        banners.append(
            "Smoke preset: these runs prove that everything works. Their scores mean nothing."
        )
    if any(record.identity["limit"] is not None for record in records):
        banners.append(
            "--limit: some cells saw a part of the images only. Their scores compare with nothing."
        )
    return banners

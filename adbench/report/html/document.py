"""From a report to the text of one HTML file.

Templates escape every text that they print. What the page may load or run is fixed twice over: it
refers to nothing outside itself, and its content security policy allows data-URI images and, by
their digests, our own style sheet and script alone. A name that slipped through the escaping
could still run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from adbench.naming import run_of
from adbench.report.html.cells import View, cell_views, differences, protocols_of, shared_facts
from adbench.report.html.charts import category_charts
from adbench.report.html.overview import overview
from adbench.report.html.pictures import Budget, gallery_views, plots
from adbench.report.report import Report
from adbench.report.tables import TITLES
from adbench.report.text_table import Table
from adbench.store.records import Record
from adbench.text import printable
from adbench.version import __version__

_LINE, _OPEN = 110, 4
"""Characters of a line of notes, and how many notes stand above the fold."""


def document(report: Report, results: Path) -> str:
    """The report as one HTML document.

    `results` is the results folder: pictures that were drawn there (`figures/`) are shown, its maps
    and the data set are not read.
    """
    records, marks = report.records, report.marks
    budget = Budget()
    protocols = protocols_of(records, marks)
    environments, settings = shared_facts(records)
    cells = cell_views(report, protocols, environments, settings)
    galleries, pixel_curves = gallery_views(records, results / "figures", budget)
    charts = category_charts(records, pixel_curves, budget.notes)
    # Protocols have a section of their own.
    notes = [note.text for note in report.notes if note.about != "protocol"] + budget.notes
    opening = overview(report, galleries, budget)
    folded = 0 if report.all_notes else _folded(notes, report)
    return _render(
        version=__version__,
        facts=_facts(report),
        banners=_banners(records),
        tables=[*((t, _links(t, cells)) for t in report.tables), *((t, {}) for t in report.parts)],
        timing=report.costs,
        overview=opening,
        notes=notes[: len(notes) - folded],
        more_notes=notes[len(notes) - folded :],
        protocols=protocols,
        differences=differences(protocols.values()),
        failures=[c for c in cells if c["record"].failure or c["record"].reason],
        plots=plots(records),
        charts=charts,
        galleries=galleries,
        cells=cells,
        environments=environments,
        settings=settings,
        metric_titles=TITLES.values(),
    )


def _folded(notes: Sequence[str], report: Report) -> int:
    """How many notes go below a fold: where they are longer than the tables, all but the first."""
    lines = sum(1 + len(note) // _LINE for note in notes)
    is_long = lines > sum(len(table.rows) + 4 for table in report.tables)
    return max(0, len(notes) - _OPEN) if is_long else 0


def _links(table: Table, cells: Iterable[View]) -> dict[tuple[str, str], str]:
    """Where the run behind a row is described, by its category and its selector; of several seeds,
    the first."""
    links: dict[tuple[str, str], str] = {}
    for cell in cells:
        own = cell["record"].identity
        if table.key == f"{own['dataset']}-{own['scope']}":
            for category in own["categories"]:
                for name in (cell["run"], f"{cell['run']} ({cell['mark']})"):
                    links.setdefault((category, name), cell["anchor"])
    return links


def _render(**page: Any) -> str:
    environment = Environment(
        loader=PackageLoader("adbench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["indented"] = partial(json.dumps, indent=1)
    assets = resources.files("adbench.report.html").joinpath("assets")
    names = ("report.css", "report.js")
    style, script = (assets.joinpath(name).read_text(encoding="utf-8") for name in names)
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


def _source(text: str) -> str:
    """The digest by which a content security policy allows an inline element."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _facts(report: Report) -> list[tuple[str, str]]:
    """What the report is about, in a few words each."""
    records = report.records
    methods = (report.names.lines(run_of(record))[0] for record in records)

    def listed(values: Iterable[object], most: int = 12) -> str:
        names = sorted(set(map(str, values)))
        more = f" and {len(names) - most} more" if len(names) > most else ""
        return ", ".join(names[:most]) + more

    statuses = [record.status for record in records]
    counts = [f"{statuses.count(s)} {s}" for s in ("done", "failed", "skipped") if s in statuses]
    days = sorted(record.created[:10] for record in records)
    return [
        ("data sets", listed(record.identity["dataset"] for record in records)),
        ("methods", listed(methods)),
        ("presets", listed(record.preset for record in records)),
        ("seeds", listed(record.identity["seed"] for record in records)),
        ("cells", ", ".join(counts) or "none"),
        ("recorded", " to ".join(dict.fromkeys(days[:1] + days[-1:])) or "never"),
    ]


def _banners(records: Sequence[Record]) -> list[str]:
    """What nobody may overlook."""
    smoke = "Smoke preset: these runs prove that everything works. Their scores mean nothing."
    limit = "--limit: some cells saw a part of the images only. Their scores compare with nothing."
    return [
        *([smoke] if any(record.preset == "smoke" for record in records) else []),
        *([limit] if any(record.identity["limit"] is not None for record in records) else []),
    ]

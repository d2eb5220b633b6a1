"""Figures that were drawn before, and the few plots that the report draws, as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from adbench.figures import gallery
from adbench.figures.critical_difference import Ranking, critical_difference_figure, ranking
from adbench.figures.curves import Curve
from adbench.figures.latency import SHOWN, Setting, latency_figure, settings
from adbench.figures.style import drawing, svg
from adbench.naming import device_title
from adbench.report.html.cells import View
from adbench.report.html.charts import PixelCurves
from adbench.report.tables import TITLES
from adbench.store.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMBEDDED = 13_000_000
"""Bytes of pictures in one report, at most: with text and tables it stays under 20 MB."""
SHEET_WIDTH = 1400
_RANKED = ("image_auroc", "aupro@0.3")


@dataclass
class Budget:
    """How much a report may still take in, and what it had to leave out."""

    left: int = EMBEDDED
    notes: list[str] = field(default_factory=list)

    def take(self, size: int) -> bool:
        """Whether `size` more bytes fit; if so they are spent."""
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


def gallery_views(
    records: Sequence[Record], folder: Path, budget: Budget
) -> tuple[list[View], PixelCurves]:
    """What was drawn of these records, and their pixel curves by (data set, category).

    Pictures of records that are superseded or not selected are not shown.
    """
    wanted = {record.keys["score"] for record in records if record.status == "done"}
    views: list[View] = []
    curves = {}
    old: list[str] = []
    full: list[str] = []
    for entry in gallery.read(folder):
        name = f"{entry['dataset']}: {entry['category']}"
        keys: dict[str, str] = entry["drawn_from"]
        shown = [label for label, key in keys.items() if key in wanted]
        if not shown:
            old.append(name)
            continue
        curves[entry["dataset"], entry["category"]] = {
            keys[label]: {kind: Curve.from_json(c) for kind, c in kinds.items()}
            for label, kinds in entry["pixel_curves"].items()
        }
        if view := _view(entry, shown, folder, budget):
            views.append(view)
        else:
            full.append(name)
    if full:
        budget.notes.append(
            f"Left out, as the file would be too large for a mail: pictures of {', '.join(full)}. "
            "They are in figures/ of the results folder."
        )
    if old:
        budget.notes.append(
            f"Left out, as they are of other runs than these: pictures of {', '.join(old)}. "
            "`adbench figures` draws those of the records that kept maps."
        )
    return views, curves


def _view(
    entry: Mapping[str, Any], shown: Sequence[str], folder: Path, budget: Budget
) -> View | None:
    """The pictures of one category; None where there is no room for them."""
    cases = [
        {**case, "maps": [m for m in case["maps"] if m["method"] in shown]}
        for case in entry["cases"]
    ]
    size = sum(
        len(case["image"]) + len(case["mask"]) + sum(len(m["picture"]) for m in case["maps"])
        for case in cases
    )
    if not budget.take(size):
        return None
    name = f"{entry['dataset']}: {entry['category']}"
    files = [(f"Contact sheet, {name}", entry["sheet"])] if entry.get("sheet") else []
    files += [(f"Steps of {s['method']}, {name}", s["file"]) for s in entry.get("steps", ())]
    sheets = (_sheet(title, folder / Path(file).name, budget) for title, file in files)
    rest = [label for label in entry["drawn_from"] if label not in shown]
    return {
        **{name: entry[name] for name in ("dataset", "category", "seed", "chosen_by")},
        "methods": shown,
        "cases": cases,
        "sheets": [sheet for sheet in sheets if sheet is not None],
        "remark": f"The sheet also shows {', '.join(rest)}, not in this report." if rest else "",
    }


def _sheet(title: str, path: Path, budget: Budget) -> View | None:
    """A sheet, smaller than it was drawn; None where the file is gone or there is no room."""
    try:
        with Image.open(path) as picture:
            picture.thumbnail((SHEET_WIDTH, 10_000), Image.Resampling.LANCZOS)
            source = gallery.jpeg(picture, quality=85)
    except OSError:
        budget.notes.append(f"{title}: {path.name} cannot be read and is left out.")
        return None
    if not budget.take(len(source)):
        budget.notes.append(f"{title} is left out for its size: figures/{path.name}.")
        return None
    words = "rows of images with their ground truth and maps, described in the picture"
    return _plot(title, alt=f"{title}: {words}", source=source)


def _plot(title: str, *, alt: str = "", source: str = "", reason: str = "") -> View:
    """A picture with a heading, and `reason` instead where it cannot be drawn."""
    return {"title": title, "alt": alt, "source": source, "reason": reason}


def plots(records: Sequence[Record]) -> list[View]:
    """Accuracy against latency and critical differences, or why there are none."""
    return [*_latency(records), *_ranks(records)]


def _latency(records: Sequence[Record]) -> list[View]:
    reason = (
        "no cell was timed on an otherwise idle machine; adbench run with --overwrite timing "
        "measures again"
    )
    found = [latency_plot(records, setting) for setting in settings(records)]
    return found or [_plot("Accuracy against latency", reason=reason)]


def latency_plot(
    records: Sequence[Record], setting: Setting, metrics: Sequence[str] = SHOWN
) -> View:
    """Of one data set, scope and device; a panel a metric."""
    device = device_title(setting.device)
    what = "accuracy" if len(metrics) > 1 else TITLES[metrics[0]]
    title = f"{what} against latency: {setting.dataset}, {setting.scope}, {device}"
    title = f"{title[0].upper()}{title[1:]}"
    source = _svg_uri(latency_figure, records, setting, metrics)
    reason = "" if source else "no method was timed undisturbed on all of its categories"
    alt = f"{title}. The numbers are those of the timing and comparison tables."
    return _plot(title, alt=alt, source=source, reason=reason)


def _ranks(records: Sequence[Record]) -> list[View]:
    found: list[View] = []
    for scope in sorted({record.identity["scope"] for record in records}):
        own = [record for record in records if record.identity["scope"] == scope]
        outcomes = {metric: ranking(own, metric) for metric in _RANKED}
        reasons = dict.fromkeys(o for o in outcomes.values() if isinstance(o, str))
        found += [_plot(f"Critical differences, {scope}", reason=reason) for reason in reasons]
        for metric, outcome in outcomes.items():
            if isinstance(outcome, Ranking):
                title = f"Critical differences: {TITLES[metric]}, {scope}"
                source = _svg_uri(critical_difference_figure, outcome, metric)
                ranks = zip(outcome.labels, outcome.ranks, strict=True)
                listed = ", ".join(f"{label} {rank:.2f}" for label, rank in ranks)
                words = f"Average ranks: {listed}; critical difference {outcome.difference:.2f}."
                found.append(_plot(title, alt=f"{title}. {words}", source=source))
    return found


def _svg_uri(draw: Callable[..., Figure | None], *arguments: Any) -> str:
    with drawing():
        figure = draw(*arguments)
        if figure is None:
            return ""
        text = base64.b64encode(svg(figure).encode()).decode("ascii")
    return f"data:image/svg+xml;base64,{text}"

"""Figures that were drawn before, and the few plots that the report draws, as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from adbench.figures import gallery
from adbench.figures.critical_difference import Ranking, critical_difference_figure, ranking
from adbench.figures.curves import Curve
from adbench.figures.latency import latency_figure, settings
from adbench.figures.style import drawing, svg
from adbench.report.tables import TITLES
from adbench.store.records import Record

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
        if size > self.left:
            return False
        self.left -= size
        return True


@dataclass(frozen=True)
class Plot:
    """A picture with a heading, and `reason` instead where it cannot be drawn."""

    title: str
    alt: str
    source: str = ""
    reason: str = ""


@dataclass(frozen=True)
class GalleryView:
    """The pictures of one category."""

    dataset: str
    category: str
    seed: int
    chosen_by: str
    methods: tuple[str, ...]
    cases: tuple[Mapping[str, Any], ...]
    sheets: tuple[Plot, ...]
    remark: str


def gallery_views(
    records: Sequence[Record], folder: Path, budget: Budget
) -> tuple[list[GalleryView], dict[tuple[str, str], dict[str, dict[str, Curve]]]]:
    """What was drawn of these records, and their pixel curves by (data set, category).

    Pictures of records that are superseded or not selected are not shown.
    """
    wanted = {record.keys["score"] for record in records if record.status == "done"}
    views: list[GalleryView] = []
    curves: dict[tuple[str, str], dict[str, dict[str, Curve]]] = {}
    old: list[str] = []
    full: list[str] = []
    for entry in gallery.read(folder):
        name = f"{entry['dataset']}: {entry['category']}"
        keys: dict[str, str] = entry["drawn_from"]
        if not wanted & set(keys.values()):
            old.append(name)
            continue
        shown = [label for label, key in keys.items() if key in wanted]
        curves[entry["dataset"], entry["category"]] = {
            keys[label]: {kind: Curve.from_json(c) for kind, c in kinds.items()}
            for label, kinds in entry["pixel_curves"].items()
        }
        view = _view(entry, shown, folder, budget)
        if view is None:
            full.append(name)
        else:
            views.append(view)
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
) -> GalleryView | None:
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
    sheets = [_sheet(title, folder / Path(file).name, budget) for title, file in files]
    rest = [label for label in entry["drawn_from"] if label not in shown]
    remark = f"The sheet also shows {', '.join(rest)}, not in this report." if rest else ""
    return GalleryView(
        entry["dataset"],
        entry["category"],
        entry["seed"],
        entry["chosen_by"],
        tuple(shown),
        tuple(cases),
        tuple(sheet for sheet in sheets if sheet is not None),
        remark,
    )


def _sheet(title: str, path: Path, budget: Budget) -> Plot | None:
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
    alt = f"{title}: rows of images with their ground truth and maps, described in the picture"
    return Plot(title, alt, source)


def plots(records: Sequence[Record]) -> list[Plot]:
    """Accuracy against latency and critical differences, or why there are none."""
    return [*_latency(records), *_ranks(records)]


def _latency(records: Sequence[Record]) -> list[Plot]:
    found = []
    for setting in settings(records):
        title = f"Accuracy against latency: {setting.dataset}, {setting.scope}, {setting.device}"
        with drawing():
            figure = latency_figure(records, setting)
            source = _svg_uri(svg(figure)) if figure is not None else ""
        reason = "" if source else "no method was timed undisturbed on all of its categories"
        alt = f"{title}. The numbers are those of the timing and comparison tables."
        found.append(Plot(title, alt, source, reason))
    if not found:
        reason = (
            "no cell was timed on an otherwise idle machine; adbench run with --overwrite timing "
            "measures again"
        )
        found.append(Plot("Accuracy against latency", "", reason=reason))
    return found


def _ranks(records: Sequence[Record]) -> list[Plot]:
    found: list[Plot] = []
    for scope in sorted({record.identity["scope"] for record in records}):
        own = [record for record in records if record.identity["scope"] == scope]
        outcomes = {metric: ranking(own, metric) for metric in _RANKED}
        reasons = dict.fromkeys(o for o in outcomes.values() if isinstance(o, str))
        found += [Plot(f"Critical differences, {scope}", "", reason=reason) for reason in reasons]
        for metric, outcome in outcomes.items():
            if isinstance(outcome, Ranking):
                title = f"Critical differences: {TITLES[metric]}, {scope}"
                with drawing():
                    source = _svg_uri(svg(critical_difference_figure(outcome, metric)))
                found.append(Plot(title, f"{title}. {_in_words(outcome)}", source))
    return found


def _in_words(found: Ranking) -> str:
    ranks = zip(found.labels, found.ranks, strict=True)
    listed = ", ".join(f"{label} {rank:.2f}" for label, rank in ranks)
    return f"Average ranks: {listed}; critical difference {found.difference:.2f}."


def _svg_uri(text: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode('ascii')}"

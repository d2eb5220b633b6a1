"""What tables need said below them beyond single records: means over different categories, and
where published numbers come from and why they are, or are not, compared with ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from adbench.errors import AdbenchError
from adbench.registry import load_dataset
from adbench.report.beside import Beside, shown
from adbench.report.footnotes import newest_of
from adbench.report.protocol_differences import size_text
from adbench.report.ranking import category_sets
from adbench.report.tables import GROUP
from adbench.report.text_table import run_name
from adbench.store.records import Record


def category_notes(records: Sequence[Record], summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Categories of a data set that no record has, and methods whose means differ in them."""
    notes = []
    for dataset, scope in dict.fromkeys((s["dataset"], s["scope"]) for s in summaries):
        own = [s for s in summaries if (s["dataset"], s["scope"]) == (dataset, scope)]
        sets = category_sets(own)
        if len(set(sets.values())) > 1:
            listed = "; ".join(
                f"{run_name(dict(zip(GROUP, group, strict=True)))}: {', '.join(sorted(over))}"
                for group, over in sets.items()
            )
            notes.append(
                f"{dataset}, {scope}: means over different categories are not ranked together "
                f"({listed})."
            )
        if _says_what_is_missing(newest_of(dataset, records)):
            continue
        absent = _absent(dataset, frozenset().union(*sets.values()))
        if absent:
            notes.append(f"{dataset}, {scope}: excluded, and in no mean: {', '.join(absent)}.")
    return notes


def _says_what_is_missing(record: Record) -> bool:
    """Whether a footnote tells of a partial copy of the data already."""
    return any(finding["check"] == "categories" for finding in record.data.get("findings", []))


def _absent(dataset: str, there: frozenset[str]) -> list[str]:
    try:
        card = load_dataset(dataset).card
    except AdbenchError:  # a user's own file, which a record does not name
        return []
    return [category for category in card.categories if category not in there]


def published_notes(found: Sequence[Beside], metrics: Sequence[str]) -> list[str]:
    """Source and protocol of each reported column in a table with these metrics, what sets ours
    apart, and which reported variants are left out."""
    visible = shown(found, metrics)
    papers = dict.fromkeys(b.mark for b in visible)
    notes = [_source(mark, [b for b in visible if b.mark == mark]) for mark in papers]
    notes += list(dict.fromkeys(_against(b) for b in visible if b.run is not None))
    if any(b.run is not None and not b.differences for b in visible):
        notes.append(
            "Ours − reported is in percentage points, in the paper's digits; in: the 95 % interval "
            "of ours holds the reported number, give or take its rounding; out: it does not. "
            "Intervals: image metrics by resampling test images, others over seeds."
        )
    left_out = Counter(b.column.name.split(" ")[0] for b in found if b not in visible)
    if left_out:
        each = ", ".join(f"{name} {count}" for name, count in left_out.items())
        notes.append(
            f"Reported variants that we have no run of, or that have none of these metrics, are "
            f"left out ({each}); --format csv and --json have them."
        )
    return notes


def _source(mark: str, group: Sequence[Beside]) -> str:
    tables: dict[str, list[str]] = {}
    for source in dict.fromkeys(s for b in group for s in b.column.sources):
        paper, _, table = source.rpartition(", ")
        tables.setdefault(paper, []).append(table)
    named = "; ".join(f"{paper}, {', '.join(own)}" for paper, own in tables.items())
    first = group[0].column
    backbones = [f"{b.column.name} {b.column.backbone}" for b in group if b.column.backbone]
    backbone = ", ".join(dict.fromkeys(backbones)) or "none stated"
    rule = first.mask_rule or "not stated"
    return (
        f"[{mark}] as reported, not run here: {named}; {first.scope}, images resized to "
        f"{size_text(first.image_size, first.crop)}, masks {rule}, backbones: {backbone}."
    )


def _against(item: Beside) -> str:
    assert item.run is not None
    where = f"{item.column.dataset}: {item.column.name} [{item.mark}]"
    ours = item.run.name
    if not item.differences:
        return (
            f"{where} and {ours} agree in data-set version, trained categories, scope, image size, "
            "backbone and hyper-parameters; whether the files are the same is unknown."
        )
    apart = "; ".join(f"{d.what}: ours {d.ours}, theirs {d.reported}" for d in item.differences)
    return f"{where} is not compared with {ours}. {apart[0].upper()}{apart[1:]}."

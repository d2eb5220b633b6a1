"""The comparison and timing tables as plain cells of text, ready for any output format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adbench.footnotes import footnotes, protocol_marks, protocol_notes
from adbench.records import Record
from adbench.tables import MEAN, TITLES, rows, summarise_seeds

SHOWN = ("image_auroc", "image_aupr", "pixel_auroc", "pixel_aupr", "aupro@0.3", "aupro@0.05")


@dataclass(frozen=True)
class Table:
    """Text cells; `best` holds (row, column) pairs to emphasise, `breaks` rows that end a group."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = field(default=frozenset())
    breaks: frozenset[int] = field(default=frozenset())
    text_columns: int = 2


def comparison(records: Sequence[Record]) -> list[Table]:
    """One table per data set and scope (unified and separate are never ranked together)."""
    summaries = summarise_seeds(rows(records))
    marks = protocol_marks(records)
    blocks = dict.fromkeys((s["dataset"], s["scope"]) for s in summaries)
    return [
        _block(f"{dataset}, {scope}", _of(summaries, dataset, scope), marks)
        for dataset, scope in blocks
    ]


def timing_table(records: Sequence[Record]) -> Table | None:
    """Fit and inference cost per method and data set; only what was measured undisturbed."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        inference = record.timing.get("inference") or {}
        if record.status == "done" and inference.get("valid"):
            key = (record.identity["dataset"], _name(record.identity["method"], record.variant,
                   record.preset), inference["device_name"])  # fmt: skip
            groups.setdefault(key, []).append(record)
    if not groups:
        return None
    head = (
        "data set", "method", "device", "cells", "fit, s", "ms/image", "p95", "images/s",
        "peak RSS, GB", "device mem., GB", "parameters, M", "GFLOP/image",
    )  # fmt: skip
    lines = tuple(_timing_row(key, group) for key, group in groups.items())
    return Table("Timing (batch 1: ms/image and p95; the method's batch: images/s)", head, lines,
                 text_columns=3)  # fmt: skip


def notes(records: Sequence[Record]) -> list[str]:
    """Protocols and footnotes below the tables."""
    return [*protocol_notes(records), *footnotes(records)]


def _of(
    summaries: Sequence[dict[str, Any]], dataset: str, scope: str
) -> list[dict[str, Any]]:
    return [s for s in summaries if (s["dataset"], s["scope"]) == (dataset, scope)]


def _block(title: str, summaries: list[dict[str, Any]], marks: Mapping[str, str]) -> Table:
    categories = list(dict.fromkeys(s["category"] for s in summaries if s["category"] != MEAN))
    seeds = sorted({seed for s in summaries for seed in s["seeds"]})
    lines: list[tuple[str, ...]] = []
    best: set[tuple[int, int]] = set()
    breaks: set[int] = set()
    order = categories if len(categories) == 1 else [*categories, MEAN]
    for category in order:
        group = [s for s in summaries if s["category"] == category]
        best |= _best(group, len(lines))
        lines += [_line(s, marks, len(seeds)) for s in group]
        breaks.add(len(lines) - 1)
    unit = f"%, {_seeds(seeds)}"
    head = ("category", "method", *(TITLES[name] for name in SHOWN))
    return Table(f"{title} ({unit})", head, tuple(lines), frozenset(best), frozenset(breaks))


def _seeds(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    listed = ", ".join(map(str, seeds))
    return f"mean ± standard deviation over n={len(seeds)} seeds: {listed}"


def _line(summary: dict[str, Any], marks: Mapping[str, str], num_seeds: int) -> tuple[str, ...]:
    name = _name(summary["method"], summary["variant"], summary["preset"])
    mark = marks.get(summary["protocol"] or "", "")
    category = summary["category"]
    if category == MEAN:
        of = summary["categories"]
        # A mean over fewer than all, for a failed or undefined category, must not look like one.
        left_out = summary["undefined"]
        category = f"mean of {of - left_out} of {of}" if left_out else f"mean of {of}"
    values = (_percent(summary[metric], summary["status"], num_seeds) for metric in SHOWN)
    return (category, f"{name} ({mark})" if mark else name, *values)


def _name(method: str, variant: str, preset: str) -> str:
    return f"{method}[{variant}] {preset}" if variant else f"{method} {preset}"


def _percent(value: dict[str, Any] | None, status: str, num_seeds: int) -> str:
    if value is None:
        return "–" if status == "done" else status
    text = f"{100 * value['mean']:.2f}"
    if value["std"] is not None:
        text += f" ± {100 * value['std']:.2f}"
    return text if value["n"] == num_seeds else f"{text} (n={value['n']})"


def _best(group: list[dict[str, Any]], offset: int) -> set[tuple[int, int]]:
    """The highest value per metric, among rows of one protocol when there are several."""
    best: set[tuple[int, int]] = set()
    for protocol in {s["protocol"] for s in group}:
        own = [(i, s) for i, s in enumerate(group) if s["protocol"] == protocol]
        if len(own) < 2 or any(s["preset"] == "smoke" for _, s in own):
            continue
        for column, metric in enumerate(SHOWN, start=2):
            # Compared as printed: two equal texts, of which one is bold, would mislead.
            complete = [(i, s) for i, s in own if s[metric] is not None and s["status"] == "done"]
            values = {i: round(s[metric]["mean"], 4) for i, s in complete}
            top = max(values.values(), default=math.nan)
            best |= {(offset + i, column) for i, v in values.items() if v == top}
    return best


def _timing_row(key: tuple[str, ...], group: Sequence[Record]) -> tuple[str, ...]:
    fit = [r.timing["fit"] for r in group]
    seconds = [f["seconds"] for f in fit if f.get("valid")]
    inference = [r.timing["inference"] for r in group]
    device = [i["peak_device_bytes"] for i in inference if i["peak_device_bytes"] is not None]
    return (
        key[0],
        key[1],
        key[2],
        str(len(group)),
        f"{_middle(seconds):.1f}" if seconds else "–",
        f"{1e3 * _middle([i['seconds_per_image']['median'] for i in inference]):.1f}",
        f"{1e3 * _middle([i['seconds_per_image']['p95'] for i in inference]):.1f}",
        f"{_middle([i['images_per_second'] for i in inference]):.2f}",
        f"{max(i['peak_rss_bytes'] for i in inference) / 1e9:.2f}",
        f"{max(device) / 1e9:.2f}" if device else "–",
        f"{_middle([i['parameters'] for i in inference]) / 1e6:.2f}",
        f"{_middle([i['flops_per_image'] for i in inference]) / 1e9:.2f}",
    )


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2

"""The comparison and timing tables as plain cells of text, ready for any output format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from adbench.metrics.table import shown as shown_by_default
from adbench.report.beside import Beside, beside, shown
from adbench.report.footnotes import footnotes, protocol_notes
from adbench.report.marks import Marks
from adbench.report.ranking import best_and_second, category_sets
from adbench.report.reported import Reported, times
from adbench.report.table_notes import category_notes, published_notes
from adbench.report.tables import MEAN, TITLES, rows, summarise_seeds
from adbench.report.text_table import EMPHASIS, Place, mean_label, percent, run_name, seeds_text
from adbench.report.text_table import Table as Table
from adbench.store.records import Record
from adbench.text import printable

SHOWN = shown_by_default()


def comparison(records: Sequence[Record], numbers: Sequence[Reported] = ()) -> list[Table]:
    """One table per data set and scope (unified and separate are never ranked together).

    `numbers` are published ones: rows of their own below ours, in the table of their scope.
    """
    summaries = summarise_seeds(rows(records))
    marks = Marks(records)
    reported = shown(beside(records, summaries, numbers), SHOWN)
    tables = []
    for dataset, scope in blocks(summaries, reported):
        own = [s for s in summaries if (s["dataset"], s["scope"]) == (dataset, scope)]
        theirs = [b for b in reported if (b.column.dataset, b.column.scope) == (dataset, scope)]
        rest = [s for s in summaries if s["dataset"] == dataset]
        categories = categories_of(own) or categories_of(rest)
        tables.append(_block(f"{dataset}, {scope}", own, theirs, marks, categories))
    return [table for table in tables if table.rows]


def blocks(
    summaries: Sequence[Mapping[str, Any]], reported: Sequence[Beside]
) -> list[tuple[str, str]]:
    """Data set and scope of each table, those of one data set together, ours first."""
    keys = [(s["dataset"], s["scope"]) for s in summaries]
    keys += [(b.column.dataset, b.column.scope) for b in reported]
    datasets = list(dict.fromkeys(dataset for dataset, _ in keys))
    return sorted(dict.fromkeys(keys), key=lambda key: datasets.index(key[0]))


def categories_of(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The categories of summaries, in order of appearance."""
    return list(dict.fromkeys(s["category"] for s in summaries if s["category"] != MEAN))


def timing_table(records: Sequence[Record], numbers: Sequence[Reported] = ()) -> Table | None:
    """Fit and inference cost per method and data set; only what was measured undisturbed.

    Of published times, those of papers that time a method of ours.
    """
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        inference = record.timing.get("inference") or {}
        if record.status == "done" and inference.get("valid"):
            summary = {**record.identity, "variant": record.variant, "preset": record.preset}
            key = (record.identity["dataset"], run_name(summary), inference["device_name"])
            groups.setdefault(key, []).append(record)
    if not groups:
        return None
    head = (
        "data set", "method", "device", "cells", "fit, s", "ms/image", "p95", "images/s",
        "peak RSS, GB", "device mem., GB", "parameters, M", "GFLOP/image",
    )  # fmt: skip
    lines = [_timing_row(key, group) for key, group in groups.items()]
    ours = {record.identity["method"] for record in records}
    reported = [
        (n.dataset, f"{n.name}, reported", n.device, "–", "–", f"{1000 * n.value:.1f}", *["–"] * 6)
        for n in times(numbers)
        if ours & {other.method for other in times(numbers) if other.paper == n.paper}
    ]
    return Table(
        "Timing (batch 1: ms/image and p95; the method's batch: images/s)",
        head,
        tuple([*lines, *reported]),
        breaks=frozenset([len(lines) - 1] if reported else []),
        text_columns=3,
        reported_rows=frozenset(range(len(lines), len(lines) + len(reported))),
        key="timing",
    )


def notes(
    records: Sequence[Record],
    numbers: Sequence[Reported] = (),
    metrics: Sequence[str] = SHOWN,
) -> list[str]:
    """Protocols and footnotes below tables with these metrics."""
    found = [
        *protocol_notes(records),
        *(notes_on_published(records, numbers, metrics) if numbers else []),
        *category_notes(records, summarise_seeds(rows(records))),
        *footnotes(records),
    ]
    return [printable(note) for note in found]


def notes_on_published(
    records: Sequence[Record], numbers: Sequence[Reported], metrics: Sequence[str]
) -> list[str]:
    """Where the reported numbers of a table come from, and what sets ours apart."""
    found = beside(records, summarise_seeds(rows(records)), numbers)
    return published_notes(found, metrics)


def _block(
    title: str,
    summaries: list[dict[str, Any]],
    reported: Sequence[Beside],
    marks: Marks,
    categories: Sequence[str],
) -> Table:
    seeds = sorted({seed for s in summaries for seed in s["seeds"]})
    averaged = category_sets(summaries)
    lines: list[tuple[str, ...]] = []
    best: set[Place] = set()
    second: set[Place] = set()
    breaks: set[int] = set()
    quiet: set[int] = set()
    has_mean = len(categories) > 1 or reported
    for category in [*categories, MEAN] if has_mean else categories:
        group = [s for s in summaries if s["category"] == category]
        if category == MEAN and len(categories) == 1:
            group = []  # the mean of one category is that category again
        for column, metric in enumerate(SHOWN, start=2):
            places = {(len(lines) + i, column): s for i, s in enumerate(group)}
            first, runner_up = best_and_second(places, metric, averaged)
            best |= first
            second |= runner_up
        lines += [_line(s, marks, len(seeds)) for s in group]
        own = _reported_lines(reported, category)
        quiet |= set(range(len(lines), len(lines) + len(own)))
        lines += own
        breaks.add(len(lines) - 1)
    title_line = f"{title} (%, {seeds_text(seeds) if seeds else 'as reported'})"
    return Table(
        title_line,
        ("category", "method", *(TITLES[name] for name in SHOWN)),
        tuple(lines),
        frozenset(best),
        frozenset(second),
        frozenset(breaks - {-1}),
        reported_rows=frozenset(quiet),
        caption=f"{title_line}. {EMPHASIS}" if best else "",
        key=title.replace(", ", "-"),
    )


def _line(summary: dict[str, Any], marks: Marks, num_seeds: int) -> tuple[str, ...]:
    mark = marks.of(summary)
    category = summary["category"]
    if category == MEAN:
        category = mean_label(summary)
    values = (percent(summary[metric], summary["status"], num_seeds) for metric in SHOWN)
    name = run_name(summary)
    return (category, f"{name} ({mark})" if mark else name, *values)


def _reported_lines(reported: Sequence[Beside], category: str) -> list[tuple[str, ...]]:
    """A row for each column with a number of this category, and one for how ours differ from it."""
    lines = []
    for item in reported:
        if not any(item.number(category, metric) for metric in SHOWN):
            continue
        label = f"mean of {len(item.column.categories)}" if category == MEAN else category
        numbers = [item.number(category, metric) for metric in SHOWN]
        name = f"{item.head[0]}, {' '.join(item.head[1:])}"
        lines.append((label, name, *(n.text if n else "–" for n in numbers)))
        if item.run is not None and not item.differences:
            apart = [item.difference_text(category, metric) for metric in SHOWN]
            lines.append((label, f"{item.run.name} − reported", *apart))
    return lines


def _timing_row(key: tuple[str, ...], group: Sequence[Record]) -> tuple[str, ...]:
    fit = [r.timing["fit"] for r in group]
    seconds = [f["seconds"] for f in fit if f.get("valid")]
    inference = [r.timing["inference"] for r in group]
    device = [i["peak_device_bytes"] for i in inference if i["peak_device_bytes"] is not None]
    return (
        *key,
        str(len(group)),
        f"{median(seconds):.1f}" if seconds else "–",
        f"{1e3 * median([i['seconds_per_image']['median'] for i in inference]):.1f}",
        f"{1e3 * median([i['seconds_per_image']['p95'] for i in inference]):.1f}",
        f"{median([i['images_per_second'] for i in inference]):.2f}",
        f"{max(i['peak_rss_bytes'] for i in inference) / 1e9:.2f}",
        f"{max(device) / 1e9:.2f}" if device else "–",
        f"{median([i['parameters'] for i in inference]) / 1e6:.2f}",
        f"{median([i['flops_per_image'] for i in inference]) / 1e9:.2f}",
    )

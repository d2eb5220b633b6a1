"""The tables below the comparison: what the parts of methods score alone, what methods cost, and
what their networks learned."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from adbench.naming import device_title, run_of
from adbench.report import skill
from adbench.report.blocks import Numbers
from adbench.report.reported import SECONDS
from adbench.report.tables import MEAN, TITLES, group_of, grouped, part_rows, rows, summarise_seeds
from adbench.report.text_table import (
    Row,
    Table,
    Value,
    averaged,
    columns_of,
    marked,
    percent,
    preset_text,
    row_of,
    run_name,
    seeds_text,
)
from adbench.store.records import Record

WHOLE = "whole"
"""The method itself, beside its parts."""
COSTS = (
    "cells", "fit, s", "ms/image", "p95", "images/s", "peak RSS, GB", "device mem., GB",
    "parameters, M", "GFLOP/image",
)  # fmt: skip
DEVICE = 2
"""The place of its column in the timing table."""
SKILL = "Skill"
SKILL_WORDS = (
    "skill: 1 − the network's error on held-out normals / that of the best cheap predictor, ± its "
    "standard error"
)
"""What a title says of the column."""


def parts_tables(numbers: Numbers, metrics: Sequence[str]) -> list[Table]:
    """One table per data set and scope in which a method has parts, never ranked.

    A row a category, method and part; the last of a method is the method itself.
    """
    having = [record for record in numbers.records if record.parts]
    parts = grouped(part_rows(numbers.records), lambda row: str(row["part"]))
    whole = {WHOLE: rows(having, numbers.marks.versions)} if having else {}
    found = [
        {**summary, "part": name}
        for name, table in [*parts.items(), *whole.items()]
        for summary in summarise_seeds(table)
    ]
    places = grouped(found, lambda s: (str(s["dataset"]), str(s["scope"])))
    return [_parts(place, own, metrics, numbers) for place, own in places.items()]


def _parts(
    place: tuple[str, str],
    found: Sequence[dict[str, Any]],
    metrics: Sequence[str],
    numbers: Numbers,
) -> Table:
    seeds = sorted({seed for summary in found for seed in summary["seeds"]})
    presets = list(dict.fromkeys(str(summary["preset"]) for summary in found))
    categories = list(dict.fromkeys(s["category"] for s in found if s["category"] != MEAN))
    lines = []
    for category in [*categories, MEAN] if len(categories) > 1 else categories:
        own = grouped((s for s in found if s["category"] == category), group_of)
        ordered = [(group, s) for group in own.values() for s in group]
        for number, (group, s) in enumerate(ordered, 1):
            label = f"mean of {averaged(s)}" if category == MEAN else category
            called = numbers.names.of(s, preset=len(presets) > 1)
            name = Value(marked(called, numbers.marks.of(group[0])), selector=run_name(s))
            values = (percent(s[metric], s["status"], len(seeds)) for metric in metrics)
            texts = (Value(label), name, Value(s["part"]), *map(Value, values))
            lines.append(Row(tuple((v,) for v in texts), ends=number == len(ordered)))
    where = ", ".join([*place, preset_text(presets)] if len(presets) == 1 else place)
    unit = f"%, {seeds_text(seeds)}"
    return Table(
        f"Parts of methods alone: {where} ({unit})",
        columns_of(("category", "method", "part"), (TITLES[name] for name in metrics)),
        tuple(lines),
        caption=f"What parts of methods score alone: {where}, in {unit.replace('%', 'percent')}.",
        key=f"parts-{'-'.join(place)}",
    )


def timing_table(numbers: Numbers) -> Table | None:
    """Fit and inference cost per method and data set; only what was measured undisturbed. Runs
    and devices are called as in records (`costs_table` is what readers see).

    Of published times, those of papers that time a method of ours. Where the skill of any is known,
    there is a column of it, and a row of each, timed or not.
    """
    done = [record for record in numbers.records if record.status == "done"]
    with_skill = any(record.skill.get("value") is not None for record in done)
    groups = grouped(
        (r for r in done if with_skill or _inference(r).get("valid")),
        lambda r: (r.identity["dataset"], f"{r.method} {r.preset}", _device(r)),
    )
    if not groups:
        return None
    costs = {
        key: _costs([r for r in group if _inference(r).get("valid")])
        | ({SKILL: skill.text(_skill(group))} if with_skill else {})
        for key, group in groups.items()
    }
    heads = next(iter(costs.values()))
    ours = {record.identity["method"] for record in numbers.records}
    published = [number for number in numbers.published if number.metric == SECONDS]
    papers = {number.paper for number in published if number.method in ours}
    theirs = [
        (n.dataset, f"{n.name}, reported", n.device,
         *({"ms/image": f"{1000 * n.value:.1f}"}.get(head, "–") for head in heads))
        for n in published
        if n.paper in papers
    ]  # fmt: skip
    lines = [
        row_of((*key, *own.values()), ends=bool(theirs) and number == len(costs))
        for number, (key, own) in enumerate(costs.items(), 1)
    ]
    return Table(
        "Timing (batch 1: ms/image and p95; the method's batch: images/s)"
        + (f"; {SKILL_WORDS}" if with_skill else ""),
        columns_of(("data set", "method", "device"), heads),
        (*lines, *(row_of(line, reported=True) for line in theirs)),
        key="timing",
    )


def costs_table(numbers: Numbers, timing: Table | None) -> Table | None:
    """The timing table as readers see it: what all rows share, preset and device, is said once, and
    what no row has is no column."""
    if timing is None:
        return None
    runs = {run_name(run_of(record)): record for record in numbers.records}
    names, columns = numbers.names, list(zip(*(row.texts for row in timing.rows), strict=True))
    is_one = len(set(columns[DEVICE])) == 1
    left_out = {index for index, own in enumerate(columns) if set(own) == {"–"}}
    left_out |= {DEVICE} if is_one else set()
    counts = {row.texts[DEVICE + 1] for row in timing.rows if not row.reported}
    left_out |= {DEVICE + 1} if counts == {"1"} else set()  # medians of one

    def shown(row: Row) -> Row:
        name, device = row.texts[1:3]
        record = runs.get(name)
        called = name if record is None else names.of_record(record)
        cells = list(row.cells)
        cells[1] = (Value(called, selector="" if record is None else name),)
        cells[DEVICE] = (Value(device_title(device), selector=device),)
        return replace(row, cells=_without(left_out, cells))

    told = [preset_text(names.presets)] if len(names.presets) == 1 else []
    told += [device_title(timing.rows[0].texts[DEVICE])] if is_one else []
    shared = f", {', '.join(told)}" if told else ""
    has_skill = any(column.head == SKILL for column in timing.columns)
    return replace(
        timing,
        title=f"{timing.title}{shared}",
        columns=_without(left_out, timing.columns),
        rows=tuple(map(shown, timing.rows)),
        caption=f"Cost of training and inference{shared}: medians, ms/image and its 95th "
        f"percentile at batch 1, images/s at the method's own."
        + (f" {SKILL_WORDS[0].upper()}{SKILL_WORDS[1:]}." if has_skill else ""),
    )


def _without(left_out: Collection[int], items: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(item for index, item in enumerate(items) if index not in left_out)


def _inference(record: Record) -> dict[str, Any]:
    return record.timing.get("inference") or {}


def _device(record: Record) -> str:
    """What it was timed on, or else trained."""
    fit = record.timing.get("fit") or {}
    return str(_inference(record).get("device_name") or fit.get("device_name") or "–")


def _skill(group: Sequence[Record]) -> skill.Parts:
    return skill.over_cells({str(number): record.skill for number, record in enumerate(group)})


def _costs(group: Sequence[Record]) -> dict[str, str]:
    """By the heads of their columns, of cells that were timed."""
    if not group:
        return dict.fromkeys(COSTS, "–")
    fit = [r.timing["fit"]["seconds"] for r in group if r.timing["fit"].get("valid")]
    inference = [r.timing["inference"] for r in group]
    device = [i["peak_device_bytes"] for i in inference if i["peak_device_bytes"] is not None]
    latency = [i["seconds_per_image"] for i in inference]
    texts = (
        str(len(group)),
        f"{median(fit):.1f}" if fit else "–",
        f"{1e3 * median([seconds['median'] for seconds in latency]):.1f}",
        f"{1e3 * median([seconds['p95'] for seconds in latency]):.1f}",
        f"{median([i['images_per_second'] for i in inference]):.2f}",
        f"{max(i['peak_rss_bytes'] for i in inference) / 1e9:.2f}",
        f"{max(device) / 1e9:.2f}" if device else "–",
        f"{median([i['parameters'] for i in inference]) / 1e6:.2f}",
        f"{median([i['flops_per_image'] for i in inference]) / 1e9:.2f}",
    )
    return dict(zip(COSTS, texts, strict=True))

"""What single records tell a reader: presets, failures, training, ground truth, data, timing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adbench.data.findings import EMPTY_MASK, LOOKS_NORMAL
from adbench.naming import Names
from adbench.report import skill
from adbench.report.origin_notes import origin_notes
from adbench.report.tables import grouped
from adbench.store.records import Record
from adbench.text import counted

DIVERGED = 2.0
"""Last over first loss, means over some steps each, beyond which it is no noise."""


def footnotes(records: Sequence[Record]) -> list[str]:
    """One sentence each, most important first, without repetition; runs are called as in tables,
    but for what failed, which somebody has to run again."""
    sources = (
        _presets, _chosen, _failures, origin_notes, _training, _unlearned, _divided,
        _ground_truth, _data, _undefined, cost_notes,
    )  # fmt: skip
    names = Names(records)
    return list(dict.fromkeys(note for source in sources for note in source(records, names)))


def _presets(records: Sequence[Record], _: Names) -> Iterable[str]:
    if any(r.preset == "smoke" for r in records):
        yield "SMOKE preset: it proves that everything runs; its scores mean nothing."
    for n in sorted({r.identity["limit"] for r in records} - {None}):
        yield f"--limit {n}: a part of the images only; comparable with nothing."


def _chosen(records: Sequence[Record], names: Names) -> Iterable[str]:
    for record in records:
        if chosen := record.protocol.get("selected", ()):
            own = record.identity["hyperparameters"]
            values = ", ".join(f"{name}={own[name]}" for name in chosen)
            run = names.of_record(record)
            yield f"{run} on {record.place}: {values}, chosen without test data."


def _failures(records: Sequence[Record], _: Names) -> Iterable[str]:
    for record in records:
        where = f"{record.method} on {record.place}, seed {record.identity['seed']}"
        if record.failure is not None:
            yield f"Failed: {where}: {record.failure.message}"
        elif record.status == "skipped":
            yield f"Skipped: {where}: {record.reason}"


def _training(records: Sequence[Record], names: Names) -> Iterable[str]:
    for record in records:
        what = f"{names.of_record(record)} on {record.place}: training"
        for first, last in _losses(record.diagnostics):
            if not last <= DIVERGED * first:
                yield (
                    f"{what} ended at a loss of {last:.4g}, after {first:.4g} in its first steps: "
                    "it diverged, and the scores are those of a failed training."
                )
            elif last >= first and record.preset != "smoke":  # a few steps, all noise
                yield f"{what} did not lower its loss ({first:.4g} to {last:.4g})."


def _losses(diagnostics: Any) -> Iterator[tuple[float, float]]:
    """Losses at the two ends of each training that `diagnostics` tells of, at whatever depth."""
    if isinstance(diagnostics, dict):
        if {"loss_first", "loss_last"} <= diagnostics.keys():
            yield float(diagnostics["loss_first"]), float(diagnostics["loss_last"])
        for value in diagnostics.values():
            yield from _losses(value)


def _unlearned(records: Sequence[Record], names: Names) -> Iterable[str]:
    without = (record for record in records if skill.learned_nothing(record.skill))
    for run, own in grouped(without, lambda r: _run(r, names)).items():
        each = "; ".join(f"{_cell(r)}: {skill.text(r.skill)}" for r in own)
        yield (
            f"{run}: the network learned nothing measurable beyond the best cheap predictor (skill "
            f"below one standard error: {each}); its scores may be the work of something else."
        )


def _run(record: Record, names: Names) -> str:
    return f"{names.of_record(record)} on {record.identity['dataset']}"


def _cell(record: Record) -> str:
    return f"{record.place.partition(':')[2]}, seed {record.identity['seed']}"


def _divided(records: Sequence[Record], _: Names) -> Iterable[str]:
    """Other random numbers than those of a whole batch: a reader who repeats a run must know."""
    fits = (record.timing.get("fit") or {} for record in records)
    ways = {tuple(map(tuple, fit.get("divisions", ()))) for fit in fits}
    for way in sorted(way for way in ways if any(parts > 1 for _, parts in way)):
        words = ", later ".join(
            (f"in {parts} parts" if parts > 1 else "whole")
            + (f" on {devices} devices" if devices > 1 else "")
            for devices, parts in way
        )
        yield (
            f"Some training batches went through the network {words}: the same batch size, other "
            "random numbers, and batch normalisation, where a network has it, over a part."
        )


def _ground_truth(records: Sequence[Record], _: Names) -> Iterable[str]:
    """Regions lost in the resize, one note a data set and resize; and masks without a pixel."""
    truths = [
        (record, category, truth)
        for record in records
        if record.status == "done"
        for category, truth in record.data.get("ground_truth", {}).items()
    ]
    changed = (t for t in truths if t[2]["regions"] != t[2]["regions_after_resize"])
    for (dataset, resize), own in grouped(changed, lambda t: _resize(t[0])).items():
        yield _lost(dataset, resize, {category: truth for _, category, truth in own})
    for record, category, truth in truths:
        empty, findings = truth["empty_masks"], record.data.get("findings", [])
        told = {f["check"] for f in findings if f.get("category") == category}
        # The findings of the data speak of it, but for those of older records.
        if empty and not told & {EMPTY_MASK, LOOKS_NORMAL}:
            yield (
                f"{record.identity['dataset']}:{category}: a mask that marks nothing in "
                f"{counted(len(empty), 'defect image')} (first: {empty[0]}): anomalous images "
                "without anomalous pixels."
            )


def _resize(record: Record) -> tuple[str, str]:
    rule, size = (record.protocol[name] for name in ("mask_rule", "evaluation_size"))
    return record.identity["dataset"], f"the {rule} resize to {size}"


def _lost(dataset: str, resize: str, truths: dict[str, dict[str, Any]]) -> str:
    lost = sum(len(truth["masks_lost_in_resize"]) for truth in truths.values())
    images = f" ({counted(lost, 'image')} lost every region)" if lost else ""
    counts = [(c, t["regions"], t["regions_after_resize"]) for c, t in truths.items()]
    if len(counts) == 1:
        category, before, after = counts[0]
        return (
            f"{dataset}:{category}: {before} anomalous regions at native size, {after} after "
            f"{resize}{images}."
        )
    each = ", ".join(f"{category} {before} and {after}" for category, before, after in counts)
    return f"{dataset}: anomalous regions at native size and after {resize}: {each}{images}."


def _data(records: Sequence[Record], _: Names) -> Iterable[str]:
    """What was odd about the data; of a whole data set, as its newest record found it."""
    datasets = {record.identity["dataset"] for record in records}
    last = {name: newest_of(name, records) for name in datasets}
    for record in records:
        name = record.identity["dataset"]
        newest = record is last[name]
        for finding in record.data.get("findings", []):
            category = finding.get("category")
            if finding["severity"] != "note" and (category or newest):
                yield f"{name}{f':{category}' if category else ''}: {finding['message']}"
        if record.data.get("complete") is False and newest:
            mean = "; the mean is over the categories shown" if has_mean(name, records) else ""
            yield f"{name}: partial data root{mean}."


def has_mean(dataset: str, records: Iterable[Record]) -> bool:
    """Whether tables of these records have a mean over categories."""
    own = (r.identity["categories"] for r in records if r.identity["dataset"] == dataset)
    return len({category for categories in own for category in categories}) > 1


def newest_of(dataset: str, records: Sequence[Record]) -> Record:
    """The record that was made last: what it says of the whole data set is how that is now."""
    return max((r for r in records if r.identity["dataset"] == dataset), key=lambda r: r.created)


def _undefined(records: Sequence[Record], _: Names) -> Iterable[str]:
    for record in records:
        mean = " and left out of means" if has_mean(record.identity["dataset"], records) else ""
        for category, values in record.metrics.items():
            missing = sorted(n for n, v in values.items() if v is None and "threshold" not in n)
            if missing:
                name = f"{record.identity['dataset']}:{category}"
                yield f"{name}: undefined{mean}: {', '.join(missing)}."


def cost_notes(records: Sequence[Record], names: Names) -> list[str]:
    """How many cells have no time in the timing table, which no skill, and why."""
    texts = {
        "inference": (
            "Timing left out for {} of {}: other work used the machine. "
            "On an idle machine, the same command with --overwrite timing measures again."
        ),
        "fit": (
            "Fit time left out for {} of {}: other work used the machine "
            "during training, or features or coresets came from the cache."
        ),
    }
    parts = {p: [(r.timing.get(p) or {}).get("valid") for r in records].count(False) for p in texts}
    of = counted(len(records), "cell")
    timing = [texts[part].format(disturbed, of) for part, disturbed in parts.items() if disturbed]
    return [*timing, *_without_skill([r for r in records if r.status == "done"], names)]


def _without_skill(done: Sequence[Record], names: Names) -> Iterable[str]:
    """Where others have it: the reasons, each with whom it holds for."""
    lacking = [record for record in done if record.skill.get("value") is None]
    if len(lacking) == len(done):
        return
    counts = {run: len(own) for run, own in grouped(done, lambda r: _run(r, names)).items()}
    for reason, own in grouped(lacking, lambda r: skill.reason(r.skill)).items():
        runs = grouped(own, lambda r: _run(r, names)).items()
        named = (
            run if len(there) == counts[run] else f"{run} ({'; '.join(map(_cell, there))})"
            for run, there in runs
        )
        yield f"No skill: {', '.join(named)}: {reason}."

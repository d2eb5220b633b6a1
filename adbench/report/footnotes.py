"""What a reader of a table must be told, taken from its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adbench.data.findings import EMPTY_MASK, LOOKS_NORMAL
from adbench.report.marks import Marks, data_notes
from adbench.report.origin_notes import origin_notes
from adbench.report.training_notes import training_notes
from adbench.store.records import Record
from adbench.text import counted


def footnotes(records: Sequence[Record]) -> list[str]:
    """One sentence each, most important first, without repetition."""
    notes = [
        *_presets(records),
        *_limits(records),
        *_chosen(records),
        *_failures(records),
        *origin_notes(records),
        *training_notes(records),
        *_ground_truth(records),
        *_data(records),
        *_undefined(records),
        *timing_notes(records),
    ]
    return list(dict.fromkeys(notes))


def protocol_notes(records: Sequence[Record]) -> list[str]:
    """Each protocol in one line, marked as in the table's heads; what sets them apart; and the
    same for versions of a data set."""
    marks = Marks(records)
    protocols: dict[str, dict[str, Any]] = {}
    for (digest, _), own in marks.standards.items():
        protocols.setdefault(digest, own[0].protocol)
    heads = {digest: f"Protocol {marks.letter(digest)}".rstrip() for digest in protocols}
    lines = [f"{heads[digest]}: {_describe(own)}" for digest, own in protocols.items()]
    return [*lines, *_protocol_differences(protocols, marks), *data_notes(marks)]


def _protocol_differences(protocols: dict[str, dict[str, Any]], marks: Marks) -> list[str]:
    """What sets each further protocol of a data set apart from its first, in one line."""
    datasets: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for digest, protocol in protocols.items():
        datasets.setdefault(protocol["dataset"], []).append((marks.letter(digest), protocol))
    notes = []
    for dataset, own in datasets.items():
        (mark, first), *others = own
        for other_mark, other in others:
            apart = [
                f"{name.replace('_', ' ')} ({_short(first.get(name))}, {_short(other.get(name))})"
                for name in dict.fromkeys([*first, *other])
                if first.get(name) != other.get(name) and not _follows(name, first, other)
            ]
            notes.append(
                f"{dataset}: protocols {mark} and {other_mark} differ in {', '.join(apart)}; their "
                "numbers are not ranked together."
            )
    return notes


def _follows(name: str, first: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a difference is but the consequence of another one, or none at all: a separate
    model's own category, the weights of another backbone."""
    if name == "weights_sha256":
        return bool(first.get("backbone") != other.get("backbone"))
    return name == "trained_categories" and "separate" in (first["scope"], other["scope"])


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them" if len(value) > 3 else " ".join(map(str, value))
    return "none" if value is None else str(value)[:24]


def _describe(protocol: dict[str, Any]) -> str:
    crop = f", centre crop {protocol['crop']}" if protocol["crop"] else ""
    trained = protocol["trained_categories"]
    scope = "one model per category"
    if protocol["scope"] == "unified":
        scope = f"one model for {len(trained)} categories"
    known = {
        "dataset", "dataset_version", "scope", "trained_categories", "image_size", "crop",
        "evaluation_size", "mask_rule", "mask_threshold", "metrics", "aupro_limits", "selection",
        "limit", "backbone", "weights_sha256", "selected", "selection_sha256",
    }  # fmt: skip
    backbone = ""
    if protocol.get("backbone"):
        weights = str(protocol.get("weights_sha256") or "unknown")[:12]
        backbone = f", backbone {protocol['backbone']} (weights {weights})"
    rest = "".join(f", {k} {v}" for k, v in sorted(protocol.items()) if k not in known)
    return (
        f"{protocol['dataset']} version {protocol['dataset_version']}, {scope}, images resized to "
        f"{protocol['image_size']}{crop}, scored at {protocol['evaluation_size']} pixels with "
        f"masks by {protocol['mask_rule']} (value > {protocol['mask_threshold']}), metrics "
        f"{protocol['metrics']}, {_selection(protocol)}{backbone}{rest}."
    )


def _selection(protocol: dict[str, Any]) -> str:
    if "selected" not in protocol:
        return f"{protocol['selection']} checkpoint"
    return (
        f"last checkpoint, {' and '.join(protocol['selected'])} chosen on {protocol['selection']} "
        f"images (file {protocol['selection_sha256'][:8]})"
    )


def _chosen(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        names = record.protocol.get("selected", ())
        if names:
            own = record.identity["hyperparameters"]
            values = ", ".join(f"{name}={own[name]}" for name in names)
            notes.append(f"{record.method} on {record.place}: {values}, chosen without test data.")
    return notes


def _presets(records: Sequence[Record]) -> list[str]:
    if any(r.preset == "smoke" for r in records):
        return ["SMOKE preset: it proves that everything runs; its scores mean nothing."]
    return []


def _limits(records: Sequence[Record]) -> list[str]:
    limits = sorted({r.identity["limit"] for r in records if r.identity["limit"] is not None})
    return [f"--limit {n}: a part of the images only; comparable with nothing." for n in limits]


def _failures(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        where = f"{record.method} on {record.place}, seed {record.identity['seed']}"
        if record.failure is not None:
            notes.append(f"Failed: {where}: {record.failure.message}")
        elif record.status == "skipped":
            notes.append(f"Skipped: {where}: {record.reason}")
    return notes


def _ground_truth(records: Sequence[Record]) -> list[str]:
    """Regions lost in the resize, one note a data set and resize; and masks without a pixel."""
    changed: dict[tuple[str, str, int], dict[str, dict[str, Any]]] = {}
    empty_masks = []
    for record in records:
        if record.status != "done":
            continue
        dataset, protocol = record.identity["dataset"], record.protocol
        for category, truth in record.data.get("ground_truth", {}).items():
            if truth["regions"] != truth["regions_after_resize"]:
                resize = (dataset, protocol["mask_rule"], protocol["evaluation_size"])
                changed.setdefault(resize, {})[category] = truth
            empty = truth["empty_masks"]
            if empty and not _said(record, category, EMPTY_MASK, LOOKS_NORMAL):
                images = counted(len(empty), "defect image")
                empty_masks.append(
                    f"{dataset}:{category}: a mask that marks nothing in {images} (first: "
                    f"{empty[0]}): anomalous images without anomalous pixels."
                )
    return [_lost(*resize, truths) for resize, truths in changed.items()] + empty_masks


def _said(record: Record, category: str, *checks: str) -> bool:
    """Whether the findings of its data speak of this; those of older records do not."""
    findings = record.data.get("findings", [])
    return any(f["check"] in checks and f.get("category") == category for f in findings)


def _lost(dataset: str, rule: str, size: int, truths: dict[str, dict[str, Any]]) -> str:
    lost = sum(len(truth["masks_lost_in_resize"]) for truth in truths.values())
    images = f" ({counted(lost, 'image')} lost every region)" if lost else ""
    if len(truths) == 1:
        (category, truth), *_ = truths.items()
        return (
            f"{dataset}:{category}: {truth['regions']} anomalous regions at native size, "
            f"{truth['regions_after_resize']} after the {rule} resize to {size}{images}."
        )
    each = ", ".join(
        f"{category} {truth['regions']} and {truth['regions_after_resize']}"
        for category, truth in truths.items()
    )
    return (
        f"{dataset}: anomalous regions at native size and after the {rule} resize to {size}: "
        f"{each}{images}."
    )


def _data(records: Sequence[Record]) -> list[str]:
    """What was odd about the data; of a whole data set, as its newest record found it."""
    names = {record.identity["dataset"] for record in records}
    last = {name: newest_of(name, records) for name in names}
    notes = []
    for record in records:
        name = record.identity["dataset"]
        newest = record is last[name]
        for finding in record.data.get("findings", []):
            category = finding.get("category")
            if finding["severity"] != "note" and (category or newest):
                where = f":{category}" if category else ""
                notes.append(f"{name}{where}: {finding['message']}")
        if record.data.get("complete") is False and newest:
            notes.append(f"{name}: partial data root; the mean is over the categories shown.")
    return notes


def newest_of(dataset: str, records: Sequence[Record]) -> Record:
    """The record that was made last: what it says of the whole data set is how that is now."""
    return max((r for r in records if r.identity["dataset"] == dataset), key=lambda r: r.created)


def _undefined(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        for category, values in record.metrics.items():
            missing = sorted(n for n, v in values.items() if v is None and "threshold" not in n)
            if missing:
                name = f"{record.identity['dataset']}:{category}"
                notes.append(f"{name}: undefined and left out of means: {', '.join(missing)}.")
    return notes


def timing_notes(records: Sequence[Record]) -> list[str]:
    """How many cells have no place in the timing table, and why."""

    def disturbed(part: str) -> int:
        return sum((r.timing.get(part) or {}).get("valid") is False for r in records)

    of = counted(len(records), "cell")
    notes = []
    if disturbed("inference"):
        notes.append(
            f"Timing left out for {disturbed('inference')} of {of}: other work used the machine. "
            "On an idle machine, the same command with --overwrite timing measures again."
        )
    if disturbed("fit"):
        notes.append(
            f"Fit time left out for {disturbed('fit')} of {of}: other work used the machine "
            "during training, or features or coresets came from the cache."
        )
    return notes

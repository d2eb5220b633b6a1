"""What a reader of a table must be told, taken from its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adbench.records import Record


def footnotes(records: Sequence[Record]) -> list[str]:
    """One sentence each, most important first, without repetition."""
    notes = [
        *_presets(records),
        *_limits(records),
        *_failures(records),
        *_ground_truth(records),
        *_data(records),
        *_undefined(records),
        *_timing(records),
    ]
    return list(dict.fromkeys(notes))


def protocol_marks(records: Sequence[Record]) -> dict[str, str]:
    """Protocol digest to a letter, in order of appearance; empty when no data set has two."""
    done = [r for r in records if r.status == "done"]
    seen = list(dict.fromkeys(r.protocol_digest for r in done))
    datasets = {(r.identity["dataset"], r.protocol_digest) for r in done}
    if len(datasets) == len({dataset for dataset, _ in datasets}):
        return {}
    return {d: _letter(i) for i, d in enumerate(seen)}


def protocol_notes(records: Sequence[Record]) -> list[str]:
    """Each protocol in one line, marked as in the table's heads."""
    marks = protocol_marks(records)
    lines: dict[str, str] = {}
    for record in records:
        if record.status == "done":
            mark = marks.get(record.protocol_digest)
            head = f"Protocol {mark}: " if mark else "Protocol: "
            lines.setdefault(record.protocol_digest, head + _describe(record.protocol))
    return list(lines.values())


def _letter(index: int) -> str:
    head, tail = divmod(index, 26)
    return (_letter(head - 1) if head else "") + chr(ord("a") + tail)


def _describe(protocol: dict[str, Any]) -> str:
    crop = f", centre crop {protocol['crop']}" if protocol["crop"] else ""
    trained = protocol["trained_categories"]
    scope = "one model per category"
    if protocol["scope"] == "unified":
        scope = f"one model for {len(trained)} categories"
    known = {
        "dataset", "dataset_version", "scope", "trained_categories", "image_size", "crop",
        "evaluation_size", "mask_rule", "mask_threshold", "metrics", "aupro_limits", "selection",
        "limit", "backbone", "weights_sha256",
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
        f"{protocol['metrics']}, {protocol['selection']} checkpoint{backbone}{rest}."
    )


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
        where = f"{record.identity['method']} on {_where(record)}, seed {record.identity['seed']}"
        if record.failure is not None:
            notes.append(f"Failed: {where}: {record.failure.message}")
        elif record.status == "skipped":
            notes.append(f"Skipped: {where}: {record.reason}")
    return notes


def _ground_truth(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        for category, truth in record.data.get("ground_truth", {}).items():
            name = f"{record.identity['dataset']}:{category}"
            lost, empty = truth["masks_lost_in_resize"], truth["empty_masks"]
            before, after = truth["regions"], truth["regions_after_resize"]
            rule, size = record.protocol["mask_rule"], record.protocol["evaluation_size"]
            if before != after:
                notes.append(
                    f"{name}: {before} anomalous regions at native size, {after} after the "
                    f"{rule} resize to {size} ({len(lost)} images lost all of theirs)."
                )
            if empty:
                notes.append(
                    f"{name}: {len(empty)} defect images have an all-zero mask and count as "
                    f"anomalous images without anomalous pixels (first: {empty[0]})."
                )
    return notes


def _data(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        for finding in record.data.get("findings", []):
            if finding["severity"] != "note":
                where = f":{finding['category']}" if finding.get("category") else ""
                notes.append(f"{record.identity['dataset']}{where}: {finding['message']}")
        if record.data.get("complete") is False:
            name = record.identity["dataset"]
            notes.append(f"{name}: partial data root; the mean is over the categories shown.")
    return notes


def _undefined(records: Sequence[Record]) -> list[str]:
    notes = []
    for record in records:
        for category, values in record.metrics.items():
            missing = sorted(n for n, v in values.items() if v is None and "threshold" not in n)
            if missing:
                name = f"{record.identity['dataset']}:{category}"
                notes.append(f"{name}: undefined and left out of means: {', '.join(missing)}.")
    return notes


def _timing(records: Sequence[Record]) -> list[str]:
    def disturbed(part: str) -> int:
        return sum((r.timing.get(part) or {}).get("valid") is False for r in records)

    notes = []
    if disturbed("inference"):
        notes.append(
            f"Timing left out for {disturbed('inference')} of {len(records)} cells: other work "
            "used the machine. Run the same command with --overwrite timing on an idle machine to "
            "measure."
        )
    if disturbed("fit"):
        notes.append(
            f"Fit time left out for {disturbed('fit')} of {len(records)} cells: other work used "
            "the machine while they trained, or they took features or coresets from the cache."
        )
    return notes


def _where(record: Record) -> str:
    categories = record.identity["categories"]
    where = categories[0] if len(categories) == 1 else f"{len(categories)} categories"
    return f"{record.identity['dataset']}:{where}"

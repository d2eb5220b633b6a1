"""What methods are called in a figure, and what a figure's file is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from adbench.store.comparability import data_versions, newness, place_of
from adbench.store.records import Record

_LONGEST = 80  # of a file name's part, in bytes; file systems allow 255 for the whole


def labeller(records: Iterable[Record]) -> Callable[[Record], str]:
    """Names that tell the methods of these records apart.

    `lafite[tau=300]`, followed by the preset, scope, mask rule or `--limit` only where the records
    differ in it, and by what is older than what others of its data set or its own are. Seeds share
    a name.
    """
    kept = list(records)
    telling = [n for n in _details(kept[0]) if len({_details(r)[n] for r in kept}) > 1] if kept \
        else []  # fmt: skip

    def name(record: Record) -> str:
        variant = f"[{record.variant}]" if record.variant else ""
        details = _details(record)
        return " ".join([record.identity["method"] + variant, *(details[n] for n in telling)])

    age = _ages(kept, name)

    def label(record: Record) -> str:
        older = age(record)
        return f"{name(record)} {older}" if older else name(record)

    return label


def _ages(records: Sequence[Record], name: Callable[[Record], str]) -> Callable[[Record], str]:
    """What tells numbers of one name and data set apart that tables mark by letters."""
    versions = data_versions(records)
    data: dict[Any, dict[str, None]] = {}
    protocols: dict[Any, dict[str, None]] = {}

    def places(record: Record) -> tuple[Any, Any, str]:
        place, version = place_of(record), versions[record.keys["score"]]
        return place, (name(record), place, version), version

    for record in sorted(records, key=newness, reverse=True):
        place, run, version = places(record)
        data.setdefault(place, {}).setdefault(version)
        if record.status == "done":
            protocols.setdefault(run, {}).setdefault(record.protocol_digest)

    def age(record: Record) -> str:
        place, run, version = places(record)
        own = [*protocols.get(run, ())]
        behind = {
            "data": [*data[place]].index(version),
            "protocol": own.index(record.protocol_digest) if record.status == "done" else 0,
        }
        texts = [
            f"(older {what}{f' {number}' if number > 1 else ''})"
            for what, number in behind.items()
            if number
        ]
        return " ".join(texts)

    return age


def _details(record: Record) -> dict[str, str]:
    identity: dict[str, Any] = record.identity
    rule = record.key_parts.get("mask_rule") or record.protocol.get("mask_rule")
    return {
        "preset": record.preset,
        "scope": identity["scope"],
        "mask_rule": f"({rule})" if rule else "",
        "limit": "" if identity["limit"] is None else f"(limit {identity['limit']})",
    }


def series(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each method, under its label, in order of appearance."""
    kept = list(records)
    label = labeller(kept)
    found: dict[str, list[Record]] = {}
    for record in kept:
        found.setdefault(label(record), []).append(record)
    return found


def file_part(text: str) -> str:
    """A part of a file name, safe on every file system; two texts never become the same."""
    safe = re.sub(r"[^\w.=-]+", "_", text)
    if safe == text and len(text.encode()) <= _LONGEST and not text.startswith("."):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    short = safe.encode()[: _LONGEST - 9].decode(errors="ignore").strip("._")
    return f"{short}-{digest}"

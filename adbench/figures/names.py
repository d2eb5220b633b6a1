"""What methods are called in a figure, which records it shows, and what its file is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from adbench.naming import Names
from adbench.store.comparability import data_versions, newness, place_of
from adbench.store.records import Record

_LONGEST = 80  # of a file name's part, in bytes; file systems allow 255 for the whole


def labeller(records: Iterable[Record]) -> Callable[[Record], str]:
    """Names that tell the methods of these records apart.

    As in tables (`naming.Names`), followed by the preset, scope, mask rule or `--limit` only where
    the records differ in it, and by what is older than what others of its data set or its own are.
    Seeds share a name.
    """
    kept = list(records)
    names = Names(kept)
    details = [_details(record) for record in kept]
    telling = [n for n in (details[0] if details else ()) if len({d[n] for d in details}) > 1]

    def name(record: Record) -> str:
        own = _details(record)
        told = filter(None, (own[n] for n in telling))
        return " ".join([names.of_record(record, preset=False), *told])

    versions = data_versions(kept)
    seen: dict[Any, list[str]] = {}
    ages: dict[tuple[str, str], str] = {}
    for record in sorted(kept, key=newness, reverse=True):
        place, version = place_of(record), versions[record.keys["score"]]
        rank = {"data": _rank(seen, place, version)}
        if record.status == "done":
            run = (name(record), place, version)
            rank["protocol"] = _rank(seen, run, record.protocol_digest)
        ages[record.keys["score"], name(record)] = "".join(
            f" (older {what}{f' {number}' if number > 1 else ''})"
            for what, number in rank.items()
            if number
        )
    return lambda record: name(record) + ages[record.keys["score"], name(record)]


def _rank(seen: dict[Any, list[str]], place: Any, value: str) -> int:
    """How many others were seen there before."""
    own = seen.setdefault(place, [])
    if value not in own:
        own.append(value)
    return own.index(value)


def _details(record: Record) -> dict[str, str]:
    identity: dict[str, Any] = record.identity
    rule = record.key_parts.get("mask_rule") or record.protocol.get("mask_rule")
    share = identity.get("calibrate")
    return {
        "preset": record.preset,
        "scope": identity["scope"],
        "mask_rule": f"({rule})" if rule else "",
        "limit": "" if identity["limit"] is None else f"(limit {identity['limit']})",
        "calibrate": "" if share is None else f"(calibrate {share:g})",
    }


def series(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each method, under its label, in order of appearance."""
    kept = list(records)
    label = labeller(kept)
    found: dict[str, list[Record]] = {}
    for record in kept:
        found.setdefault(label(record), []).append(record)
    return found


def categories_of(records: Sequence[Record]) -> Iterator[tuple[str, str, dict[str, Record]]]:
    """(data set, category, label -> record) of each category, one seed, the lowest, a method."""
    groups: dict[tuple[str, str], dict[str, Record]] = {}
    for label, own in series(r for r in records if r.status == "done").items():
        for record in sorted(own, key=lambda r: int(r.identity["seed"])):
            for category in record.identity["categories"]:
                key = (record.identity["dataset"], category)
                groups.setdefault(key, {}).setdefault(label, record)
    for (dataset, category), group in groups.items():
        yield dataset, category, group


def file_part(text: str) -> str:
    """A part of a file name, safe on every file system; two texts never become the same."""
    safe = re.sub(r"[^\w.=-]+", "_", text)
    if safe == text and len(text.encode()) <= _LONGEST and not text.startswith("."):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    short = safe.encode()[: _LONGEST - 9].decode(errors="ignore").strip("._")
    return f"{short}-{digest}"

"""Which numbers may stand side by side: one rule for tables, notes, HTML, `compare` and the gate.

Two numbers of one category are comparable when their protocols are equal and so are the files that
they rest on: training images, test images, masks. Each of the three is equal, different or, for
records of before that keep no digest of it, unknown. What differs is marked, and never ranked or
averaged together; what is unknown is compared, and marked as unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from adbench.store.files import digest
from adbench.store.records import PARTS, Record

PART_WORDS = {"train": "training images", "test": "test images", "masks": "masks"}

LIBRARIES = (
    "torch", "torchvision", "timm", "diffusers", "faiss-cpu", "faiss-gpu", "numpy", "scipy",
    "scikit-learn", "pillow",
)  # fmt: skip
"""Packages that can move a number."""

Place = tuple[str, int | None]
"""A data set, and how much of it (`--limit`): what has versions of its own."""


def is_known(record: Record) -> bool:
    """Whether all files behind all numbers of a record are known."""
    return not any(unknown_parts(record, record, c) for c in record.identity["categories"])


def different_parts(one: Record, other: Record, category: str) -> tuple[str, ...]:
    """Which of `PARTS` are known to differ between two records, for one category."""
    own, theirs = ([r.data_digests.get((category, p)) for p in PARTS] for r in (one, other))
    return tuple(p for p, a, b in zip(PARTS, own, theirs, strict=True) if a and b and a != b)


def unknown_parts(one: Record, other: Record, category: str) -> tuple[str, ...]:
    """Which of `PARTS` at least one of two records keeps no digest of, for one category."""
    both = one.data_digests.keys() & other.data_digests.keys()
    return tuple(p for p in PARTS if (category, p) not in both)


def data_versions(records: Sequence[Record]) -> dict[str, str]:
    """A label of the version of the data set behind each record, by its score key.

    Equal for records of one data set that disagree about no file. A record joins the first
    version, of those the newest records made, with which it agrees; so one of unknown files joins
    the newest. Parts of a data set (`--limit`) have versions of their own. Labels are digests of
    what is known of the files, so that tables of two folders do not share one by accident.
    """
    found: dict[Place, list[dict[tuple[str, str], str]]] = {}
    joined: dict[str, dict[tuple[str, str], str]] = {}
    for record in sorted(records, key=newness, reverse=True):
        place, own = place_of(record), record.data_digests
        versions = found.setdefault(place, [])
        agrees = (v for v in versions if all(v.get(w, text) == text for w, text in own.items()))
        version = next(agrees, None)
        if version is None:
            version = {}
            versions.append(version)
        version |= own
        joined[record.keys["score"]] = version
    labels = {
        id(version): digest([*place, sorted([*w, text] for w, text in version.items())])[:12]
        for place, versions in found.items()
        for version in versions
    }
    return {key: labels[id(version)] for key, version in joined.items()}


def on_newest_data(records: Sequence[Record]) -> list[Record]:
    """Those on the newest version of their data set."""
    labels = data_versions(records)
    newest = {place_of(r): labels[r.keys["score"]] for r in sorted(records, key=newness)}
    return [r for r in records if labels[r.keys["score"]] == newest[place_of(r)]]


def place_of(record: Record) -> Place:
    """What has versions of its own."""
    return record.identity["dataset"], record.identity["limit"]


def newness(record: Record) -> tuple[int, str]:
    """Orders records from old to new: by the number that the store gave, not by a clock.

    Records of before have no number; of these the clock decides, but never one that was ahead.
    """
    return record.number, "" if record.is_ahead else record.created


def code_of(record: Record, part: str = "code") -> str | None:
    """Twelve hex digits of the code behind a record, or None where it is not kept: "code" (the
    method's), "decoder" or "metrics". Names of modules do not count: a moved one is the same."""
    kept = record.key_parts.get(f"{part}_digest", record.key_parts.get(part))
    values = sorted(map(str, kept.values())) if isinstance(kept, dict) else kept
    return None if values is None else digest(values)[:12]


def library_versions(record: Record) -> dict[str, str] | None:
    """Versions of the packages that can move a number; None where a record names none."""
    packages: dict[str, str | None] | None = record.environment.get("packages")
    if packages is None:
        return None
    return {name: version for name in LIBRARIES if (version := packages.get(name))}


def libraries_of(record: Record) -> str | None:
    """Twelve hex digits of `library_versions`."""
    versions = library_versions(record)
    return None if versions is None else digest(versions)[:12]

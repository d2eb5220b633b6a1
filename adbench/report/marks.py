"""Letters for what is not comparable, in tables and notes: protocols and versions of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adbench.store.comparability import PART_WORDS, data_versions, is_known
from adbench.store.records import Record
from adbench.text import counted

Standard = tuple[str, str]
"""Digest of a protocol and label of a data version: numbers of one standard are comparable."""

UNKNOWN = "?"
"""Behind the name of a run of which it is not known whether it saw the files that others saw."""


class Marks:
    """What stands behind the names of runs among these records.

    Letters are given in order of appearance, and only when a data set has two standards.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        versions = self._versions = data_versions(records)
        done = [record for record in records if record.status == "done"]
        self.standards: dict[Standard, list[Record]] = {}
        for record in done:
            standard = (record.protocol_digest, versions[record.keys["score"]])
            self.standards.setdefault(standard, []).append(record)
        places = {(r.identity["dataset"], s) for s, own in self.standards.items() for r in own}
        several = len(places) > len({dataset for dataset, _ in places})
        self._letters = {s: _letter(i) for i, s in enumerate(self.standards) if several}
        known: dict[str, set[bool]] = {}
        for record in done:
            known.setdefault(record.identity["dataset"], set()).add(is_known(record))
        self.unsure = {dataset for dataset, found in known.items() if len(found) > 1}
        """Data sets of which some records know their files and others do not."""

    def letter(self, protocol: str | None, data: str | None = None) -> str:
        """Of one standard; of a protocol alone those of its data versions, `a, b`."""
        found = [s for s in self._letters if s[0] == protocol and data in (None, s[1])]
        return ", ".join(self._letters[standard] for standard in found)

    def of(self, summary: Mapping[str, Any]) -> str:
        """What to put in brackets behind a run's name; nothing where all is alike."""
        letter = self.letter(summary["protocol"], summary["data"])
        doubt = not summary["data_known"] and summary["dataset"] in self.unsure
        return letter + UNKNOWN if doubt and summary["status"] == "done" else letter

    def of_record(self, record: Record) -> str:
        """The same for a finished record; nothing for others."""
        row = {
            "protocol": record.protocol_digest,
            "data": self._versions[record.keys["score"]],
            "data_known": is_known(record),
            "dataset": record.identity["dataset"],
            "status": record.status,
        }
        return self.of(row) if record.status == "done" else ""


def data_notes(marks: Marks) -> list[str]:
    """What sets the versions of a data set apart, and which records do not know theirs."""
    versions: dict[tuple[str, int | None], dict[str, list[Record]]] = {}
    for (_, label), own in marks.standards.items():
        for record in own:
            place = (record.identity["dataset"], record.identity["limit"])
            versions.setdefault(place, {}).setdefault(label, []).append(record)
    notes = []
    for (dataset, _), found in versions.items():
        (first, base), *others = found.items()
        for label, records in others:
            pair = " and ".join(_letters_of(marks, name) for name in (first, label))
            apart = _apart(base, records)  # nothing where a failed cell alone tells them apart
            notes.append(
                f"{dataset}: {pair} are numbers of different data{f' ({apart})' if apart else ''}; "
                "they are neither ranked nor averaged together."
            )
    return notes + _unknown(marks)


def _letters_of(marks: Marks, label: str) -> str:
    return "/".join(marks.letter(*s) for s in marks.standards if s[1] == label)


def _apart(base: Sequence[Record], other: Sequence[Record]) -> str:
    """What differs, by category: `metal_plate: 2 test images more, masks changed`."""
    left, right = _files(base), _files(other)
    changes: dict[str, list[str]] = {}
    for category, part in left.keys() & right.keys():
        (digest, count), (theirs, others) = left[category, part], right[category, part]
        if digest != theirs:
            own = changes.setdefault(category, [])
            own.append(_change(PART_WORDS[part], count, others))
    listed = [f"{c}: {', '.join(sorted(own))}" for c, own in sorted(changes.items())]
    more = f"; and {counted(len(listed) - 3, 'category')} more" if len(listed) > 3 else ""
    return "; ".join(listed[:3]) + more


def _change(what: str, count: int | None, others: int | None) -> str:
    if count is None or others is None or count == others:
        return f"{what} changed"
    return f"{abs(others - count)} {what} {'more' if others > count else 'fewer'}"


def _files(records: Sequence[Record]) -> dict[tuple[str, str], tuple[str, int | None]]:
    """Digest and, where it was kept, number of the files of each category and part."""
    found = {}
    for record in records:
        kept = record.data.get("digests") or {}
        for (category, part), digest in record.data_digests.items():
            count = kept[category][part]["files"] if category in kept else None
            found[category, part] = (digest, count)
    return found


def _unknown(marks: Marks) -> list[str]:
    """Records that keep no digests of their files, where others of the data set do."""
    found: dict[str, list[str]] = {}
    for own in marks.standards.values():
        for record in own:
            if record.identity["dataset"] in marks.unsure and not is_known(record):
                runs = found.setdefault(record.identity["dataset"], [])
                runs.append(f"{record.method} {record.preset}")
    return [
        f"{dataset}: {', '.join(dict.fromkeys(runs))} (marked {UNKNOWN}): made before records kept "
        "digests of their files, so whether they saw the same data as the others is unknown."
        for dataset, runs in found.items()
    ]


def _letter(index: int) -> str:
    head, tail = divmod(index, 26)
    return (_letter(head - 1) if head else "") + chr(ord("a") + tail)

"""Letters for what is not comparable, in tables and notes: protocols and versions of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adbench.naming import Names
from adbench.report.tables import facts, grouped
from adbench.store.comparability import PART_WORDS, data_versions, is_known, place_of
from adbench.store.records import Record
from adbench.text import counted

Standard = tuple[str, str]
"""Digest of a protocol and label of a data version: numbers of one standard are comparable."""

UNKNOWN = "?"
"""Behind the name of a run of which it is not known whether it saw the files that others saw."""


class Marks:
    """What stands behind the names of runs among these records.

    Letters are given in order of appearance, and only when a data set has two standards.
    `versions` are labels of the data by score key; `unsure` are the data sets of which some records
    know their files and others do not.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.versions = data_versions(records)
        self._names = Names(records)
        done = [record for record in records if record.status == "done"]
        self.standards: dict[Standard, list[Record]] = grouped(
            done, lambda record: (record.protocol_digest, self.versions[record.keys["score"]])
        )
        places = {(r.identity["dataset"], s) for s, own in self.standards.items() for r in own}
        several = len(places) > len({dataset for dataset, _ in places})
        self._letters = {s: _letter(i) for i, s in enumerate(self.standards) if several}
        known = {(record.identity["dataset"], is_known(record)) for record in done}
        self.unsure = {d for d, knows in known if (d, not knows) in known}

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
        return self.of(facts(record, self.versions))

    def data_notes(self) -> list[str]:
        """What sets the versions of a data set apart, and which records do not know theirs."""
        notes = []
        every = [(label, r) for (_, label), own in self.standards.items() for r in own]
        for (dataset, _), own in grouped(every, lambda pair: place_of(pair[1])).items():
            (first, base), *others = grouped(own, lambda pair: pair[0]).items()
            for label, other in others:
                pair = " and ".join(map(self._letters_of, (first, label)))
                apart = _apart([r for _, r in base], [r for _, r in other])
                notes.append(  # nothing where a failed cell alone tells them apart
                    f"{dataset}: {pair} are numbers of different data"
                    f"{f' ({apart})' if apart else ''}; they are neither ranked nor averaged "
                    "together."
                )
        unknown = grouped((r for _, r in every if not is_known(r)), lambda r: r.identity["dataset"])
        for dataset in [name for name in unknown if name in self.unsure]:
            runs = dict.fromkeys(map(self._names.of_record, unknown[dataset]))
            notes.append(
                f"{dataset}: {', '.join(runs)} (marked {UNKNOWN}): made before records kept "
                "digests of their files, so whether they saw the same data as the others is "
                "unknown."
            )
        return notes

    def _letters_of(self, label: str) -> str:
        return "/".join(self.letter(*s) for s in self.standards if s[1] == label)


def _apart(base: Sequence[Record], other: Sequence[Record]) -> str:
    """What differs, by category: `metal_plate: 2 test images more, masks changed`."""
    left, right = _files(base), _files(other)
    changes: dict[str, list[str]] = {}
    for category, part in left.keys() & right.keys():
        (digest, count), (theirs, others) = left[category, part], right[category, part]
        if digest != theirs:
            change = f"{PART_WORDS[part]} changed"
            if count is not None and others is not None and count != others:
                word = "more" if others > count else "fewer"
                change = f"{abs(others - count)} {PART_WORDS[part]} {word}"
            changes.setdefault(category, []).append(change)
    listed = [f"{c}: {', '.join(sorted(own))}" for c, own in sorted(changes.items())]
    more = f"; and {counted(len(listed) - 3, 'category')} more" if len(listed) > 3 else ""
    return "; ".join(listed[:3]) + more


def _files(records: Sequence[Record]) -> dict[tuple[str, str], tuple[str, int | None]]:
    """Digest and, where it was kept, number of the files of each category and part."""
    found = {}
    for record in records:
        kept = record.data.get("digests") or {}
        for (category, part), digest in record.data_digests.items():
            count = kept[category][part]["files"] if category in kept else None
            found[category, part] = (digest, count)
    return found


def _letter(index: int) -> str:
    head, tail = divmod(index, 26)
    return (_letter(head - 1) if head else "") + chr(ord("a") + tail)

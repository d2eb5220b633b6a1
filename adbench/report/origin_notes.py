"""What a reader must be told of what made the numbers: code, libraries, clocks, older records."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from adbench.store.comparability import LIBRARIES, code_of, data_versions, library_versions
from adbench.store.records import Record
from adbench.text import counted

_SHOWN = 3


def origin_notes(records: Sequence[Record]) -> list[str]:
    """Notes about numbers that stand together and were not made by the same."""
    return [
        *dict.fromkeys(note for record in records for note in record.left_out),
        *_codes(records),
        *_libraries(records),
        *_clocks(records),
    ]


def _codes(records: Sequence[Record]) -> list[str]:
    """Two versions of a method's code in one mean, of the decoder's or metrics' in one table.

    Digests of code are compared among records of one format: the format before made them in another
    way, so that of its records beside others it is unknown whether the code was the same.
    """
    notes = []
    newest = max((record.format for record in records), default=0)
    methods: dict[tuple[str, ...], list[Record]] = {}
    versions = data_versions(records)
    datasets: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "done":
            own = record.identity
            averaged = own["scope"], record.protocol_digest, versions[record.keys["score"]]
            run = f"{record.method} {record.preset}", own["dataset"], *averaged
            methods.setdefault(run, []).append(record)
            datasets.setdefault(record.identity["dataset"], []).append(record)
    for (name, where, *_), mean in methods.items():
        parted = _parted(mean, _digests(mean, "code"))
        if parted:
            notes.append(
                f"{name} on {where}: means mix versions of the method's code: {parted}; "
                "--overwrite all runs all with the present one."
            )
    for place, there in datasets.items():
        for part, words in (("decoder", "the image decoder"), ("metrics", "the metrics")):
            parted = _parted(there, _digests(there, part))
            if parted:
                notes.append(f"{place}: numbers of different versions of {words}: {parted}.")
        older = [record for record in there if record.format < newest]
        if older and len(older) < len(there):
            notes.append(
                f"{place}: {counted(len(older), 'cell')} made by an older adbench "
                f"({_named(older)}): whether method, image decoder and metrics had the present "
                "code is unknown."
            )
    return notes


def _digests(records: Sequence[Record], part: str) -> list[str | None]:
    """Of the code behind records of the newest format among them; None for others."""
    newest = max(record.format for record in records)
    return [code_of(r, part) if r.format == newest else None for r in records]


def _libraries(records: Sequence[Record]) -> list[str]:
    datasets: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "done" and library_versions(record):
            datasets.setdefault(record.identity["dataset"], []).append(record)
    notes = []
    for dataset, own in datasets.items():
        versions = [library_versions(record) or {} for record in own]
        parted = {
            name: _parted(own, [found.get(name) for found in versions], named=True)
            for name in LIBRARIES
        }
        listed = "; ".join(f"{name} {text}" for name, text in parted.items() if text)
        if listed:
            notes.append(f"{dataset}: numbers of different library versions: {listed}.")
    return notes


def libraries_apart(pairs: Sequence[tuple[Record, Record]]) -> list[str]:
    """Libraries that differ between the sides of a comparison, where both records name theirs."""
    changes = dict.fromkeys(
        f"{name} {old.get(name, 'absent')} → {new.get(name, 'absent')}"
        for old, new in ((library_versions(b), library_versions(h)) for b, h in pairs)
        if old and new
        for name in LIBRARIES
        if old.get(name) != new.get(name)
    )
    return [f"Made with different library versions: {', '.join(changes)}."] if changes else []


def _parted(
    records: Sequence[Record], values: Sequence[Hashable], *, named: bool = False
) -> str | None:
    """How many records have each value, and which of the fewest; None where all have the same.

    A value of None is unknown, unless it is `named`, where it stands for "absent".
    """
    groups: dict[Hashable, list[Record]] = {}
    for record, value in zip(records, values, strict=True):
        if named or value is not None:
            groups.setdefault(value, []).append(record)
    if len(groups) < 2:
        return None
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    texts = []
    for number, (value, own) in enumerate(ordered):
        head = f"{'absent' if value is None else value} in " if named else ""
        which = f" ({_named(own)})" if number else ""
        texts.append(f"{head}{counted(len(own), 'cell')}{which}")
    return ", ".join(texts)


def _named(records: Sequence[Record]) -> str:
    shown = [f"{r.method} on {r.place}, seed {r.identity['seed']}" for r in records[:_SHOWN]]
    more = [f"{len(records) - _SHOWN} more"] if len(records) > _SHOWN else []
    return "; ".join([*shown, *more])


def _clocks(records: Sequence[Record]) -> list[str]:
    """Records that come from the future. What is newest is told by their numbers all the same."""
    ahead = [record for record in records if record.is_ahead]
    if not ahead:
        return []
    first = ahead[0]
    return [
        f"{counted(len(ahead), 'record')} made in the future by a clock that was wrong "
        f"({first.method} on {first.place}: {first.created})."
    ]

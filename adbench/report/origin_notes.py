"""What a reader must be told of what made the numbers: code, libraries, clocks, older records."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from adbench.naming import Names
from adbench.report.tables import grouped
from adbench.store.comparability import LIBRARIES, code_of, data_versions, library_versions
from adbench.store.records import Record
from adbench.text import counted

_SHOWN = 3


def origin_notes(records: Sequence[Record], names: Names) -> Iterable[str]:
    """Notes about numbers that stand together and were not made by the same."""
    yield from dict.fromkeys(note for record in records for note in record.left_out)
    done = [record for record in records if record.status == "done"]
    versions, newest = data_versions(records), max((r.format for r in records), default=0)
    means = grouped(
        done,
        lambda r: (
            f"{names.of_record(r)} on {r.identity['dataset']}", r.preset, r.identity["scope"],
            r.protocol_digest, versions[r.keys["score"]],
        ),
    )  # fmt: skip
    for (where, *_), mean in means.items():
        if parted := _parted(mean, _digests(mean, "code")):
            yield (
                f"{where}: means mix versions of the method's code: {parted}; --overwrite all runs "
                "all with the present one."
            )
    datasets = grouped(done, lambda record: str(record.identity["dataset"])).items()
    yield from (note for place, there in datasets for note in _codes(place, there, newest))
    yield from (note for place, there in datasets for note in _libraries(place, there))
    # What is newest is told by the numbers of records all the same.
    if ahead := [record for record in records if record.is_ahead]:
        yield (
            f"{counted(len(ahead), 'record')} made in the future by a clock that was wrong "
            f"({ahead[0].method} on {ahead[0].place}: {ahead[0].created})."
        )


def _codes(place: str, there: Sequence[Record], newest: int) -> Iterable[str]:
    """Two versions of the decoder or the metrics in one table, and code that is unknown."""
    for part, words in (("decoder", "the image decoder"), ("metrics", "the metrics")):
        if parted := _parted(there, _digests(there, part)):
            yield f"{place}: numbers of different versions of {words}: {parted}."
    older = [record for record in there if record.format < newest]
    if older and len(older) < len(there):
        yield (
            f"{place}: {counted(len(older), 'cell')} made by an older adbench ({_named(older)}): "
            "whether method, image decoder and metrics had the present code is unknown."
        )


def _digests(records: Sequence[Record], part: str) -> list[str | None]:
    """Of the code behind records of the newest format among them; None for others: the format
    before made digests in another way."""
    newest = max(record.format for record in records)
    return [code_of(r, part) if r.format == newest else None for r in records]


def _libraries(place: str, there: Sequence[Record]) -> Iterable[str]:
    told = [(record, kept) for record in there if (kept := library_versions(record))]
    own = [record for record, _ in told]
    parted = {
        name: _parted(own, [kept.get(name) for _, kept in told], named=True) for name in LIBRARIES
    }
    if listed := "; ".join(f"{name} {text}" for name, text in parted.items() if text):
        yield f"{place}: numbers of different library versions: {listed}."


def libraries_apart(pairs: Sequence[tuple[Record, Record]]) -> list[str]:
    """Libraries that differ between the sides of a comparison, where both records name theirs."""
    kept = ((library_versions(base), library_versions(head)) for base, head in pairs)
    changes = dict.fromkeys(
        f"{name} {old.get(name, 'absent')} → {new.get(name, 'absent')}"
        for old, new in kept
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
    known = (p for p in zip(values, records, strict=True) if named or p[0] is not None)
    groups = grouped(known, lambda pair: pair[0])
    if len(groups) < 2:
        return None
    texts = []
    for number, (value, own) in enumerate(sorted(groups.items(), key=lambda item: -len(item[1]))):
        head = f"{'absent' if value is None else value} in " if named else ""
        which = f" ({_named([record for _, record in own])})" if number else ""
        texts.append(f"{head}{counted(len(own), 'cell')}{which}")
    return ", ".join(texts)


def _named(records: Sequence[Record]) -> str:
    shown = [f"{r.method} on {r.place}, seed {r.identity['seed']}" for r in records[:_SHOWN]]
    more = [f"{len(records) - _SHOWN} more"] if len(records) > _SHOWN else []
    return "; ".join([*shown, *more])

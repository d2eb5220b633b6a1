"""The protocols of a report's numbers: each in full, and where two of one data set differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adbench.report.footnotes import protocol_notes
from adbench.report.marks import Marks
from adbench.store.records import Record


@dataclass(frozen=True)
class ProtocolView:
    """One protocol. `mark` is its letter in the tables, empty where there is none."""

    anchor: str
    digest: str
    mark: str
    sentence: str
    dataset: str
    fields: Mapping[str, str]
    methods: tuple[str, ...]

    @property
    def name(self) -> str:
        """What links to it say."""
        return f"protocol {self.mark}" if self.mark else f"protocol {self.digest}"


@dataclass(frozen=True)
class Differences:
    """The fields in which the protocols of one data set differ, a column a protocol."""

    dataset: str
    protocols: tuple[ProtocolView, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def protocols_of(records: Sequence[Record]) -> dict[str, ProtocolView]:
    """Digest -> protocol, in order of appearance."""
    done: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "done":
            done.setdefault(record.protocol_digest, []).append(record)
    marks = Marks(records)
    return {
        digest: ProtocolView(
            anchor=f"protocol-{number}",
            digest=digest,
            mark=marks.letter(digest),
            sentence=protocol_notes(own[:1])[0].partition(": ")[2],
            dataset=own[0].identity["dataset"],
            fields={n: _text(v) for n, v in _fields(own[0]).items()},
            methods=tuple(sorted({record.identity["method"] for record in own})),
        )
        for number, (digest, own) in enumerate(done.items(), start=1)
    }


def differences(protocols: Mapping[str, ProtocolView]) -> list[Differences]:
    """One table a data set that has two protocols or more."""
    groups: dict[str, list[ProtocolView]] = {}
    for protocol in protocols.values():
        groups.setdefault(protocol.dataset, []).append(protocol)
    found = []
    for dataset, group in groups.items():
        names = dict.fromkeys(name for protocol in group for name in protocol.fields)
        rows = [(n, tuple(p.fields.get(n, "–") for p in group)) for n in names]
        differing = tuple(row for row in rows if len(set(row[1])) > 1)
        if differing:
            found.append(Differences(dataset, tuple(group), differing))
    return found


def _fields(record: Record) -> dict[str, Any]:
    fields = dict(record.protocol)
    if fields.get("scope") == "separate":
        fields["trained_categories"] = "each its own"  # as in the digest: equal for all of them
    return {name.replace("_", " "): value for name, value in fields.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return ", ".join(map(str, value))
    return str(value)

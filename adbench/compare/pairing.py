"""Which numbers of two sides may be compared, and for every other one the reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adbench.compare.sides import Side
from adbench.errors import shortened
from adbench.report.origin_notes import libraries_apart
from adbench.store.comparability import data_versions, different_parts, newness, unknown_parts
from adbench.store.records import Record
from adbench.text import printable

Key = tuple[Any, ...]
TRAINING = "training images"
"""Among the marks of a case: its sides were trained on other files."""


@dataclass(frozen=True)
class Case:
    """One category of one method on both sides, seed by seed, on the same images.

    `pairs` holds (base, head) records; `marks` names the protocol's fields in which they differ,
    and training images that do, empty unless that was asked for; `masks_differ`: their pixel
    metrics are not comparable. `told_apart` says what sets the protocol apart from others of the
    same method, empty where there are none.
    """

    dataset: str
    category: str
    scope: str
    preset: str
    method: str
    pairs: tuple[tuple[Record, Record], ...]
    marks: tuple[str, ...] = ()
    masks_differ: bool = False
    told_apart: str = ""

    @property
    def protocols(self) -> tuple[str, str]:
        """Digests of base's and of head's."""
        base, head = self.pairs[0]
        return base.protocol_digest, head.protocol_digest

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the pairs."""
        return tuple(base.identity["seed"] for base, _ in self.pairs)


@dataclass(frozen=True)
class Incomparable:
    """A number that one side has, or both, and why nothing is said about it."""

    where: str
    reason: str


@dataclass(frozen=True)
class Pairing:
    """What can be compared, what of the base cannot, and what only head has."""

    cases: tuple[Case, ...]
    incomparable: tuple[Incomparable, ...]
    only_in_head: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of what is compared: other settings or libraries, and files of
        which it is unknown whether they are the same."""
        pairs = {(b.keys["score"], h.keys["score"]): (b, h) for c in self.cases for b, h in c.pairs}
        unknown = dict.fromkeys(
            f"{case.dataset}:{case.category}"
            for case in self.cases
            if any(unknown_parts(b, h, case.category) for b, h in case.pairs)
        )
        doubt = (
            f"{', '.join(unknown)}: records of before keep no digests of their files; whether both "
            "sides saw the same images and masks is unknown."
        )
        changed = dict.fromkeys(
            f"{base.method}: the preset's hyper-parameters differ between base and head."
            for base, head in pairs.values()
            if base.method == head.method and base.settings != head.settings
        )
        return (*changed, *([doubt] if unknown else []), *libraries_apart(list(pairs.values())))


@dataclass(frozen=True)
class _Unit:
    record: Record
    category: str


def pair(base: Side, head: Side, *, any_protocol: bool = False) -> Pairing:
    """Match the sides by data set, category, preset and seed, and by method and variant.

    Two sides that are each one method are matched whatever the methods. Hyper-parameters may differ
    where preset and variant agree: a preset's new values are held against its old ones. With
    `any_protocol` other protocols are paired too and marked; the images must be the same always.
    """
    by_method = base.method is None or head.method is None
    left, right = _units(base, by_method), _units(head, by_method)
    versions = data_versions(base.records), data_versions(head.records)
    cases: dict[Key, list[tuple[_Unit, _Unit]]] = {}
    incomparable: list[Incomparable] = []
    for key, units in left.items():
        for unit in units:
            candidates = right.get(key, [])
            match, reason = _choose(unit, candidates, any_protocol)
            if match is None:
                incomparable.append(Incomparable(_where(unit), reason))
            else:
                on = (versions[n][u.record.keys["score"]] for n, u in enumerate((unit, match)))
                group = (*key[:-1], *_standards(unit, match), *on)
                cases.setdefault(group, []).append((unit, match))
    extra = [_where(u) for key, units in right.items() if key not in left for u in units]
    return Pairing(
        tuple(_told_apart([_case(pairs, by_method) for pairs in cases.values()])),
        tuple(incomparable),
        tuple(extra),
    )


def _units(side: Side, by_method: bool) -> dict[Key, list[_Unit]]:
    found: dict[Key, list[_Unit]] = {}
    for record in sorted(side.records, key=newness, reverse=True):
        own = record.identity
        for category in own["categories"]:
            key: Key = (own["dataset"], category, record.preset)
            if by_method:
                key += (own["method"], record.variant)
            found.setdefault((*key, own["seed"]), []).append(_Unit(record, category))
    return dict(sorted(found.items()))


def _choose(
    unit: _Unit, candidates: Sequence[_Unit], any_protocol: bool
) -> tuple[_Unit | None, str]:
    """The newest comparable candidate, of the same scope first, or why the first is none."""
    if not candidates:
        return None, "absent from head"
    scope = unit.record.identity["scope"]
    candidates = sorted(candidates, key=lambda c: bool(c.record.identity["scope"] != scope))
    reasons = [_reason(unit, candidate, any_protocol) for candidate in candidates]
    for candidate, reason in zip(candidates, reasons, strict=True):
        if reason is None:
            return candidate, ""
    return None, str(reasons[0])


def _reason(base: _Unit, head: _Unit, any_protocol: bool) -> str | None:
    """Why two units are not comparable, or None."""
    for side, unit in (("base", base), ("head", head)):
        record = unit.record
        if record.failure is not None:
            return f"failed in {side}: {record.failure.message}"
        if record.status != "done":
            return f"skipped in {side}: {record.reason}"
    differing = [name for name in _differing(base, head) if name != TRAINING]
    if differing and not any_protocol:
        changes = ", ".join(
            f"{name} {base.record.protocol.get(name)} → {head.record.protocol.get(name)}"
            for name in differing
        )
        return f"protocol differs: {changes}"
    if not any_protocol and "train" in _parts_apart(base, head):
        return "other training images"
    return _image_difference(base, head)


def _differing(base: _Unit, head: _Unit) -> tuple[str, ...]:
    """Fields of the protocol, and training images; test images must be the same always."""
    left, right = base.record, head.record
    changed = []
    if left.protocol_digest != right.protocol_digest:
        names = sorted({*left.protocol, *right.protocol})
        changed = [n for n in names if left.protocol.get(n) != right.protocol.get(n)]
        if left.identity["scope"] == right.identity["scope"] == "separate":
            changed = [n for n in changed if n != "trained_categories"]
    return (*changed, *([TRAINING] if "train" in _parts_apart(base, head) else []))


def _parts_apart(base: _Unit, head: _Unit) -> tuple[str, ...]:
    return different_parts(base.record, head.record, base.category)


def _image_difference(base: _Unit, head: _Unit) -> str | None:
    left, right = dict(_labels(base)), dict(_labels(head))
    if not left or not right:
        return f"no per-image scores in {'head' if left else 'base'}"
    if left.keys() != right.keys():
        missing, new = sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys())
        first = (missing or new)[0]
        return (
            f"other images: {len(missing)} only in base, {len(new)} only in head (first: {first})"
        )
    changed = sorted(name for name in left if left[name] != right[name])
    if changed:
        return f"other labels for {len(changed)} images (first: {changed[0]})"
    if "test" in _parts_apart(base, head):
        return "other images: the same names, but their content changed"
    return None


def _labels(unit: _Unit) -> Iterator[tuple[str, int]]:
    images = unit.record.images
    if images:
        columns = zip(images["id"], images["category"], images["label"], strict=True)
        yield from ((name, label) for name, own, label in columns if own == unit.category)


def _case(pairs: Sequence[tuple[_Unit, _Unit]], by_method: bool) -> Case:
    base, head = pairs[0]
    own = base.record.identity
    names = [base.record.method, head.record.method]
    method = names[0] if by_method or names[0] == names[1] else f"{names[0]} → {names[1]}"
    return Case(
        dataset=own["dataset"],
        category=base.category,
        scope=own["scope"],
        preset=base.record.preset,
        method=method,
        pairs=tuple((b.record, h.record) for b, h in pairs),
        marks=_differing(base, head),
        masks_differ=any("masks" in _parts_apart(b, h) for b, h in pairs),
    )


def _told_apart(cases: Sequence[Case]) -> Iterator[Case]:
    """The same cases; those of one method under several protocols, or on several versions of the
    data, say which."""
    groups: dict[Key, dict[str, Record]] = {}
    namesakes = Counter(map(_place, cases))
    for case in cases:
        place = case.dataset, case.preset, case.method
        groups.setdefault(place, {})[case.protocols[0]] = case.pairs[0][0]
    for case in cases:
        others = [r.protocol for r in groups[case.dataset, case.preset, case.method].values()]
        own = case.pairs[0][0].protocol
        names = [n for n in own if any(other.get(n) != own[n] for other in others)]
        if any(other["scope"] == "separate" for other in others):
            names = [n for n in names if n != "trained_categories"]
        words = [f"{n.replace('_', ' ')} {_text(own[n])}" for n in names]
        if namesakes[_place(case)] > 1:  # on several versions of the data
            words.append(f"seed {', '.join(map(str, case.seeds))}")
        yield replace(case, told_apart=printable(", ".join(words)))


def _place(case: Case) -> Key:
    return case.dataset, case.category, case.scope, case.preset, case.method, case.protocols


def _text(value: object) -> str:
    return "none" if value is None else shortened(str(value))


def _standards(base: _Unit, head: _Unit) -> Key:
    """What the seeds of one case share: both protocols, what of the files differs, and images."""
    digests = base.record.protocol_digest, head.record.protocol_digest
    return (*digests, _parts_apart(base, head), frozenset(_labels(base)))


def _where(unit: _Unit) -> str:
    own = unit.record.identity
    return (
        f"{own['dataset']}:{unit.category} {unit.record.method} {unit.record.preset} "
        f"{own['scope']} seed {own['seed']}"
    )

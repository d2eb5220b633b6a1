"""Which numbers of two sides may be compared, and for every other one the reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from adbench.compare.sides import Side
from adbench.errors import shortened
from adbench.report.origin_notes import libraries_apart
from adbench.report.tables import MEAN
from adbench.store.comparability import data_versions, different_parts, newness, unknown_parts
from adbench.store.records import Record, shared_protocol
from adbench.text import printable

Key = tuple[Any, ...]
TRAINING = "training images"
"""Among the marks of a case: its sides were trained on other files."""


@dataclass(frozen=True)
class Case:
    """One category of one method on both sides, or the mean over some, seed by seed, on the same
    images.

    `pairs` holds (base, head) records; `marks` names the protocol's fields in which they differ,
    and training images that do, empty unless that was asked for; `masks_differ`: their pixel
    metrics are not comparable. `told_apart` says what sets the protocol apart from others of the
    same method, empty where there are none. `categories` are those in a mean.
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
    categories: int = 1

    @property
    def sides(self) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        """The seeds of base and of head."""
        base, head = zip(*self.pairs, strict=True)
        return base, head

    @property
    def protocols(self) -> tuple[str, str]:
        """Digests of base's and of head's."""
        base, head = self.pairs[0]
        return base.protocol_digest, head.protocol_digest

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the pairs."""
        return tuple(base.identity["seed"] for base, _ in self.pairs)

    @property
    def family(self) -> Key:
        """What it shares with the other categories of its mean."""
        own = self.dataset, self.scope, self.preset, self.method
        return (*own, self.seeds, self.marks, self.protocols)

    @property
    def place(self) -> str:
        """For people: data set and category."""
        category = f"mean of {self.categories}" if self.category == MEAN else self.category
        return f"{self.dataset}:{category}" + (f" ({self.told_apart})" if self.told_apart else "")

    @property
    def whose(self) -> str:
        """For people: method and preset."""
        return f"{self.method} {self.preset}"


class Incomparable(NamedTuple):
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
        """What a reader must know of what is compared: a part of the images, other settings or
        libraries, and files of which it is unknown whether they are the same."""
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

    @property
    def limit_notes(self) -> tuple[str, ...]:
        """Where what is compared is no benchmark result."""
        limited = any(b.identity["limit"] is not None for c in self.cases for b, _ in c.pairs)
        note = "--limit: a part of the images only; what is compared is no benchmark result."
        return (note,) if limited else ()


class Image(NamedTuple):
    """What a record keeps of one."""

    name: str
    label: int
    score: float


def images_of(record: Record, category: str) -> list[Image]:
    """Of one category, in the order of the record."""
    columns = (record.images.get(name, []) for name in ("id", "label", "score", "category"))
    return [
        Image(name, label, float(score))
        for name, label, score, own in zip(*columns, strict=True)
        if own == category
    ]


class _Unit(NamedTuple):
    record: Record
    category: str

    @property
    def labels(self) -> dict[str, int]:
        return {image.name: image.label for image in images_of(*self)}

    @property
    def where(self) -> str:
        own = self.record.identity
        return (
            f"{own['dataset']}:{self.category} {self.record.method} {self.record.preset} "
            f"{own['scope']} seed {own['seed']}"
        )


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
            match = _choose(unit, right.get(key, []), any_protocol)
            if isinstance(match, str):
                incomparable.append(Incomparable(unit.where, match))
            else:
                on = (v[u.record.keys["score"]] for v, u in zip(versions, (unit, match)))  # noqa: B905
                group = (*key[:-1], *_standards(unit, match), *on)
                cases.setdefault(group, []).append((unit, match))
    extra = [u.where for key, units in right.items() if key not in left for u in units]
    return Pairing(
        tuple(_told_apart([_case(pairs, by_method) for pairs in cases.values()])),
        tuple(incomparable),
        tuple(extra),
    )


def _units(side: Side, by_method: bool) -> dict[Key, list[_Unit]]:
    found: dict[Key, list[_Unit]] = {}
    for record in sorted(side.records, key=newness, reverse=True):
        own = record.identity
        method = (own["method"], record.variant) if by_method else ()
        for category in own["categories"]:
            key = (own["dataset"], category, record.preset, *method, own["seed"])
            found.setdefault(key, []).append(_Unit(record, category))
    return dict(sorted(found.items()))


def _choose(unit: _Unit, candidates: Sequence[_Unit], any_protocol: bool) -> _Unit | str:
    """The newest comparable candidate, of the same scope first, or why the first is none."""
    scope = unit.record.identity["scope"]
    candidates = sorted(candidates, key=lambda c: bool(c.record.identity["scope"] != scope))
    reasons = [_reason(unit, candidate, any_protocol) for candidate in candidates]
    for candidate, reason in zip(candidates, reasons, strict=True):
        if reason is None:
            return candidate
    return next(filter(None, reasons), "absent from head")


def _reason(base: _Unit, head: _Unit, any_protocol: bool) -> str | None:
    """Why two units are not comparable, or None."""
    for side, (record, _) in (("base", base), ("head", head)):
        if record.failure is not None:
            return f"failed in {side}: {record.failure.message}"
        if record.status != "done":
            return f"skipped in {side}: {record.reason}"
    differing = _differing(base, head)
    if fields := [name for name in differing if name != TRAINING and not any_protocol]:
        ours, theirs = base.record.protocol, head.record.protocol
        changes = ", ".join(f"{name} {ours.get(name)} → {theirs.get(name)}" for name in fields)
        return f"protocol differs: {changes}"
    if TRAINING in differing and not any_protocol:
        return "other training images"
    return _image_difference(base, head)


def _differing(base: _Unit, head: _Unit) -> tuple[str, ...]:
    """Fields of the protocol, and training images; test images must be the same always."""
    left, right = base.record, head.record
    names: list[str] = []
    if left.protocol_digest != right.protocol_digest:
        are_separate = left.identity["scope"] == right.identity["scope"] == "separate"
        names = _unequal_fields(left.protocol, [right.protocol], are_separate)
    return (*sorted(names), *([TRAINING] if "train" in _parts_apart(base, head) else []))


def _unequal_fields(
    own: Mapping[str, Any], others: Sequence[Mapping[str, Any]], are_separate: bool
) -> list[str]:
    """In which some of the others differ; separate models are trained on their own categories."""
    own, others = shared_protocol(own), list(map(shared_protocol, others))
    names = dict.fromkeys([*own, *(name for other in others for name in other)])
    return [
        name
        for name in names
        if any(other.get(name) != own.get(name) for other in others)
        and not (are_separate and name == "trained_categories")
    ]


def _parts_apart(base: _Unit, head: _Unit) -> tuple[str, ...]:
    return different_parts(base.record, head.record, base.category)


def _image_difference(base: _Unit, head: _Unit) -> str | None:
    left, right = base.labels, head.labels
    if not left or not right:
        return f"no per-image scores in {'head' if left else 'base'}"
    if left.keys() != right.keys():
        missing, new = sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys())
        return (
            f"other images: {len(missing)} only in base, {len(new)} only in head "
            f"(first: {(missing or new)[0]})"
        )
    changed = sorted(name for name in left if left[name] != right[name])
    if changed:
        return f"other labels for {len(changed)} images (first: {changed[0]})"
    if "test" in _parts_apart(base, head):
        return "other images: the same names, but their content changed"
    return None


def _standards(base: _Unit, head: _Unit) -> Key:
    """What the seeds of one case share: both protocols, what of the files differs, and images."""
    digests = base.record.protocol_digest, head.record.protocol_digest
    return (*digests, _parts_apart(base, head), frozenset(base.labels.items()))


def _case(pairs: Sequence[tuple[_Unit, _Unit]], by_method: bool) -> Case:
    base, head = pairs[0]
    own = base.record.identity
    names = [base.record.method, head.record.method]
    return Case(
        dataset=own["dataset"],
        category=base.category,
        scope=own["scope"],
        preset=base.record.preset,
        method=names[0] if by_method or names[0] == names[1] else " → ".join(names),
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
        are_separate = any(other["scope"] == "separate" for other in others)
        names = [n for n in _unequal_fields(own, others, are_separate) if n in own]
        words = [f"{n.replace('_', ' ')} {_text(own[n])}" for n in names]
        if namesakes[_place(case)] > 1:  # on several versions of the data
            words.append(f"seed {', '.join(map(str, case.seeds))}")
        yield replace(case, told_apart=printable(", ".join(words)))


def _place(case: Case) -> Key:
    return case.dataset, case.category, case.scope, case.preset, case.method, case.protocols


def _text(value: object) -> str:
    return "none" if value is None else shortened(str(value))

"""The notes below tables: what a reader must be told, and what of a report it holds for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from adbench.errors import AdbenchError
from adbench.registry import load_dataset
from adbench.report.beside import Beside, shown, size_text
from adbench.report.blocks import SHOWN, Numbers
from adbench.report.footnotes import cost_notes, footnotes, newest_of
from adbench.report.marks import Marks
from adbench.report.tables import GROUP, MEAN, group_of, grouped
from adbench.report.text_table import marked
from adbench.store.records import shared_protocol
from adbench.text import printable

About = Literal["protocol", "ours", "published", "timing"]


@dataclass(frozen=True)
class Note:
    """One sentence or two, and whether about a protocol, our numbers, published ones or times
    and skill."""

    about: About
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text))


def notes(numbers: Numbers, metrics: Sequence[str] = SHOWN) -> list[Note]:
    """All that tables with these metrics need below them, most important first."""
    records, marks = numbers.records, numbers.marks
    protocols: dict[str, dict[str, Any]] = {}
    for (digest, _), own in marks.standards.items():
        protocols.setdefault(digest, own[0].protocol)
    about_cost = cost_notes(records, numbers.names)
    named = ((f"Protocol {marks.letter(d)}".rstrip(), own) for d, own in protocols.items())
    texts: list[tuple[About, Iterable[str]]] = [
        ("protocol", (f"{head}: {describe(own)}" for head, own in named)),
        ("ours", _protocol_differences(protocols, marks)),
        ("ours", marks.data_notes()),
        ("published", _published(numbers, metrics)),
        ("ours", _categories(numbers)),
        ("ours", (note for note in footnotes(records) if note not in about_cost)),
        ("timing", about_cost),
    ]
    return [Note(about, text) for about, own in texts for text in own]


# ---------------------------------------------------------------------------- protocols


def describe(protocol: Mapping[str, Any]) -> str:
    """A protocol in one sentence."""
    crop = f", centre crop {protocol['crop']}" if protocol["crop"] else ""
    scope = "one model per category"
    if protocol["scope"] == "unified":
        scope = f"one model for {len(protocol['trained_categories'])} categories"
    known = {
        "dataset", "dataset_version", "scope", "trained_categories", "image_size", "crop",
        "evaluation_size", "mask_rule", "mask_threshold", "metrics", "aupro_limits", "selection",
        "limit", "backbone", "weights_sha256", "selected", "selection_sha256", "held_out",
        "calibrate",
    }  # fmt: skip
    backbone = ""
    if protocol.get("backbone"):
        weights = str(protocol.get("weights_sha256") or "unknown")[:12]
        backbone = f", backbone {protocol['backbone']} (weights {weights})"
    selection = f"{protocol['selection']} checkpoint"
    if "selected" in protocol:
        selection = (
            f"last checkpoint, {' and '.join(protocol['selected'])} chosen on "
            f"{protocol['selection']} images (file {protocol['selection_sha256'][:8]})"
        )
    held_out = shared_protocol(protocol).get("held_out")
    unseen = f", {held_out} normals held out" if held_out else ""
    if protocol.get("calibrate"):
        unseen += f", {100 * protocol['calibrate']:g} % of the normals kept to calibrate"
    rest = "".join(f", {k} {v}" for k, v in sorted(protocol.items()) if k not in known)
    return (
        f"{protocol['dataset']} version {protocol['dataset_version']}, {scope}, images resized to "
        f"{protocol['image_size']}{crop}, scored at {protocol['evaluation_size']} pixels with "
        f"masks by {protocol['mask_rule']} (value > {protocol['mask_threshold']}), metrics "
        f"{protocol['metrics']}, {selection}{backbone}{unseen}{rest}."
    )


def _protocol_differences(
    protocols: Mapping[str, Mapping[str, Any]], marks: Marks
) -> Iterable[str]:
    """What sets each further protocol of a data set apart from its first, in one line."""
    for dataset, own in grouped(protocols.items(), lambda item: item[1]["dataset"]).items():
        (digest, first), *others = own
        first = shared_protocol(first)
        for other_digest, whole in others:
            other = shared_protocol(whole)
            apart = [
                f"{name.replace('_', ' ')} ({_short(first.get(name))}, {_short(other.get(name))})"
                for name in dict.fromkeys([*first, *other])
                if first.get(name) != other.get(name) and not _follows(name, first, other)
            ]
            pair = f"{marks.letter(digest)} and {marks.letter(other_digest)}"
            yield (
                f"{dataset}: protocols {pair} differ in {', '.join(apart)}; their numbers are not "
                "ranked together."
            )


def _follows(name: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a difference is but the consequence of another one, or none at all: a separate
    model's own category, the weights of another backbone."""
    if name == "weights_sha256":
        return bool(first.get("backbone") != other.get("backbone"))
    return name == "trained_categories" and "separate" in (first["scope"], other["scope"])


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them" if len(value) > 3 else " ".join(map(str, value))
    return "none" if value is None else str(value)[:24]


# --------------------------------------------------------------------------- categories


def _categories(numbers: Numbers) -> Iterable[str]:
    """Methods whose means are over different categories, and categories that no record has."""
    places = grouped(numbers.summaries, lambda s: (s["dataset"], s["scope"]))
    for (dataset, scope), own in places.items():
        sets = {
            group: {s["category"] for s in summaries} - {MEAN}
            for group, summaries in grouped(own, group_of).items()
        }
        if len(set(map(frozenset, sets.values()))) > 1:
            listed = "; ".join(
                f"{_named(dict(zip(GROUP, group, strict=True)), numbers)}: "
                f"{', '.join(sorted(over))}"
                for group, over in sets.items()
            )
            yield (
                f"{dataset}, {scope}: means over different categories are not ranked together "
                f"({listed})."
            )
        findings = newest_of(dataset, numbers.records).data.get("findings", [])
        if any(finding["check"] == "categories" for finding in findings):
            continue  # a footnote tells of a partial copy of the data already
        try:
            every = load_dataset(dataset).card.categories
        except AdbenchError:  # a user's own file, which a record does not name
            continue
        there: set[str] = set().union(*sets.values())
        absent = [category for category in every if category not in there]
        if absent:
            no_mean = ", and in no mean" if len(there) > 1 else ""
            yield f"{dataset}, {scope}: excluded{no_mean}: {', '.join(absent)}."


def _named(summary: Mapping[str, Any], numbers: Numbers) -> str:
    """As in the tables."""
    return marked(numbers.names.of(summary), numbers.marks.of({**summary, "data_known": True}))


# ---------------------------------------------------------------------------- published


def _published(numbers: Numbers, metrics: Sequence[str]) -> Iterable[str]:
    """Source and protocol of each reported column in a table with these metrics, what sets ours
    apart, and which reported variants are left out."""
    found = numbers.beside
    visible = shown(found, metrics)
    for mark, own in grouped(visible, lambda b: b.mark).items():
        yield _source(mark, own)
    yield from dict.fromkeys(_against(b, numbers) for b in visible if b.run is not None)
    if any(b.differences for b in visible):
        yield "≠: under another protocol or with other settings than ours, as the notes above say."
    if any(b.compared_with is not None for b in visible):
        yield (
            "Ours − reported is in percentage points, in the paper's digits; in: the 95 % interval "
            "of ours holds the reported number, give or take its rounding; out: it does not. "
            "Intervals: image metrics by resampling test images, others over seeds."
        )
    if left_out := Counter(b.name.split(" ")[0] for b in found if b not in visible):
        each = ", ".join(f"{name} {count}" for name, count in left_out.items())
        yield (
            f"Reported variants that we have no run of, or that have none of these metrics, are "
            f"left out ({each}); --format csv and --json have them."
        )


def _source(mark: str, group: Sequence[Beside]) -> str:
    numbers = (number for b in group for number in b.column.numbers.values())
    sources = (number.source.rpartition(", ") for number in numbers)
    tables = grouped(dict.fromkeys(sources), lambda source: source[0])
    named = "; ".join(f"{paper}, {', '.join(s[2] for s in own)}" for paper, own in tables.items())
    first = group[0].column.first
    theirs = (b.column.first for b in group)
    backbones = dict.fromkeys(f"{n.name} {n.backbone}" for n in theirs if n.backbone)
    return (
        f"[{mark}] as reported, not run here: {named}; {first.scope}, images resized to "
        f"{size_text(first.image_size, first.crop)}, masks {first.mask_rule or 'not stated'}, "
        f"backbones: {', '.join(backbones) or 'none stated'}."
    )


def _against(item: Beside, numbers: Numbers) -> str:
    assert item.run is not None
    where = f"{item.column.first.dataset}: {item.name} [{item.mark}]"
    ours = marked(numbers.names.of(item.run.first), item.run.mark)
    if not item.differences:
        return (
            f"{where} and {ours} agree in data-set version, trained categories, scope, image size, "
            "backbone and hyper-parameters; whether the files are the same is unknown."
        )
    apart = "; ".join(f"{d.what}: ours {d.ours}, theirs {d.reported}" for d in item.differences)
    return f"{where} is not compared with {ours}. {apart[0].upper()}{apart[1:]}."

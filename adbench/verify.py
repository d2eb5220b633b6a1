"""Checks of a data set on the disk: the cheap ones before each run, all for `data verify`.

Nothing is written into the data set's folder, and nothing stops at the first flaw.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from PIL import Image

from adbench.contracts import JSON, CategoryCard, Dataset, Geometry, Sample
from adbench.errors import DataError, UnknownNameError
from adbench.images import MaskRule, decode_image, decode_mask, resize_mask
from adbench.metrics import count_regions

Severity = Literal["error", "warning", "note"]

_SHOWN = 5
"""Paths named by one finding; the others are counted."""

_PIXEL_CHECKS = ("decode", "mask decode", "mask size", "empty mask", "lost mask")


# --------------------------------------------------------------------- what a data set may offer


class Flaw(Protocol):
    """One flaw of one file, as a data set's `inspect` reports it."""

    @property
    def severity(self) -> Severity: ...
    @property
    def check(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def path(self) -> str: ...


class Inspected(Protocol):
    """One category as `inspect(root, category)` of a data set gives it, where it has one.

    `samples` as by the contract, but a defect image without a mask has `mask_path` None;
    `missing` and `extra` are names compared with the release; `renamed` maps paths here to
    paths in the release. For a data set without `inspect`, `samples` alone is looked at.
    """

    @property
    def samples(self) -> Sequence[Sample]: ...
    @property
    def problems(self) -> Sequence[Flaw]: ...
    @property
    def missing(self) -> Sequence[str]: ...
    @property
    def extra(self) -> Sequence[str]: ...
    @property
    def renamed(self) -> Mapping[str, str]: ...


class _Flaw(NamedTuple):
    severity: Severity
    check: str
    message: str
    path: str


@dataclass(frozen=True)
class _Plain:
    samples: Sequence[Sample]
    problems: Sequence[Flaw] = ()
    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


# -------------------------------------------------------------------------------------- results


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw in one category (or in the whole root, where `category` is None).

    Attributes:
        message: one line, without the root's own path.
        paths: up to five of the files or names concerned, relative to the root.
        count: how many there are.
    """

    severity: Severity
    category: str | None
    check: str
    message: str
    paths: tuple[str, ...] = ()
    count: int = 0

    def __str__(self) -> str:
        where = f"{self.category}: " if self.category else ""
        line = f"{self.severity}: {where}{self.message}"
        if all(path in line for path in self.paths):
            return line
        more = f" and {self.count - len(self.paths)} more" * (self.count > len(self.paths))
        return f"{line} [{', '.join(self.paths)}{more}]"

    def to_json(self) -> dict[str, JSON]:
        """Plain values, for records."""
        return {**asdict(self), "paths": list(self.paths)}


@dataclass(frozen=True, slots=True)
class CategorySummary:
    """What a category holds; sizes and modes with how many images have them.

    `exact_release` says whether all of the card's path digests match; None where it has none.
    `regions` counts anomalous regions at native size, `regions_kept` at the evaluation size.
    """

    category: str
    train: int
    test_good: int
    defects: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    exact_release: bool | None
    regions: int
    regions_kept: int

    def __str__(self) -> str:
        defects = ", ".join(f"{name} {count}" for name, count in self.defects.items())
        release = {True: "names as released", False: "names differ from the release", None: ""}
        parts = [
            f"{self.train} train",
            f"{self.test_good} normal and {sum(self.defects.values())} anomalous test images"
            + f" ({defects})" * bool(defects),
            _several(self.sizes, "sizes"),
            _several(self.modes, "modes"),
            f"{self.regions} anomalous regions ({self.regions_kept} at the evaluation size)",
            release[self.exact_release],
        ]
        return f"{self.category}: {'; '.join(p for p in parts if p)}"


@dataclass(frozen=True)
class Report:
    """All findings, in the order of the checks, and one summary a category."""

    dataset: str
    version: str
    layout: str | None
    findings: tuple[Finding, ...]
    summaries: tuple[CategorySummary, ...]
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """4 for an error, or under `strict` a warning; 0 otherwise."""
        fatal = {"error", "warning"} if self.strict else {"error"}
        return DataError.exit_code if any(f.severity in fatal for f in self.findings) else 0

    def to_json(self) -> dict[str, JSON]:
        """Plain values; no path of the machine."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "layout": self.layout,
            "exit_code": self.exit_code,
            "findings": [f.to_json() for f in self.findings],
            "summaries": [asdict(s) for s in self.summaries],
        }


# ----------------------------------------------------------------------------------- the checks


def quick_check(dataset: Dataset, root: Path, categories: Sequence[str]) -> list[Finding]:
    """The checks that open no image: layout, categories, counts, names, digests, pairing.

    Args:
        dataset: the data set.
        root: what its `find_root` gave.
        categories: those to check; empty means all that are present.

    Raises:
        UnknownNameError: the data set has no such category.
    """
    return _look(dataset, root, categories)[1]


def verify(
    dataset: Dataset,
    root: Path,
    categories: Sequence[str] = (),
    *,
    evaluation_size: int = 256,
    mask_rule: MaskRule = "nearest",
    strict: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """All checks; decodes every image and mask.

    Args:
        dataset: the data set.
        root: what its `find_root` gave.
        categories: those to check; empty means all that are present.
        evaluation_size: side in pixels at which masks must still show their defects.
        mask_rule: how masks are resized to it.
        strict: let warnings fail too.
        progress: called as `progress(category, done, total)` after each image.

    Raises:
        UnknownNameError: the data set has no such category.
    """
    layout, findings, inspected = _look(dataset, root, categories)
    geometry = Geometry(resize=evaluation_size)
    look = partial(_see, root, dataset.card.mask_threshold, geometry, mask_rule)
    total = sum(len(i.samples) for i in inspected.values())
    done = 0
    summaries = []
    for category, found in inspected.items():
        seen = []
        for one in _in_threads(look, found.samples):
            seen.append(one)
            done += 1
            if progress is not None:
                progress(category, done, total)
        findings += _pixel_findings(category, found.samples, seen, geometry)
        card = dataset.card.categories.get(category, CategoryCard())
        summaries.append(_summary(category, card, found, seen))
    return Report(
        dataset=dataset.card.name,
        version=dataset.card.version,
        layout=layout,
        findings=tuple(findings),
        summaries=tuple(summaries),
        strict=strict,
    )


def _look(
    dataset: Dataset, root: Path, categories: Sequence[str]
) -> tuple[str | None, list[Finding], dict[str, Inspected]]:
    """The layout, findings of the cheap checks, and the categories that could be inspected."""
    card = dataset.card
    try:
        layout = dataset.recognise_layout(root)
        present = dataset.available_categories(root)
    except DataError as error:
        return None, [Finding("error", None, "layout", _without_root(error, root))], {}
    for category in categories:
        if category not in present and category not in card.categories:
            raise UnknownNameError(f"category of {card.name}", category, card.categories or present)
    findings = _presence(tuple(card.categories), present, categories)
    inspected: dict[str, Inspected] = {}
    for category in dict.fromkeys(categories or present):
        if category not in present:
            continue
        try:
            found = _inspect(dataset, root, category)
        except DataError as error:
            findings.append(Finding("error", category, "layout", _without_root(error, root)))
            continue
        inspected[category] = found
        findings += _release_findings(category, card.categories.get(category), found)
        findings += _grouped(category, found.problems)
    return layout, findings, inspected


def _inspect(dataset: Dataset, root: Path, category: str) -> Inspected:
    inspect: Callable[[Path, str], Inspected] | None = getattr(dataset, "inspect", None)
    if inspect is None:
        return _Plain(dataset.samples(root, [category]))
    return inspect(root, category)


def _presence(known: Sequence[str], present: Sequence[str], wanted: Sequence[str]) -> list[Finding]:
    have = ", ".join(present) or "none"
    findings = [
        Finding("error", c, "categories", f"{c} is absent; present: {have}")
        for c in dict.fromkeys(wanted)
        if c not in present
    ]
    absent = [c for c in known if c not in present]
    if absent:
        message = f"{len(present)} of {len(known)} categories are present ({have}); missing: "
        message += ", ".join(absent)
        findings.append(_finding("warning", None, "categories", message, absent))
    elif not present:
        findings.append(Finding("error", None, "categories", "no category is present"))
    return findings


def _release_findings(category: str, card: CategoryCard | None, found: Inspected) -> list[Finding]:
    """Counts, names and digests against the card."""
    if card is None:
        return []
    findings = []
    wrong = _wrong_counts(card, found.samples)
    if wrong:
        findings.append(Finding("warning", category, "counts", "; ".join(wrong)))
    if found.missing:
        message = f"{len(found.missing)} images of the release are missing"
        findings.append(_finding("warning", category, "missing", message, found.missing))
    if found.extra:
        message = f"{len(found.extra)} images are not in the release"
        findings.append(_finding("warning", category, "extra", message, found.extra))
    differ = [what for what, same in _digests_match(card, found).items() if not same]
    if differ:
        message = f"the names of {' and '.join(differ)} are not those of the release"
        findings.append(Finding("warning", category, "digest", message))
    return findings


def _wrong_counts(card: CategoryCard, samples: Iterable[Sample]) -> list[str]:
    found: Counter[str] = Counter()
    for s in samples:
        found[f"{s.split} {'anomalous' if s.label else 'good'}"] += 1
        if s.label:
            found[f"defect {s.defect}"] += 1
    expected = {
        "train good": card.train_good,
        "test good": card.test_good,
        "test anomalous": card.test_anomalous,
        **{f"defect {name}": count for name, count in card.defects.items()},
    }
    return [
        f"{what}: found {found[what]}, expected {count}"
        for what, count in expected.items()
        if count is not None and found[what] != count
    ]


def _digests_match(card: CategoryCard, found: Inspected) -> dict[str, bool]:
    """For each digest on the card, whether the paths here have it."""
    samples = found.samples
    listings = {
        "images": (card.image_paths_sha256, [s.path for s in samples]),
        "masks": (card.mask_paths_sha256, [s.mask_path for s in samples if s.mask_path]),
        "training images": (
            card.train_paths_sha256,
            [s.path for s in samples if s.split == "train"],
        ),
    }
    return {
        what: expected == _digest(found.renamed.get(p, p) for p in paths)
        for what, (expected, paths) in listings.items()
        if expected is not None
    }


def _digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()


# ----------------------------------------------------------------------------------- the pixels


class _Seen(NamedTuple):
    """One image and its mask, decoded and forgotten."""

    size: tuple[int, int] | None
    """Width and height in pixels; None where the image cannot be decoded."""
    mode: str
    content: str
    flaws: list[_Flaw]
    regions: int = 0
    regions_kept: int = 0


def _see(root: Path, threshold: int, geometry: Geometry, rule: MaskRule, sample: Sample) -> _Seen:
    file = root / sample.path
    try:
        height, width, _ = decode_image(file).shape
        mode, content = _mode_and_content(file)
    except DataError as error:
        flaw = _Flaw("error", "decode", _without_root(error, root), sample.path)
        return _Seen(None, "", "", [flaw])
    size = (width, height)
    if sample.mask_path is None:
        return _Seen(size, mode, content, [])
    try:
        mask = decode_mask(root / sample.mask_path, threshold)
    except DataError as error:
        flaw = _Flaw("error", "mask decode", _without_root(error, root), sample.mask_path)
        return _Seen(size, mode, content, [flaw])
    kept = resize_mask(mask, geometry, rule)
    flaws = []
    path = sample.mask_path
    if mask.shape != (height, width):
        message = f"{path} is {mask.shape[1]}x{mask.shape[0]}, its image {width}x{height}"
        flaws.append(_Flaw("error", "mask size", f"{message}: expected equal sizes", path))
    if not mask.any():
        message = f"{path} has no value above {threshold}; its image stays anomalous"
        flaws.append(_Flaw("warning", "empty mask", f"{message}, as its folder says", path))
    elif not kept.any():
        message = f"{path} is empty once resized to {geometry.size} by {rule}"
        flaws.append(_Flaw("warning", "lost mask", message, path))
    return _Seen(size, mode, content, flaws, count_regions(mask), count_regions(kept))


def _mode_and_content(file: Path) -> tuple[str, str]:
    """The mode that Pillow names, and the SHA-256 of the file."""
    data = file.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, hashlib.sha256(data).hexdigest()


def _in_threads(look: Callable[[Sample], _Seen], samples: Sequence[Sample]) -> Iterator[_Seen]:
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from pool.map(look, samples)
    finally:  # on Ctrl-C, do not decode what is still queued
        pool.shutdown(cancel_futures=True)


def _pixel_findings(
    category: str, samples: Sequence[Sample], seen: Sequence[_Seen], geometry: Geometry
) -> list[Finding]:
    flaws = [flaw for one in seen for flaw in one.flaws]
    findings = []
    for check in _PIXEL_CHECKS:
        findings += _grouped(category, [f for f in flaws if f.check == check])
    regions, kept = sum(s.regions for s in seen), sum(s.regions_kept for s in seen)
    if kept < regions:
        message = f"{kept} of {regions} anomalous regions are left at {geometry.size} pixels"
        findings.append(Finding("note", category, "regions", message, count=regions - kept))
    modes = Counter(s.mode for s in seen if s.size is not None)
    if len(modes) > 1:
        message = f"images of several modes ({_several(modes, 'modes')}); all are read as RGB"
        findings.append(Finding("note", category, "mode", message))
    return findings + _duplicates(category, samples, seen)


def _duplicates(category: str, samples: Sequence[Sample], seen: Sequence[_Seen]) -> list[Finding]:
    """Equal files: on both sides of the split, under both labels, or merely twice."""
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for sample, one in zip(samples, seen, strict=True):
        if one.size is not None:
            by_content[one.content].append(sample)
    flaws = []
    for group in by_content.values():
        names = " = ".join(s.path for s in group[:_SHOWN])
        if len({s.split for s in group}) > 1:
            flaw = _Flaw("warning", "leak", f"in training and test: {names}", group[0].path)
        elif len({s.label for s in group}) > 1:
            message = f"normal and anomalous at once: {names}"
            flaw = _Flaw("warning", "two labels", message, group[0].path)
        elif len(group) > 1:
            flaw = _Flaw("note", "duplicate", f"the same file twice: {names}", group[0].path)
        else:
            continue
        flaws.append(flaw)
    return _grouped(category, flaws)


def _summary(
    category: str, card: CategoryCard, found: Inspected, seen: Sequence[_Seen]
) -> CategorySummary:
    samples = found.samples
    same = _digests_match(card, found)
    decoded = [s for s in seen if s.size is not None]
    return CategorySummary(
        category=category,
        train=sum(s.split == "train" for s in samples),
        test_good=sum(s.split == "test" and not s.label for s in samples),
        defects=dict(sorted(Counter(s.defect for s in samples if s.label).items())),
        sizes=dict(Counter(f"{s.size[0]}x{s.size[1]}" for s in decoded if s.size).most_common()),
        modes=dict(Counter(s.mode for s in decoded).most_common()),
        exact_release=all(same.values()) if same else None,
        regions=sum(s.regions for s in seen),
        regions_kept=sum(s.regions_kept for s in seen),
    )


# ------------------------------------------------------------------------------------ the words


def _finding(
    severity: Severity, category: str | None, check: str, message: str, paths: Sequence[str]
) -> Finding:
    return Finding(severity, category, check, message, tuple(paths[:_SHOWN]), len(paths))


def _grouped(category: str, flaws: Iterable[Flaw]) -> list[Finding]:
    """One finding for all flaws of a kind; the first one's message stands for all."""
    kinds: dict[tuple[Severity, str], list[Flaw]] = defaultdict(list)
    for flaw in flaws:
        kinds[flaw.severity, flaw.check].append(flaw)
    findings = []
    for (severity, check), same in kinds.items():
        message = same[0].message + (f" (and {len(same) - 1} more)" if len(same) > 1 else "")
        findings.append(_finding(severity, category, check, message, [f.path for f in same]))
    return findings


def _several(counts: Mapping[str, int], what: str) -> str:
    """ "RGB", or "RGB 80, L 3", or "17 sizes" where there are many."""
    if len(counts) > 3:
        return f"{len(counts)} {what}"
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _without_root(error: DataError, root: Path) -> str:
    """The message without the machine's path, which no record may hold."""
    message = str(error).replace(f"{root}{os.sep}", "")
    return message.replace(str(root), "DIR") if root.is_absolute() else message

"""The checks of a data set that decode its images and masks."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adbench.contracts import CategoryCard, Geometry, Sample
from adbench.decode import image_mode
from adbench.errors import DataError
from adbench.images import MaskRule, decode_image, decode_mask, resize_mask
from adbench.machine.threads import in_threads
from adbench.metrics import count_regions
from adbench.verification.findings import (
    SHOWN,
    CategorySummary,
    Finding,
    Severity,
    grouped,
    several,
)
from adbench.verification.inspection import Inspected, without_root
from adbench.verification.names import digests_match

_CHECKS = ("decode", "mask decode", "mask size", "empty mask", "lost mask")


class _Flaw(NamedTuple):
    severity: Severity
    check: str
    message: str
    path: str


class Seen(NamedTuple):
    """One image and its mask, decoded and forgotten."""

    size: tuple[int, int] | None
    """Width and height in pixels; None where the image cannot be decoded."""
    mode: str
    content: str
    flaws: list[_Flaw]
    regions: int = 0
    regions_kept: int = 0


def look_at(root: Path, threshold: int, geometry: Geometry, rule: MaskRule, sample: Sample) -> Seen:
    """Decode one image and its mask; what is wrong with them becomes flaws."""
    file = root / sample.path
    try:
        height, width, _ = decode_image(file).shape
        mode, content = image_mode(file), _content(file)
    except (DataError, MemoryError, OSError) as error:
        return Seen(None, "", "", [_undecoded("decode", error, root, sample.path)])
    seen = Seen((width, height), mode, content, [])
    if sample.mask_path is None:
        return seen
    try:
        mask = decode_mask(root / sample.mask_path, threshold)
    except (DataError, MemoryError) as error:
        return seen._replace(flaws=[_undecoded("mask decode", error, root, sample.mask_path)])
    kept = resize_mask(mask, geometry, rule)
    flaws = _mask_flaws(sample.mask_path, mask, kept, (width, height), threshold, rule)
    regions = count_regions(mask)
    return seen._replace(flaws=flaws, regions=regions, regions_kept=count_regions(kept))


def _undecoded(check: str, error: BaseException, root: Path, path: str) -> _Flaw:
    message = without_root(error, root)
    if isinstance(error, MemoryError):
        message = f"{path}: there is not enough memory to decode it"
    return _Flaw("error", check, message, path)


def _mask_flaws(
    path: str,
    mask: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    size: tuple[int, int],
    threshold: int,
    rule: MaskRule,
) -> list[_Flaw]:
    """What is wrong with a mask at native size and with `kept`, the same at the scored size."""
    flaws = []
    if mask.shape != size[::-1]:
        message = f"{path} is {mask.shape[1]}x{mask.shape[0]}, its image {size[0]}x{size[1]}"
        flaws.append(_Flaw("error", "mask size", f"{message}: expected equal sizes", path))
    if not mask.any():
        message = f"{path} has no value above {threshold}; its image stays anomalous"
        flaws.append(_Flaw("warning", "empty mask", f"{message}, as its folder says", path))
    elif not kept.any():
        message = f"{path} is empty once resized to {len(kept)} by {rule}"
        flaws.append(_Flaw("warning", "lost mask", message, path))
    return flaws


def _content(file: Path) -> str:
    """The SHA-256 of the file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def look_at_all(look: Callable[[Sample], Seen], samples: Sequence[Sample]) -> Iterator[Seen]:
    """What `look` sees in each sample, in order, by a thread a core."""
    yield from in_threads(look, samples)


def pixel_findings(
    category: str, samples: Sequence[Sample], seen: Sequence[Seen], geometry: Geometry
) -> list[Finding]:
    """Findings of one category, all flaws of a kind in one."""
    flaws = [flaw for one in seen for flaw in one.flaws]
    findings = []
    for check in _CHECKS:
        findings += grouped(category, [f for f in flaws if f.check == check])
    regions, kept = sum(s.regions for s in seen), sum(s.regions_kept for s in seen)
    if kept < regions:
        message = f"{kept} of {regions} anomalous regions are left at {geometry.size} pixels"
        findings.append(Finding("note", category, "regions", message, count=regions - kept))
    modes = Counter(s.mode for s in seen if s.size is not None)
    if len(modes) > 1:
        message = f"images of several modes ({several(modes, 'modes')}); all are read as RGB"
        findings.append(Finding("note", category, "mode", message))
    return findings + _duplicates(category, samples, seen)


def _duplicates(category: str, samples: Sequence[Sample], seen: Sequence[Seen]) -> list[Finding]:
    """Equal files: on both sides of the split, under both labels, or merely twice."""
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for sample, one in zip(samples, seen, strict=True):
        if one.size is not None:
            by_content[one.content].append(sample)
    flaws = []
    for group in by_content.values():
        names = " = ".join(s.path for s in group[:SHOWN])
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
    return grouped(category, flaws)


def summarise(
    category: str, card: CategoryCard, found: Inspected, seen: Sequence[Seen]
) -> CategorySummary:
    """What one category holds."""
    samples = found.samples
    same = digests_match(card, found)
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

"""The checks of a data set that decode its images and masks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adbench.contracts import CategoryCard, Geometry, Sample
from adbench.data.decode import image_header, plain_image, room_for
from adbench.data.doubts import ImageLook, Looked, MaskLook, duplicates, other_size
from adbench.data.findings import (
    CategorySummary,
    FileFlaw,
    Finding,
    grouped,
    several,
)
from adbench.data.images import MaskRule, decode_mask, resize_mask
from adbench.data.inspection import Inspected, without_root
from adbench.data.looks import look_at_mask
from adbench.data.names import digests_match
from adbench.errors import DataError
from adbench.machine.threads import in_threads
from adbench.metrics.exact import count_regions
from adbench.store.regular_files import open_regular

_CHECKS = ("decode", "transparency", "mask decode", "mask size", "lost mask")


class Seen(NamedTuple):
    """One image and its mask, decoded and forgotten."""

    size: tuple[int, int] | None
    """Width and height in pixels; None where the image cannot be decoded."""
    mode: str
    content: str
    flaws: list[FileFlaw]
    regions: int = 0
    regions_kept: int = 0
    look: ImageLook | None = None
    mask: MaskLook | None = None
    """Of the mask, where it can be decoded."""


def look_at(root: Path, threshold: int, geometry: Geometry, rule: MaskRule, sample: Sample) -> Seen:
    """Decode one image and its mask; what is wrong with them becomes flaws."""
    file = root / sample.path
    header = None
    try:
        header = image_header(file)
        with plain_image(file):
            content = _content(file)
    except (DataError, MemoryError, OSError) as error:
        flaw = _undecoded("decode", error, root, sample.path)
        if header is not None and header.has_alpha and "with transparency" in flaw.message:
            flaw = flaw._replace(check="transparency")
        return Seen(None, "", "", [flaw])
    size = (header.width, header.height)
    look = ImageLook(*size, header.orientation)
    seen = Seen(size, header.mode, content, [], look=look)
    if sample.mask_path is None:
        return seen
    try:
        with room_for(root / sample.mask_path):
            return _with_mask(seen, root, sample.mask_path, sample, threshold, geometry, rule)
    except (DataError, MemoryError) as error:
        return seen._replace(flaws=[_undecoded("mask decode", error, root, sample.mask_path)])


def _with_mask(
    seen: Seen,
    root: Path,
    path: str,
    sample: Sample,
    threshold: int,
    geometry: Geometry,
    rule: MaskRule,
) -> Seen:
    """What the mask at `path` adds to the look at its image."""
    assert seen.look is not None
    mask_look = look_at_mask(root / path)
    mask = decode_mask(root / path, threshold)
    kept = resize_mask(mask, geometry, rule)
    flaws = []
    if mask.any() and not kept.any():
        message = f"{path} is empty once resized to {len(kept)} by {rule}"
        flaws.append(FileFlaw("warning", "lost mask", message, path))
    if mask.shape != (seen.look.height, seen.look.width):
        message = other_size(path, sample.path, seen.look, mask_look)
        flaws.insert(0, FileFlaw("error", "mask size", message, path))
    return seen._replace(
        flaws=flaws,
        mask=mask_look,
        regions=count_regions(mask),
        regions_kept=count_regions(kept),
    )


def _undecoded(check: str, error: BaseException, root: Path, path: str) -> FileFlaw:
    message = without_root(error, root)
    if isinstance(error, MemoryError):
        message = f"{path}: there is not enough memory to decode it"
    return FileFlaw("error", check, message, path)


def _content(file: Path) -> str:
    """The SHA-256 of the file."""
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def look_at_all(look: Callable[[Sample], Seen], samples: Sequence[Sample]) -> Iterator[Seen]:
    """What `look` sees in each sample, in order, by a thread a core."""
    yield from in_threads(look, samples)


def pixel_findings(
    category: str,
    samples: Sequence[Sample],
    seen: Sequence[Seen],
    geometry: Geometry,
) -> list[Finding]:
    """What only the decoded pixels show of one category, all flaws of a kind in one finding."""
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
    contents = [
        (sample, one.content)
        for sample, one in zip(samples, seen, strict=True)
        if one.size is not None
    ]
    return findings + duplicates(category, contents)


def looked_at(
    root: Path, samples: Sequence[Sample], seen: Sequence[Seen], of_normals: Mapping[str, str]
) -> Looked:
    """What the same looks give that `run` takes before it starts."""
    masks = {s.mask_path: one.mask for s, one in zip(samples, seen, strict=True) if s.mask_path}

    def one(path: str) -> MaskLook | None:
        try:
            return look_at_mask(root / path)
        except (DataError, MemoryError):  # a file that nobody needs
            return None

    extra = sorted(set(of_normals.values()))
    masks |= zip(extra, in_threads(one, extra), strict=True)
    images = {s.path: one.look for s, one in zip(samples, seen, strict=True)}
    return Looked(images, masks, of_normals)


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

"""One pass over the images and masks of a category that decodes all of them, for `data verify`."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adbench.contracts import CategoryCard, Dataset, Geometry, Inspection, Problem, Sample
from adbench.data.decode import ImageHeader, image_header, plain_image, room_for
from adbench.data.doubts import CategoryFiles, other_size
from adbench.data.findings import CategorySummary, Finding, grouped, several, without_root
from adbench.data.images import MaskRule, decode_mask, resize_mask
from adbench.data.looks import MaskLook, look_at_files, look_at_mask
from adbench.data.names import digests_match
from adbench.data.shrinking import shrunk
from adbench.errors import DataError
from adbench.metrics.exact import count_regions
from adbench.store.regular_files import open_regular

_CHECKS = ("decode", "transparency", "mask decode", "mask size", "lost mask")


@dataclass
class Seen:
    """One image and its mask, decoded and forgotten."""

    header: ImageHeader | None = None
    content: str = ""
    """SHA-256 of the image's file; empty where it cannot be decoded."""
    mask: MaskLook | None = None
    regions: int = 0
    regions_kept: int = 0
    flaws: list[Problem] = field(default_factory=list)


def look_at(root: Path, threshold: int, geometry: Geometry, rule: MaskRule, sample: Sample) -> Seen:
    """Decode one image and its mask; what is wrong with them becomes flaws."""
    seen, file = Seen(), root / sample.path
    with _noted(seen, "decode", root, sample.path):
        seen.header = image_header(file)
        with plain_image(file), open_regular(file) as stream:
            seen.content = hashlib.file_digest(stream, "sha256").hexdigest()
    if seen.header is not None and seen.content and sample.mask_path is not None:
        path = sample.mask_path
        with _noted(seen, "mask decode", root, path), room_for(root / path):
            look, mask = look_at_mask(root / path), decode_mask(root / path, threshold)
            kept = resize_mask(mask, geometry, rule)
            seen.regions, seen.regions_kept = count_regions(mask), count_regions(kept)
            seen.mask = look
            if mask.shape != (seen.header.height, seen.header.width):
                message = other_size(path, sample.path, seen.header, look)
                seen.flaws.append(Problem("error", "mask size", message, path))
            if mask.any() and not kept.any():
                message = f"{path} is empty once resized to {len(kept)} by {rule}"
                seen.flaws.append(Problem("warning", "lost mask", message, path))
    return seen


@contextlib.contextmanager
def _noted(seen: Seen, check: str, root: Path, path: str) -> Iterator[None]:
    """What a block raises becomes a flaw."""
    try:
        yield
    except MemoryError:
        message = f"{path}: there is not enough memory to decode it"
        seen.flaws.append(Problem("error", check, message, path))
    except (DataError, OSError) as error:
        message = without_root(error, root)
        if check == "decode" and seen.header is not None and seen.header.has_alpha:
            check = "transparency" if "with transparency" in message else check
        seen.flaws.append(Problem("error", check, message, path))


def pixel_findings(category: str, seen: Sequence[Seen], size: int) -> Iterator[Finding]:
    """What only decoded pixels show of one category, all flaws of a kind in one finding; `size` is
    that of the evaluation."""
    flaws = sorted((f for one in seen for f in one.flaws), key=lambda f: _CHECKS.index(f.check))
    yield from grouped(category, flaws)
    regions, kept = sum(s.regions for s in seen), sum(s.regions_kept for s in seen)
    if kept < regions:
        message = f"{kept} of {regions} anomalous regions are left at {size} pixels"
        yield Finding("note", category, "regions", message, count=regions - kept)
    headers = [one.header for one in seen if one.header is not None]
    largest = max(((h.width, h.height) for h in headers), key=max, default=(0, 0))
    what = shrunk(*largest, size)
    if what is not None:
        yield Finding("note", category, "size", f"a method sees {what}")
    modes = Counter(s.header.mode for s in seen if s.header and s.content)
    if len(modes) > 1:
        message = f"images of several modes ({several(modes, 'modes')}); all are read as RGB"
        yield Finding("note", category, "mode", message)


def files_of(
    dataset: Dataset,
    root: Path,
    category: str,
    samples: Sequence[Sample],
    seen: Sequence[Seen],
    threshold: int | None,
) -> CategoryFiles:
    """What was seen of the files of one category, and a look at masks of its normal images."""
    pairs = list(zip(samples, seen, strict=True))
    of_normals = dataset.normal_masks(root, [s for s in samples if s.label == 0])
    extra = sorted(set(of_normals.values()))
    beside = look_at_files(look_at_mask, [root / path for path in extra])
    masks = {s.mask_path: one.mask for s, one in pairs if s.mask_path}
    return CategoryFiles(
        category,
        samples,
        contents={s.path: one.content for s, one in pairs if one.content},
        tags={s.path: one.header.orientation for s, one in pairs if one.header and one.content},
        masks=masks | dict(zip(extra, beside, strict=True)),
        of_normals=of_normals,
        on_card=dataset.card.mask_threshold,
        given=threshold,
    )


def summarise(
    category: str, card: CategoryCard, found: Inspection, seen: Sequence[Seen]
) -> CategorySummary:
    """What one category holds."""
    samples, same = found.samples, digests_match(card, found)
    headers = [s.header for s in seen if s.header and s.content]
    return CategorySummary(
        category=category,
        train=sum(s.split == "train" for s in samples),
        test_good=sum(s.split == "test" and not s.label for s in samples),
        defects=dict(sorted(Counter(s.defect for s in samples if s.label).items())),
        sizes=dict(Counter(f"{h.width}x{h.height}" for h in headers).most_common()),
        modes=dict(Counter(h.mode for h in headers).most_common()),
        exact_release=all(same.values()) if same else None,
        regions=sum(s.regions for s in seen),
        regions_kept=sum(s.regions_kept for s in seen),
    )

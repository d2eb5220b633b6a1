"""What is doubtful about the pixels of a data set, in words: the same in `data verify`, in `run`
before it starts and below its table. Opens no file; `adbench.verification.looks` does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from adbench.contracts import Sample
from adbench.verification.findings import (
    SHOWN,
    Finding,
    Severity,
    finding_of,
    grouped,
)

UPRIGHT_COPY: Final = "python -m adbench.upright DIR DIR-upright"
"""Makes a copy of a data set whose files need no orientation tag; DIR is its folder."""

_CLASS_NUMBERS: Final = 32
"""Masks that hold several values up to this one, and no others, number classes or instances."""


class ImageLook(NamedTuple):
    """What there is to say of an image from its header."""

    width: int
    height: int
    orientation: int
    """1, or the tag by which viewers turn the picture."""


class MaskLook(NamedTuple):
    """What there is to say of a mask, whatever the threshold is.

    A value is the greatest of a pixel's colour channels, as stored.
    """

    width: int
    height: int
    orientation: int
    lossy: bool
    """Whether the file's format keeps values only roughly."""
    distinct: int
    largest: int
    border: int
    """The least of what the four borders hold at most: all four are reached where it is over the
    threshold."""
    coloured: bool
    alpha_differs: bool
    """Whether transparency says something else than the colours."""
    hides_entries: bool
    """Whether entries of a palette that are in use share a colour."""
    levels: tuple[tuple[int, int], ...]
    """Values, those above 255 as 255, with how many pixels have them; in order."""

    def share_above(self, threshold: int) -> float:
        """Share of pixels above `threshold`."""
        above = sum(count for value, count in self.levels if value > threshold)
        return above / max(1, self.width * self.height)

    @property
    def numbers(self) -> list[int]:
        """The values other than zero."""
        return [value for value, _ in self.levels if value > 0]

    @property
    def kind(self) -> str:
        """How its values read: two-valued, classes, void, coloured or grey."""
        small = [value for value in self.numbers if value <= _CLASS_NUMBERS]
        if self.lossy:
            return "coloured" if self.coloured and self.distinct > 2 else "grey"
        if self.distinct <= 2:
            return "two-valued"
        if len(small) == len(self.numbers):
            return "classes"
        if len(small) == len(self.numbers) - 1 and self.numbers[-1] == 255:
            return "void" if small else "grey"
        return "coloured" if self.coloured else "grey"


class Looked(NamedTuple):
    """One category's files: paths relative to the root, None for what cannot be decoded.

    `of_normals` maps normal images to files that lie where their masks would.
    """

    images: Mapping[str, ImageLook | None]
    masks: Mapping[str, MaskLook | None]
    of_normals: Mapping[str, str]

    def of_samples(self, samples: Sequence[Sample]) -> Looked:
        """What concerns these images alone."""
        paths = [s.path for s in samples]
        return Looked(
            {path: self.images[path] for path in paths if path in self.images},
            self.masks,
            {path: self.of_normals[path] for path in paths if path in self.of_normals},
        )


class _Flaw(NamedTuple):
    severity: Severity
    check: str
    message: str
    path: str


def who_decided(on_card: int, given: int | None) -> str:
    """Who has set the threshold for these masks; empty where nobody looked at them for it."""
    if given is not None:
        return f"--mask-threshold {given}"
    return "the data set's card" if on_card else ""


def doubts(
    category: str,
    samples: Sequence[Sample],
    looked: Looked,
    threshold: int,
    decided_by: str,
) -> list[Finding]:
    """What is doubtful about one category.

    Args:
        category: its name.
        samples: its images.
        looked: at all their files.
        threshold: what is greater is anomalous.
        decided_by: what `who_decided` gives.
    """
    masked = dict.fromkeys(s.mask_path for s in samples if s.mask_path is not None)
    masks = {path: look for path in masked if (look := looked.masks.get(path)) is not None}
    findings = _orientation(category, looked, masks)
    if masks:
        findings += _values(category, masks, threshold, decided_by)
        findings += _channels(category, masks)
        findings += _coverage(category, samples, masks, threshold)
    return findings + _of_normals(category, looked, threshold)


def _orientation(
    category: str, looked: Looked, masks: Mapping[str, MaskLook]
) -> list[Finding]:
    turned = {
        what: {path: look.orientation for path, look in looks.items() if look and
               look.orientation != 1}
        for what, looks in (("images", looked.images), ("masks", masks))
    }  # fmt: skip
    tags = turned["images"] | turned["masks"]
    if not tags:
        return []
    counted = " and ".join(f"{len(own)} {what}" for what, own in turned.items() if own)
    first, tag = next(iter(tags.items()))
    message = (
        f"{counted} carry an orientation tag that is not applied (first: {first}, tag {tag}); "
        "pixels are used as stored, and masks that were drawn on upright pictures do not fit"
    )
    advice = f"where masks do not fit, make an upright copy of the data set with: {UPRIGHT_COPY}"
    return [finding_of("warning", category, "orientation", message, list(tags), advice)]


def _values(
    category: str, masks: Mapping[str, MaskLook], threshold: int, decided_by: str
) -> list[Finding]:
    of_kind: dict[str, list[str]] = defaultdict(list)
    for path, look in masks.items():
        of_kind[look.kind].append(path)
    of = f"of {len(masks)} masks"
    findings = []
    severity: Severity = "note" if decided_by else "warning"
    for kind, what in (
        ("grey", "hold grey values, as a resize or JPEG leaves them"),
        ("coloured", "hold several colours, as overlays and class colours do"),
    ):
        paths = of_kind.get(kind)
        if not paths:
            continue
        first = masks[paths[0]]
        message = f"{len(paths)} {of} {what} (first: {paths[0]}, {first.distinct} values); "
        message += _in_doubt([masks[path] for path in paths], threshold, decided_by)
        findings.append(finding_of(severity, category, "mask values", message, paths))
    if paths := of_kind.get("void"):
        message = (
            f"{len(paths)} {of} hold small numbers and 255 (first: {paths[0]}: "
            f"{_listed(masks[paths[0]])}); 255 often marks pixels that belong to nothing (void), "
            f"and every value > {threshold} counts as anomalous"
        )
        findings.append(finding_of("warning", category, "mask void", message, paths))
    if paths := of_kind.get("classes"):
        message = (
            f"{len(paths)} {of} hold several small numbers (first: {paths[0]}: "
            f"{_listed(masks[paths[0]])}), as classes or instances have; every value > {threshold} "
            "counts as anomalous"
        )
        findings.append(finding_of("note", category, "mask classes", message, paths))
    return findings


def _in_doubt(looks: Sequence[MaskLook], threshold: int, decided_by: str) -> str:
    between = above = 0
    for look in looks:
        top = min(look.largest, 255)
        between += sum(count for value, count in look.levels if 0 < value < top)
        above += sum(count for value, count in look.levels if value > 0)
    if decided_by:
        return f"anomalous is every value > {threshold}, as {decided_by} says"
    largest = max(look.largest for look in looks)
    text = (
        f"{100 * between / max(1, above):.1f} % of their pixels > 0 are neither black nor at the "
        f"top, and every value > {threshold} counts as anomalous"
    )
    if largest > 255:
        return f"{text}: save them as two-valued masks"
    return f"{text}: decide with --mask-threshold {min(127, largest // 2)}"


def _listed(look: MaskLook) -> str:
    shown = [str(value) for value, _ in look.levels[: SHOWN + 3]]
    return ", ".join(shown) + ", ..." * (len(look.levels) > len(shown))


def _channels(category: str, masks: Mapping[str, MaskLook]) -> list[Finding]:
    of = f"of {len(masks)} masks"
    kinds: list[tuple[str, Callable[[MaskLook], bool], str]] = [
        (
            "mask transparency",
            lambda look: look.alpha_differs,
            "carry transparency that says something else than their colours (first: {}); colours "
            "alone count",
        ),
        (
            "mask palette",
            lambda look: look.hides_entries,
            "give one colour to several entries of their palette (first: {}); colours alone "
            "count, so that what the entries tell apart is lost",
        ),
    ]
    findings = []
    for check, has, words in kinds:
        paths = [path for path, look in masks.items() if has(look)]
        if paths:
            message = f"{len(paths)} {of} {words.format(paths[0])}"
            findings.append(finding_of("warning", category, check, message, paths))
    return findings


def _coverage(
    category: str, samples: Sequence[Sample], masks: Mapping[str, MaskLook], threshold: int
) -> list[Finding]:
    """Masks that look inverted, or like anything but a mask.

    Large defects exist: only where most masks are so is it a warning. One kind of defect whose
    masks mostly cover both the borders and half of the image is enough.
    """
    covers = {p: look for p, look in masks.items() if look.share_above(threshold) > 0.5}
    reaches = {p: look for p, look in masks.items() if look.border > threshold}
    paths = [path for path in masks if path in covers or path in reaches]
    if not paths:
        return []
    of_defect = Counter(s.defect for s in samples if s.mask_path in masks)
    both = Counter(s.defect for s in samples if s.mask_path in covers and s.mask_path in reaches)
    most = 2 * len(paths) > len(masks) or any(2 * both[d] > n for d, n in of_defect.items())
    first = masks[paths[0]]
    message = (
        f"{len(paths)} of {len(masks)} masks mark more than half of their image or reach all four "
        f"of its borders (first: {paths[0]}, {100 * first.share_above(threshold):.1f} %); every "
        f"value > {threshold} counts as anomalous: are they inverted, overlays, or coloured where "
        "nothing is wrong?"
    )
    severity: Severity = "warning" if most else "note"
    return [finding_of(severity, category, "mask coverage", message, paths)]


def _of_normals(category: str, looked: Looked, threshold: int) -> list[Finding]:
    flaws = []
    for image, mask in looked.of_normals.items():
        look = looked.masks.get(mask)
        if look is not None and look.share_above(threshold) > 0:
            message = (
                f"{mask} marks anomalous pixels, but {image} is normal by its folder, and counts "
                "as normal"
            )
            flaws.append(_Flaw("warning", "normal mask", message, mask))
    return grouped(category, flaws)


def duplicates(category: str, contents: Iterable[tuple[Sample, str]]) -> list[Finding]:
    """Equal files: on both sides of the split, under both labels, or merely twice."""
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for sample, content in contents:
        by_content[content].append(sample)
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


class _Sized(Protocol):
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def orientation(self) -> int: ...


def other_size(mask: str, image: str, of_image: _Sized, of_mask: _Sized) -> str:
    """What to say of a mask whose size is not its image's.

    Where turning one of the two by its orientation tag would mend it, the tag is named.
    """
    found = (
        f"{mask}: the mask is {of_mask.width} x {of_mask.height} pixels and its image {image} is "
        f"{of_image.width} x {of_image.height}; expected equal sizes: "
    )
    sizes = (of_mask.width, of_mask.height) == (of_image.height, of_image.width)
    turned = [(p, look.orientation) for p, look in ((image, of_image), (mask, of_mask))
              if look.orientation >= 5]  # fmt: skip
    if turned and sizes:
        path, tag = turned[0]
        return (
            f"{found}likely the cause is the orientation tag {tag} of {path}, which is not "
            f"applied: make an upright copy of the data set with: {UPRIGHT_COPY}"
        )
    return f"{found}restore both from the data set's archive"

"""What a look at a mask tells, and every way in which it may mean something else than that
pixels above the threshold are anomalous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from adbench.contracts import Sample
from adbench.data.findings import SHOWN, Finding, Severity, finding_of

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


def mask_doubts(
    category: str,
    samples: Sequence[Sample],
    masks: Mapping[str, MaskLook],
    threshold: int,
    decided_by: str,
) -> list[Finding]:
    """What is doubtful about the masks of one category; the arguments are those of `doubts`."""
    return [
        *_between(category, masks, threshold, decided_by),
        *_numbers(category, masks, threshold),
        *_channels(category, masks),
        *_coverage(category, samples, masks, threshold),
    ]


def _between(
    category: str, masks: Mapping[str, MaskLook], threshold: int, decided_by: str
) -> list[Finding]:
    """Masks whose values a threshold has to cut."""
    findings = []
    severity: Severity = "note" if decided_by else "warning"
    for kind, what in (
        ("grey", "hold grey values, as a resize or JPEG leaves them"),
        ("coloured", "hold several colours, as overlays and class colours do"),
    ):
        paths = [path for path, look in masks.items() if look.kind == kind]
        if not paths:
            continue
        message = (
            f"{len(paths)} of {len(masks)} masks {what} (first: {paths[0]}, "
            f"{masks[paths[0]].distinct} values); "
            f"{_in_doubt([masks[path] for path in paths], threshold, decided_by)}"
        )
        findings.append(finding_of(severity, category, "mask values", message, paths))
    return findings


def _numbers(category: str, masks: Mapping[str, MaskLook], threshold: int) -> list[Finding]:
    """Masks whose values are names of something."""
    findings = []
    kinds: list[tuple[str, Severity, str, str]] = [
        (
            "void",
            "warning",
            "small numbers and 255",
            "; 255 often marks pixels that belong to nothing (void), and every",
        ),
        ("classes", "note", "several small numbers", ", as classes or instances have; every"),
    ]
    for kind, severity, what, why in kinds:
        paths = [path for path, look in masks.items() if look.kind == kind]
        if paths:
            message = (
                f"{len(paths)} of {len(masks)} masks hold {what} (first: {paths[0]}: "
                f"{_listed(masks[paths[0]])}){why} value > {threshold} counts as anomalous"
            )
            findings.append(finding_of(severity, category, f"mask {kind}", message, paths))
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

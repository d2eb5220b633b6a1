"""The checks of a data set that open no image: categories, counts, names, digests of names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from adbench.contracts import NORMAL, CategoryCard, Sample
from adbench.data.findings import Finding, finding_of
from adbench.data.inspection import Inspected
from adbench.text import is_printable, printable

EMPTY_MASK = "empty mask"
"""The check of masks without an anomalous pixel."""
LOOKS_NORMAL = "looks normal"
"""The check of a defect of which no mask has one."""


def presence_findings(
    known: Sequence[str], present: Sequence[str], wanted: Sequence[str]
) -> list[Finding]:
    """Which of the card's categories, and of those asked for, are not there."""
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
        findings.append(finding_of("warning", None, "categories", message, absent))
    elif not present:
        findings.append(Finding("error", None, "categories", "no category is present"))
    return findings


def release_findings(category: str, card: CategoryCard | None, found: Inspected) -> list[Finding]:
    """Counts, names and digests against the card."""
    if card is None:
        return []
    findings = []
    wrong = _wrong_counts(card, found.samples)
    if wrong:
        findings.append(Finding("warning", category, "counts", "; ".join(wrong)))
    if found.missing:
        message = f"{len(found.missing)} images of the release are missing"
        findings.append(finding_of("warning", category, "missing", message, found.missing))
    if found.extra:
        message = f"{len(found.extra)} images are not in the release"
        findings.append(finding_of("warning", category, "extra", message, found.extra))
    differ = [what for what, same in digests_match(card, found).items() if not same]
    if differ:
        message = f"the names of {' and '.join(differ)} are not those of the release"
        findings.append(Finding("warning", category, "digest", message))
    return findings


def name_findings(category: str, samples: Sequence[Sample]) -> list[Finding]:
    """Names that no table or record can hold; a run refuses them."""
    paths = [category, *(p for s in samples for p in (s.path, s.mask_path) if p is not None)]
    bad = [path for path in paths if not is_printable(path)]
    if not bad:
        return []
    more = f" (and {len(bad) - 1} more)" * (len(bad) > 1)
    shown = [printable(path) for path in bad]
    message = unprintable_name(bad[0]) + more
    return [finding_of("error", printable(category), "name", message, shown)]


def normal_looking(
    category: str, samples: Sequence[Sample], empty: Collection[str]
) -> list[Finding]:
    """A question about each defect of which all masks are empty while others' are not: other
    tools ask for empty masks of normal images, so its folder may hold normal ones.

    Args:
        category: its name.
        samples: its images.
        empty: paths of the masks without an anomalous pixel.
    """
    findings = []
    for defect, masks in blank_defects(samples, empty).items():
        count = len(masks)
        folder = next(s.path for s in samples if s.defect == defect).rpartition("/")[0]
        message = (
            f"{'all' if count > 1 else 'the'} {count} mask{'s' * (count > 1)} of {folder} "
            f"{'are' if count > 1 else 'is'} empty, those of other defects are not: if its images "
            f"are normal, rename the folder to {NORMAL}; if not, leave it: they count as anomalous"
        )
        findings.append(Finding("warning", category, LOOKS_NORMAL, message, (folder,), count))
    return findings


def blank_defects(samples: Sequence[Sample], empty: Collection[str]) -> dict[str, list[str]]:
    """The masks of each defect of which all are `empty`, while those of others are not."""
    masks: dict[str, list[str]] = {}
    for s in samples:
        if s.label and s.mask_path is not None:
            masks.setdefault(s.defect, []).append(s.mask_path)
    blank = {d: own for d, own in masks.items() if all(path in empty for path in own)}
    return {} if len(blank) == len(masks) else blank


def empty_masks(
    category: str, samples: Sequence[Sample], masks: int, empty: Collection[str], threshold: int
) -> list[Finding]:
    """Masks without an anomalous pixel, but for those that `normal_looking` asks about.

    Args:
        category: its name.
        samples: its images.
        masks: how many masks there are.
        empty: paths of those without an anomalous pixel, in order.
        threshold: what is greater is anomalous.
    """
    asked = {path for own in blank_defects(samples, empty).values() for path in own}
    paths = [path for path in empty if path not in asked]
    if not paths:
        return []
    message = (
        f"{len(paths)} of {masks} masks mark nothing (first: {paths[0]}): no value is above "
        f"{threshold}; their images stay anomalous, as their folders say"
    )
    return [finding_of("warning", category, EMPTY_MASK, message, paths)]


def split_findings(category: str, found: Inspected) -> list[Finding]:
    """Splits without an image, which a run refuses; and test images of one label only."""
    named = {problem.check for problem in found.problems}
    findings = [
        Finding("error", category, split, f"there is no {split} image")
        for split in ("train", "test")
        if split not in named and not any(s.split == split for s in found.samples)
    ]
    labels = {s.label for s in found.samples if s.split == "test"}
    if labels == {0}:
        message = "no test image is anomalous, so AUROC, AU-PR and AUPRO are undefined"
        findings.append(Finding("warning", category, "labels", message))
    elif labels == {1}:
        message = (
            "no test image is normal, so image AUROC is undefined, and image AU-PR and F1-max are "
            "100 whatever a method does"
        )
        findings.append(Finding("warning", category, "labels", message))
    return findings


def unprintable_name(path: str) -> str:
    """What is wrong with a name that is not printable, and the way out."""
    return (
        f"the name {path!a} holds a control character or is not UTF-8, which no table or record "
        "can hold: rename it"
    )


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


def digests_match(card: CategoryCard, found: Inspected) -> dict[str, bool]:
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

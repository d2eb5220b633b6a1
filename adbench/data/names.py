"""The checks that open no file: categories, counts, names, digests of names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from adbench.contracts import CategoryCard, Inspection, Sample
from adbench.data.findings import Finding, finding_of, grouped
from adbench.text import is_printable, printable


def presence_findings(
    known: Sequence[str], present: Sequence[str], wanted: Sequence[str]
) -> Iterator[Finding]:
    """Which of the card's categories, and of those asked for, are not there."""
    have = ", ".join(present) or "none"
    for category in dict.fromkeys(wanted):
        if category not in present:
            message = f"{category} is absent; present: {have}"
            yield Finding("error", category, "categories", message)
    absent = [c for c in known if c not in present]
    if absent:
        message = f"{len(present)} of {len(known)} categories are present ({have}); missing: "
        yield finding_of("warning", None, "categories", message + ", ".join(absent), absent)
    elif not present:
        yield Finding("error", None, "categories", "no category is present")


def name_findings(category: str, card: CategoryCard | None, found: Inspection) -> Iterator[Finding]:
    """All that the names of one category's files say."""
    yield from _unprintable(category, found.samples)
    if card is not None:
        yield from _against_release(category, card, found)
    yield from grouped(category, found.problems)
    yield from _splits(category, found)


def _unprintable(category: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Names that no table or record can hold; a run refuses them."""
    paths = [category, *(p for s in samples for p in (s.path, s.mask_path) if p is not None)]
    bad = [path for path in paths if not is_printable(path)]
    if bad:
        message = unprintable_name(bad[0]) + f" (and {len(bad) - 1} more)" * (len(bad) > 1)
        shown = [printable(path) for path in bad]
        yield finding_of("error", printable(category), "name", message, shown)


def unprintable_name(path: str) -> str:
    """What is wrong with a name that is not printable, and the way out."""
    return (
        f"the name {path!a} holds a control character or is not UTF-8, which no table or record "
        "can hold: rename it"
    )


def _against_release(category: str, card: CategoryCard, found: Inspection) -> Iterator[Finding]:
    """Counts, names and digests against the card."""
    wrong = _wrong_counts(card, found.samples)
    if wrong:
        yield Finding("warning", category, "counts", "; ".join(wrong))
    for check, names, what in (
        ("missing", found.missing, "images of the release are missing"),
        ("extra", found.extra, "images are not in the release"),
    ):
        if names:
            yield finding_of("warning", category, check, f"{len(names)} {what}", names)
    differ = [what for what, same in digests_match(card, found).items() if not same]
    if differ:
        message = f"the names of {' and '.join(differ)} are not those of the release"
        yield Finding("warning", category, "digest", message)


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


def digests_match(card: CategoryCard, found: Inspection) -> dict[str, bool]:
    """For each digest on the card, whether the paths here have it."""
    train = [s.path for s in found.samples if s.split == "train"]
    listings = {
        "images": (card.image_paths_sha256, [s.path for s in found.samples]),
        "masks": (card.mask_paths_sha256, [s.mask_path for s in found.samples if s.mask_path]),
        "training images": (card.train_paths_sha256, train),
    }
    return {
        what: expected == _digest(found.renamed.get(p, p) for p in paths)
        for what, (expected, paths) in listings.items()
        if expected is not None
    }


def _digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()


def _splits(category: str, found: Inspection) -> Iterator[Finding]:
    """Splits without an image, which a run refuses; and test images of one label only."""
    named = {problem.check for problem in found.problems}
    for split in ("train", "test"):
        if split not in named and not any(s.split == split for s in found.samples):
            yield Finding("error", category, split, f"there is no {split} image")
    labels = {s.label for s in found.samples if s.split == "test"}
    if labels == {0}:
        message = "no test image is anomalous, so AUROC, AU-PR and AUPRO are undefined"
        yield Finding("warning", category, "labels", message)
    elif labels == {1}:
        message = (
            "no test image is normal, so image AUROC is undefined, and image AU-PR and F1-max are "
            "100 whatever a method does"
        )
        yield Finding("warning", category, "labels", message)

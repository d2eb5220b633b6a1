"""Checks of a data set on the disk: the cheap ones before each run, all for `data verify`.

Nothing is written into the data set's folder, and nothing stops at the first flaw. What decodes
images is imported by `verify` only, so that the rerun of a finished grid need not load it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.contracts import CategoryCard, Dataset, Geometry
from adbench.data.doubts import doubts, who_decided
from adbench.data.findings import Finding, Report, grouped
from adbench.data.inspection import (
    Inspected,
    inspect_category,
    normal_masks,
    overlooked,
    without_root,
)
from adbench.data.names import (
    name_findings,
    presence_findings,
    release_findings,
    split_findings,
)
from adbench.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from adbench.data.images import MaskRule

__all__ = ["Finding", "Report", "quick_check", "verify"]


def quick_check(dataset: Dataset, root: Path, categories: Sequence[str]) -> list[Finding]:
    """The checks that open no image: layout, categories, counts, names, digests, pairing.

    Args:
        dataset: the data set.
        root: what its `find_root` gave.
        categories: those to check; empty means all that are present.

    Raises:
        UnknownNameError: the data set has no such category.
    """
    return _check_names(dataset, root, categories)[1]


def verify(
    dataset: Dataset,
    root: Path,
    categories: Sequence[str] = (),
    *,
    evaluation_size: int = 256,
    mask_rule: MaskRule = "nearest",
    mask_threshold: int | None = None,
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
        mask_threshold: what is greater is anomalous; None: as the card says.
        strict: let warnings fail too.
        progress: called as `progress(category, done, total)` after each image.

    Raises:
        UnknownNameError: the data set has no such category.
    """
    from adbench.data.pixels import (
        look_at,
        look_at_all,
        looked_at,
        pixel_findings,
        summarise,
    )

    layout, findings, inspected = _check_names(dataset, root, categories)
    geometry = Geometry(resize=evaluation_size)
    on_card = dataset.card.mask_threshold
    threshold = on_card if mask_threshold is None else mask_threshold
    look = partial(look_at, root, threshold, geometry, mask_rule)
    total = sum(len(i.samples) for i in inspected.values())
    done = 0
    summaries = []
    for category, found in inspected.items():
        seen = []
        for one in look_at_all(look, found.samples):
            seen.append(one)
            done += 1
            if progress is not None:
                progress(category, done, total)
        findings += pixel_findings(category, found.samples, seen, geometry)
        of_normals = normal_masks(dataset, root, found.samples)
        looked = looked_at(root, found.samples, seen, of_normals)
        decided_by = who_decided(on_card, mask_threshold)
        findings += doubts(category, found.samples, looked, threshold, decided_by)
        card = dataset.card.categories.get(category, CategoryCard())
        summaries.append(summarise(category, card, found, seen))
    return Report(
        dataset=dataset.card.name,
        version=dataset.card.version,
        layout=layout,
        findings=tuple(findings),
        summaries=tuple(summaries),
        strict=strict,
    )


def _check_names(
    dataset: Dataset, root: Path, categories: Sequence[str]
) -> tuple[str | None, list[Finding], dict[str, Inspected]]:
    """The layout, findings of the cheap checks, and the categories that could be inspected."""
    card = dataset.card
    try:
        layout = dataset.recognise_layout(root)
        present = dataset.available_categories(root)
    except DataError as error:
        return None, [Finding("error", None, "layout", without_root(error, root))], {}
    for category in categories:
        if category not in present and category not in card.categories:
            raise UnknownNameError(f"category of {card.name}", category, card.categories or present)
    findings = presence_findings(tuple(card.categories), present, categories)
    if set(present) <= set(categories or present):
        findings += overlooked(dataset, root)
    inspected: dict[str, Inspected] = {}
    for category in dict.fromkeys(categories or present):
        if category not in present:
            continue
        try:
            found = inspect_category(dataset, root, category)
        except DataError as error:
            findings.append(Finding("error", category, "layout", without_root(error, root)))
            continue
        inspected[category] = found
        findings += name_findings(category, found.samples)
        findings += release_findings(category, card.categories.get(category), found)
        findings += grouped(category, found.problems)
        findings += split_findings(category, found)
    return layout, findings, inspected

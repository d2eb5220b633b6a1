"""Checks of a data set on the disk: those of names and of files that changed before each run, all
for `data verify`.

Nothing is written into the data set's folder, and nothing stops at the first flaw. What decodes
images is imported by whoever decodes, so that the rerun of a finished grid need not load it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.contracts import CategoryCard, Dataset, Geometry, Inspection, Sample
from adbench.data.digests import content_digests
from adbench.data.doubts import CategoryFiles, file_findings
from adbench.data.findings import Finding, Report, finding_of, without_root
from adbench.data.looks import look_at_image, look_at_mask, remembered_looks
from adbench.data.names import name_findings, presence_findings
from adbench.errors import DataError, UnknownNameError
from adbench.machine.threads import in_threads

if TYPE_CHECKING:
    from adbench.data.images import MaskRule


def quick_check(dataset: Dataset, root: Path, categories: Sequence[str]) -> list[Finding]:
    """The checks that open no image; as `verify`."""
    return _check_names(dataset, root, categories)[1]


def file_doubts(
    dataset: Dataset,
    root: Path,
    samples: Mapping[str, Sequence[Sample]],
    digests: Mapping[str, str],
    threshold: int | None,
    folder: Path,
) -> Iterator[Finding]:
    """What is doubtful about the files of these samples, by category; those looked at before are
    not opened. `digests` are of their content; `folder` is where digests and looks are remembered.
    """
    everything = [s for own in samples.values() for s in own]
    of_normals = dataset.normal_masks(root, [s for s in everything if s.label == 0])
    # Nobody needs these files: a link to nothing among them stops no run.
    extra = sorted(path for path in set(of_normals.values()) if (root / path).is_file())
    contents = dict(digests)
    with contextlib.suppress(DataError):
        found = content_digests(root, extra, folder) if extra else []
        contents |= zip(extra, found, strict=True)
    paths = dict.fromkeys([*(s.mask_path for s in everything if s.mask_path), *extra])
    of_masks = {path: contents[path] for path in paths if path in contents}
    of_images = {s.path: contents[s.path] for s in everything}
    tags = remembered_looks(look_at_image, root, of_images, folder)
    masks = remembered_looks(look_at_mask, root, of_masks, folder)
    on_card = dataset.card.mask_threshold
    for category, own in samples.items():
        yield from file_findings(
            CategoryFiles(category, own, contents, tags, masks, of_normals, on_card, threshold)
        )


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
    from adbench.data.pixels import files_of, look_at, pixel_findings, summarise

    layout, findings, inspected = _check_names(dataset, root, categories)
    threshold = dataset.card.mask_threshold if mask_threshold is None else mask_threshold
    look = partial(look_at, root, threshold, Geometry(resize=evaluation_size), mask_rule)
    total = sum(len(i.samples) for i in inspected.values())
    done = 0
    summaries = []
    for category, found in inspected.items():
        seen = []
        for one in in_threads(look, found.samples):
            seen.append(one)
            done += 1
            if progress is not None:
                progress(category, done, total)
        findings += pixel_findings(category, seen, evaluation_size)
        files = files_of(dataset, root, category, found.samples, seen, mask_threshold)
        findings += file_findings(files)
        card = dataset.card.categories.get(category, CategoryCard())
        summaries.append(summarise(category, card, found, seen))
    return Report(
        dataset.card.name,
        dataset.card.version,
        layout,
        tuple(findings),
        tuple(summaries),
        strict,
    )


def _check_names(
    dataset: Dataset, root: Path, categories: Sequence[str]
) -> tuple[str | None, list[Finding], dict[str, Inspection]]:
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
    findings = [*presence_findings(tuple(card.categories), present, categories)]
    if set(present) <= set(categories or present):
        for one in dataset.overlooked(root):
            findings.append(finding_of(one.severity, None, one.check, one.message, [one.path]))
    inspected: dict[str, Inspection] = {}
    for category in dict.fromkeys(c for c in categories or present if c in present):
        try:
            found = dataset.inspect(root, category)
        except DataError as error:
            findings.append(Finding("error", category, "layout", without_root(error, root)))
            continue
        inspected[category] = found
        findings += name_findings(category, card.categories.get(category), found)
    return layout, findings, inspected

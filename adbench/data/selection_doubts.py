"""What is doubtful about the files that a run uses, before it uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from adbench.data.digests import content_digests
from adbench.data.doubts import doubts, duplicates, who_decided
from adbench.data.findings import Finding
from adbench.data.inspection import normal_masks
from adbench.data.remembered import look_at_files
from adbench.errors import DataError

if TYPE_CHECKING:
    from adbench.data.selection import DataSelection


def selection_doubts(data: DataSelection, digest_of: Mapping[str, str]) -> Iterator[Finding]:
    """Findings of all categories. Files that were looked at before are not opened.

    Args:
        data: the images that a run uses.
        digest_of: SHA-256 of the content of each of their files.
    """
    everything = [s for own in data.samples.values() for s in own]
    of_normals = normal_masks(data.dataset, data.root, everything)
    # Nobody needs these files: a link to nothing among them stops no run.
    extra = sorted(path for path in set(of_normals.values()) if (data.root / path).is_file())
    contents = dict(digest_of)
    with contextlib.suppress(DataError):
        digests = content_digests(data.root, extra, data.index_folder) if extra else []
        contents |= zip(extra, digests, strict=True)
    masks = dict.fromkeys([*(s.mask_path for s in everything if s.mask_path), *extra])
    looked = look_at_files(
        data,
        {s.path: contents[s.path] for s in everything},
        {path: contents[path] for path in masks if path in contents},
        of_normals,
    )
    decided_by = who_decided(data.dataset.card.mask_threshold, data.threshold_given)
    for category, samples in data.samples.items():
        own = looked.of_samples(samples)
        yield from doubts(category, samples, own, data.mask_threshold, decided_by)
        yield from duplicates(category, [(s, contents[s.path]) for s in samples])

"""What is doubtful about the pixels of a data set, in words: the same in `data verify`, in `run`
before it starts and below its table. Opens no file; `adbench.data.looks` does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from adbench.contracts import Sample
from adbench.data.findings import (
    SHOWN,
    UPRIGHT_COPY,
    FileFlaw,
    Finding,
    finding_of,
    grouped,
)
from adbench.data.mask_doubts import ImageLook as ImageLook
from adbench.data.mask_doubts import MaskLook as MaskLook
from adbench.data.mask_doubts import mask_doubts
from adbench.data.names import empty_masks, normal_looking


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
        empty = [path for path, look in masks.items() if look.share_above(threshold) == 0]
        findings += normal_looking(category, samples, empty)
        findings += empty_masks(category, samples, len(masks), empty, threshold)
        findings += mask_doubts(category, samples, masks, threshold, decided_by)
    return findings + _of_normals(category, looked, threshold)


def _orientation(category: str, looked: Looked, masks: Mapping[str, MaskLook]) -> list[Finding]:
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


def _of_normals(category: str, looked: Looked, threshold: int) -> list[Finding]:
    flaws = []
    for image, mask in looked.of_normals.items():
        look = looked.masks.get(mask)
        if look is not None and look.share_above(threshold) > 0:
            message = (
                f"{mask} marks anomalous pixels, but {image} is normal by its folder, and counts "
                "as normal"
            )
            flaws.append(FileFlaw("warning", "normal mask", message, mask))
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
            flaw = FileFlaw("warning", "leak", f"in training and test: {names}", group[0].path)
        elif len({s.label for s in group}) > 1:
            message = f"normal and anomalous at once: {names}"
            flaw = FileFlaw("warning", "two labels", message, group[0].path)
        elif len(group) > 1:
            flaw = FileFlaw("note", "duplicate", f"the same file twice: {names}", group[0].path)
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

"""What is doubtful about what the files of a data set hold, in words: the same in `data verify`, in
`run` before it starts, and below its table. Opens no file; `adbench.data.looks` does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from adbench.contracts import NORMAL, Problem, Sample
from adbench.data.findings import (
    EMPTY_MASK,
    LOOKS_NORMAL,
    SHOWN,
    UPRIGHT_COPY,
    Finding,
    Severity,
    finding_of,
    grouped,
)
from adbench.data.looks import MaskLook

if TYPE_CHECKING:
    from adbench.data.decode import ImageHeader


@dataclass(frozen=True)
class CategoryFiles:
    """What the files of one category hold; paths are relative to the root.

    Attributes:
        contents: SHA-256 of the images that can be read.
        tags: orientation tags of images, 1 for none; None for what cannot be decoded.
        masks: looks at masks, likewise.
        of_normals: normal images to files that lie where their masks would.
        on_card, given: the card's threshold, and the user's, which goes before it.

    Mappings may hold other files besides.
    """

    category: str
    samples: Sequence[Sample]
    contents: Mapping[str, str]
    tags: Mapping[str, int | None]
    masks: Mapping[str, MaskLook | None]
    of_normals: Mapping[str, str]
    on_card: int
    given: int | None = None

    @property
    def threshold(self) -> int:
        """What is greater in a mask is anomalous."""
        return self.on_card if self.given is None else self.given

    @property
    def decided_by(self) -> str:
        """Who has set it for these masks; empty where nobody looked at them for it."""
        if self.given is not None:
            return f"--mask-threshold {self.given}"
        return "the data set's card" if self.on_card else ""

    @cached_property
    def marked(self) -> dict[str, MaskLook]:
        """The masks of its defects that can be decoded."""
        paths = dict.fromkeys(s.mask_path for s in self.samples if s.mask_path is not None)
        return {path: look for path in paths if (look := self.masks.get(path)) is not None}

    @cached_property
    def empty(self) -> list[str]:
        """Masks without an anomalous pixel."""
        return [p for p, look in self.marked.items() if look.share_above(self.threshold) == 0]

    @cached_property
    def blank_defects(self) -> dict[str, list[str]]:
        """The masks of each defect of which all are empty, while those of others are not."""
        masks: dict[str, list[str]] = defaultdict(list)
        for s in self.samples:
            if s.label and s.mask_path is not None:
                masks[s.defect].append(s.mask_path)
        blank = {d: own for d, own in masks.items() if set(own) <= set(self.empty)}
        return {} if len(blank) == len(masks) else blank

    def of_masks(
        self, severity: Severity, check: str, paths: Sequence[str], what: str
    ) -> Iterator[Finding]:
        """A finding about some masks, unless there are none: `3 of 4 masks ...`, where `what` may
        speak of the first by `{first}` and `{look}`."""
        if paths:
            look = self.marked[paths[0]]
            numbers = ", ".join(str(value) for value, _ in look.levels[: SHOWN + 3])
            words = what.format(
                first=paths[0],
                look=look,
                share=100 * look.share_above(self.threshold),
                numbers=numbers + ", ..." * (len(look.levels) > SHOWN + 3),
                over=f"value > {self.threshold}",
                threshold=self.threshold,
            )
            message = f"{len(paths)} of {len(self.marked)} masks {words}"
            yield finding_of(severity, self.category, check, message, paths)


def file_findings(files: CategoryFiles) -> Iterator[Finding]:
    """All that is doubtful about what the files of one category hold."""
    for check in _FILE_CHECKS:
        yield from check(files)


def _orientation(files: CategoryFiles) -> Iterator[Finding]:
    of_images = {s.path: files.tags.get(s.path) for s in files.samples}
    of_masks = {path: look.orientation for path, look in files.marked.items()}
    tags = {
        what: {path: tag for path, tag in own.items() if tag is not None and tag != 1}
        for what, own in (("images", of_images), ("masks", of_masks))
    }
    every = tags["images"] | tags["masks"]
    if every:
        counted = " and ".join(f"{len(own)} {what}" for what, own in tags.items() if own)
        first, tag = next(iter(every.items()))
        message = (
            f"{counted} carry an orientation tag that is not applied (first: {first}, tag {tag}); "
            "pixels are used as stored, and masks that were drawn on upright pictures do not fit"
        )
        advice = (
            f"where masks do not fit, make an upright copy of the data set with: {UPRIGHT_COPY}"
        )
        yield finding_of("warning", files.category, "orientation", message, list(every), advice)


def _looks_normal(files: CategoryFiles) -> Iterator[Finding]:
    """A question about each blank defect: other tools ask for empty masks of normal images, so its
    folder may hold normal ones."""
    for defect, masks in files.blank_defects.items():
        folder = next(s.path for s in files.samples if s.defect == defect).rpartition("/")[0]
        masks_of = f"all {len(masks)} masks" if len(masks) > 1 else "the 1 mask"
        message = (
            f"{masks_of} of {folder} {'are' if len(masks) > 1 else 'is'} empty, those of other "
            f"defects are not: if its images are normal, rename the folder to {NORMAL}; if not, "
            "leave it: they count as anomalous"
        )
        yield Finding("warning", files.category, LOOKS_NORMAL, message, (folder,), len(masks))


def _empty(files: CategoryFiles) -> Iterator[Finding]:
    """Masks without an anomalous pixel, but for those that `_looks_normal` asks about."""
    asked = {path for own in files.blank_defects.values() for path in own}
    paths = [path for path in files.empty if path not in asked]
    what = (
        "mark nothing (first: {first}): no value is above {threshold}; their images stay "
        "anomalous, as their folders say"
    )
    yield from files.of_masks("warning", EMPTY_MASK, paths, what)


def _between(files: CategoryFiles) -> Iterator[Finding]:
    """Masks whose values a threshold has to cut."""
    for kind, what in (
        ("grey", "hold grey values, as a resize or JPEG leaves them"),
        ("coloured", "hold several colours, as overlays and class colours do"),
    ):
        paths = [path for path, look in files.marked.items() if look.kind == kind]
        if files.decided_by:
            doubt = f"anomalous is every {{over}}, as {files.decided_by} says"
        else:
            doubt = _in_doubt([files.marked[path] for path in paths])
        severity: Severity = "note" if files.decided_by else "warning"
        words = f"{what} (first: {{first}}, {{look.distinct}} values); {doubt}"
        yield from files.of_masks(severity, "mask values", paths, words)


def _in_doubt(looks: Sequence[MaskLook]) -> str:
    between = above = 0
    for look in looks:
        top = min(look.largest, 255)
        between += sum(count for value, count in look.levels if 0 < value < top)
        above += sum(count for value, count in look.levels if value > 0)
    largest = max((look.largest for look in looks), default=0)
    if largest > 255:
        way_out = "save them as two-valued masks"
    else:
        way_out = f"decide with --mask-threshold {min(127, largest // 2)}"
    return (
        f"{100 * between / max(1, above):.1f} % of their pixels > 0 are neither black nor at the "
        f"top, and every {{over}} counts as anomalous: {way_out}"
    )


class _Kind(NamedTuple):
    """Masks that mean something of their own, and how to say so."""

    check: str
    severity: Severity
    has: Callable[[MaskLook], bool]
    what: str


_KINDS: Final = (
    _Kind(
        "mask void",
        "warning",
        lambda look: look.kind == "void",
        "hold small numbers and 255 (first: {first}: {numbers}); 255 often marks pixels that "
        "belong to nothing (void), and every {over} counts as anomalous",
    ),
    _Kind(
        "mask classes",
        "note",
        lambda look: look.kind == "classes",
        "hold several small numbers (first: {first}: {numbers}), as classes or instances have; "
        "every {over} counts as anomalous",
    ),
    _Kind(
        "mask transparency",
        "warning",
        lambda look: look.alpha_differs,
        "carry transparency that says something else than their colours (first: {first}); colours "
        "alone count",
    ),
    _Kind(
        "mask palette",
        "warning",
        lambda look: look.hides_entries,
        "give one colour to several entries of their palette (first: {first}); colours alone "
        "count, so that what the entries tell apart is lost",
    ),
)


def _of_a_kind(files: CategoryFiles) -> Iterator[Finding]:
    for check, severity, has, what in _KINDS:
        paths = [path for path, look in files.marked.items() if has(look)]
        yield from files.of_masks(severity, check, paths, what)


def _coverage(files: CategoryFiles) -> Iterator[Finding]:
    """Masks that look inverted, or like anything but a mask.

    Large defects exist: only where most masks are so is it a warning. One kind of defect whose
    masks mostly cover both the borders and half of the image is enough.
    """
    masks, threshold = files.marked, files.threshold
    covers = {path for path, look in masks.items() if look.share_above(threshold) > 0.5}
    reaches = {path for path, look in masks.items() if look.border > threshold}
    paths = [path for path in masks if path in covers | reaches]
    of_defect = Counter(s.defect for s in files.samples if s.mask_path in masks)
    both = Counter(s.defect for s in files.samples if s.mask_path in covers & reaches)
    most = 2 * len(paths) > len(masks) or any(2 * both[d] > n for d, n in of_defect.items())
    what = (
        "mark more than half of their image or reach all four of its borders (first: {first}, "
        "{share:.1f} %); every {over} counts as anomalous: are they inverted, overlays, or "
        "coloured where nothing is wrong?"
    )
    yield from files.of_masks("warning" if most else "note", "mask coverage", paths, what)


def _of_normals(files: CategoryFiles) -> Iterator[Finding]:
    flaws = []
    for s in files.samples:
        mask = files.of_normals.get(s.path, "")
        look = files.masks.get(mask)
        if look is not None and look.share_above(files.threshold) > 0:
            message = (
                f"{mask} marks anomalous pixels, but {s.path} is normal by its folder, and counts "
                "as normal"
            )
            flaws.append(Problem("warning", "normal mask", message, mask))
    yield from grouped(files.category, flaws)


def _duplicates(files: CategoryFiles) -> Iterator[Finding]:
    """Equal files: on both sides of the split, under both labels, or merely twice."""
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for s in files.samples:
        if s.path in files.contents:
            by_content[files.contents[s.path]].append(s)
    flaws = []
    for same in (group for group in by_content.values() if len(group) > 1):
        severity: Severity = "warning"
        if len({s.split for s in same}) > 1:
            check, what = "leak", "in training and test"
        elif len({s.label for s in same}) > 1:
            check, what = "two labels", "normal and anomalous at once"
        else:
            severity, check, what = "note", "duplicate", "the same file twice"
        names = " = ".join(s.path for s in same[:SHOWN])
        flaws.append(Problem(severity, check, f"{what}: {names}", same[0].path))
    yield from grouped(files.category, flaws)


_FILE_CHECKS: Final = (
    _orientation,
    _looks_normal,
    _empty,
    _between,
    _of_a_kind,
    _coverage,
    _of_normals,
    _duplicates,
)


def other_size(
    mask: str, image: str, of_image: ImageHeader, of_mask: ImageHeader | MaskLook
) -> str:
    """What to say of a mask whose size is not its image's.

    Where turning one of the two by its orientation tag would mend it, the tag is named.
    """
    found = (
        f"{mask}: the mask is {of_mask.width} x {of_mask.height} pixels and its image {image} is "
        f"{of_image.width} x {of_image.height}; expected equal sizes: "
    )
    turned = [(p, own.orientation) for p, own in ((image, of_image), (mask, of_mask))
              if own.orientation >= 5]  # fmt: skip
    if turned and (of_mask.width, of_mask.height) == (of_image.height, of_image.width):
        path, tag = turned[0]
        return (
            f"{found}likely the cause is the orientation tag {tag} of {path}, which is not "
            f"applied: make an upright copy of the data set with: {UPRIGHT_COPY}"
        )
    return f"{found}restore both from the data set's archive"

"""Which images a figure shows, chosen by score, and the scores that it is chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adbench.store.records import Record


@dataclass(frozen=True)
class ImageScores:
    """The test images of one category of a record: columns of equal length.

    `rows` are positions in the record's own columns, hence in its maps; `labels` are 0 or 1.
    """

    rows: tuple[int, ...]
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    defects: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Case:
    """One image of a figure: its place in the `ImageScores`, and why it was chosen."""

    index: int
    role: str


def image_scores(record: Record, category: str) -> ImageScores:
    """The columns of one category; empty for a record without images."""
    images = record.images
    rows = tuple(i for i, own in enumerate(images.get("category", ())) if own == category)
    ids, labels, defects, scores = (
        tuple(images[name][i] for i in rows) for name in ("id", "label", "defect", "score")
    )
    return ImageScores(rows, ids, labels, defects, tuple(map(float, scores)))  # "inf" is text


def extreme_cases(images: ImageScores) -> list[Case]:
    """Best, median and worst anomalous image, then the same of the normal ones.

    Best is the highest score of the anomalous and the lowest of the normal images: the far side of
    any threshold. Fewer than three images of a kind give fewer cases.
    """
    cases: list[Case] = []
    for kind, wanted in (("defect", 1), ("normal", 0)):
        ordered = _best_first(images, [i for i, own in enumerate(images.labels) if own == wanted])
        if ordered:
            role_of = {ordered[len(ordered) // 2]: "median", ordered[-1]: "worst"}
            role_of |= {ordered[0]: "best"}
            cases += [Case(i, f"{role_of[i]} {kind}") for i in ordered if i in role_of]
    return cases


def gallery_cases(images: ImageScores, most: int) -> list[Case]:
    """The extreme cases and then the median image of each defect, at most `most` of them."""
    cases = extreme_cases(images)
    for defect in sorted(set(images.defects)):
        ordered = _best_first(images, [i for i, own in enumerate(images.defects) if own == defect])
        middle = ordered[len(ordered) // 2]
        if middle not in {case.index for case in cases}:
            cases.append(Case(middle, f"median of {defect}"))
    return cases[:most]


def describe(images: ImageScores, cases: Sequence[Case]) -> list[str]:
    """A row label for each case: why it is there, its defect and its score."""
    return [
        f"{case.role}\n{images.defects[case.index]}\nscore {images.scores[case.index]:.4g}"
        for case in cases
    ]


def _best_first(images: ImageScores, members: Sequence[int]) -> list[int]:
    return sorted(members, key=lambda i: images.scores[i] * (-1 if images.labels[i] else 1))

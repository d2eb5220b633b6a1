"""Normals that are held out of training to calibrate: their scores turn those of new images into
p-values (`adbench.stats.conformal`). Which ones is drawn once, whatever the method and its seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from adbench.contracts import Sample
from adbench.errors import DataError, UsageError
from adbench.stats.conformal import ALPHA, wanted
from adbench.store.files import digest
from adbench.text import counted

CALIBRATION = "calibration"
"""The split of their own that they make, out of that for training."""
SEED = 0
"""Of the draw, which records keep."""
MIN_TRAINING = 2
"""Normals of a category that are left to train on."""


def check_share(share: float | None) -> None:
    """Raise `UsageError` unless it is a part of the normals, or None."""
    if share is not None and not 0 < share < 1:
        raise UsageError(
            f"--calibrate {share:g}: expected more than 0 and less than 1: the share of each "
            "category's training normals to hold out, like 0.2"
        )


def drawn_normals(
    samples: Mapping[str, Sequence[Sample]], share: float | None
) -> frozenset[Sample]:
    """Those held out: round(share N) of the N training normals of each category, at least one.

    Which ones is a function of the category and the names alone. Raises `DataError` where too few
    would be left.
    """
    held_out: set[Sample] = set()
    for category, own in samples.items() if share is not None else ():
        normals = sorted(s for s in own if s.split == "train" and s.label == 0)
        count = max(1, round((share or 0) * len(normals)))
        if len(normals) - count < MIN_TRAINING:
            raise DataError(
                f"{category} has {counted(len(normals), 'training normal')}: --calibrate {share:g} "
                f"would leave {max(0, len(normals) - count)} to train on, expected {MIN_TRAINING} "
                "or more: add some, or give a smaller share"
            )
        held_out |= set(random.Random(digest([SEED, CALIBRATION, category])).sample(normals, count))
    return frozenset(held_out)


def notes_of(dataset: str, held_out: Mapping[str, int], normals: Mapping[str, int]) -> list[str]:
    """Where so few normals of a category are held out that no verdict is possible at `ALPHA`."""
    return [
        f"{dataset}:{category}: {counted(count, 'normal')} held out; verdicts at alpha {ALPHA:g} "
        f"want {wanted(ALPHA)} (--calibrate {share_for(normals[category]):g} of "
        f"{normals[category]} holds out {round(share_for(normals[category]) * normals[category])})"
        for category, count in held_out.items()
        if count < wanted(ALPHA)
    ]


def share_for(normals: int, alpha: float = ALPHA) -> float:
    """The least share, in hundredths from a tenth to a half, that holds out as many of so many
    normals as verdicts at `alpha` want; a half where none is enough."""
    shares = (hundredths / 100 for hundredths in range(10, 50))
    return next((s for s in shares if round(s * normals) >= wanted(alpha)), 0.5)

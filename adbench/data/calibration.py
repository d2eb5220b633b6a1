"""Normals that are held out of training to calibrate: their scores turn those of new images into
p-values (`adbench.stats.conformal`). Which ones is drawn once, whatever the method and its seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from adbench.contracts import Sample
from adbench.errors import DataError, UsageError
from adbench.stats.conformal import ALPHA, least_alpha, wanted
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
        f"{dataset}:{category}: {counted(count, 'normal')} of {normals[category]} held out; "
        f"{way_to_verdicts(count, normals[category], ALPHA)}"
        for category, count in held_out.items()
        if count < wanted(ALPHA)
    ]


def way_to_verdicts(held_out: int, normals: int, alpha: float) -> str:
    """What verdicts at `alpha` want, and how to come to some with so many normals in all."""
    share = share_for(normals, alpha)
    way = f"verdicts at --alpha {least_alpha(held_out):g} or more are possible with these"
    if share is not None:
        way = f"--calibrate {share:g} holds out as many"
    return f"verdicts at alpha {alpha:g} want {wanted(alpha)}: {way}"


def share_for(normals: int, alpha: float = ALPHA) -> float | None:
    """The least share, in hundredths from a tenth to four fifths, that holds out as many of so many
    normals as verdicts at `alpha` want; None where there are too few."""
    shares = (hundredths / 100 for hundredths in range(10, 81))
    return next((s for s in shares if round(s * normals) >= wanted(alpha)), None)

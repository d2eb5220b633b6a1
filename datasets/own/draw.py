"""Which normal images are tested where nobody has said it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Collection, Sequence

from adbench.contracts import Problem
from adbench.datasets.listing import composed

SPLIT_SEED = 0
SPLIT_RULE = f"drawn, the last 20 % of the normals by seed {SPLIT_SEED}"
"""For the protocol."""


def drawn_for_test(paths: Sequence[str]) -> set[str]:
    """The last fifth of these paths, at least one, in an order drawn by their names: a function of
    the names alone, so that a copy elsewhere is split alike, and one more image moves few others.
    """
    ordered = sorted(paths, key=_drawn)
    return set(ordered[len(ordered) * 4 // 5 :])


def _drawn(path: str) -> bytes:
    text = f"{SPLIT_SEED}/{composed(path)}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def draw_problem(category: str, normals: int, test: int, place: str) -> Problem:
    """A note that tells of the draw, or an error where there are too few normal images for it."""
    if normals < 2:
        message = (
            f"{category} holds {normals} normal image{'s' * (normals != 1)}; expected 2 or more, "
            "one to train on and one to test"
        )
        return Problem("error", "train", message, place)
    message = (
        f"no split is given: {test} of {normals} normal images are test images ({SPLIT_RULE}), and "
        "every anomalous one"
    )
    return Problem("note", "split", message, place)


def two_normals(folder: object, labels: Collection[str]) -> str:
    """What to say of a folder in which several could be the one of normal images."""
    names = sorted(labels)
    both = " ".join(f"--normal {shlex.quote(name)}" for name in names)
    return (
        f"{folder} has {len(names)} folders of normal images by their names, "
        f"{' and '.join(f'{name}/' for name in names)}; expected one: say which it is with "
        f"--normal NAME (others then count as defects), or that all are with {both}"
    )

"""Points along one training: at which steps, the models kept there, and what they score.

While a method trains, a snapshot is saved and nothing else is done; it is predicted and scored once
the training is over, from the disk, so that a kill costs at most one chunk of its maps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.cell.records import skill_of
from adbench.contracts import Method, Sample
from adbench.contracts.interruptions import is_out_of_memory
from adbench.errors import StoreError
from adbench.plan import AUPRO_LIMITS, Cell
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.folders import CellFolder
from adbench.store.model_files import publish_model, read_model_report
from adbench.store.predictions import PredictionChunks
from adbench.store.snapshots import SnapshotFolder
from adbench.text import say

if TYPE_CHECKING:
    from adbench.data.images import Masks

FIRST_SHARE = 0.01
"""Of the steps: where the first of the points is."""


@cache
def snapshot_steps(num_steps: int, count: int) -> frozenset[int]:
    """`count` points log-spaced from a hundredth of the training to its end, without the end: that
    is the model itself. Of a short training fewer."""
    shares = (FIRST_SHARE ** (1 - number / (count - 1)) for number in range(count - 1))
    return frozenset(max(1, round(num_steps * share)) for share in shares) - {num_steps}


class SnapshotTaker:
    """The `Context.snapshot` of one cell's `fit`: keeps `count` models, the last of which is the
    one that `fit` gives. What an earlier process of this training kept stays."""

    def __init__(
        self,
        cell: Cell,
        folder: CellFolder,
        count: int,
        checkpoint: FileCheckpoint,
        require_claim: Callable[[], None],
    ) -> None:
        folder.snapshots.begin(anew=not folder.checkpoint.exists())
        self._cell, self._folder, self._count = cell, folder.snapshots, count
        self._checkpoint, self._require_claim = checkpoint, require_claim
        self._num_train = len(cell.data.split(cell.categories, "train"))

    def __call__(self, step: int, num_steps: int, finish: Callable[[], Method]) -> None:
        if step not in snapshot_steps(num_steps, self._count):
            return
        point = {"step": step, "steps": num_steps, "seconds": self._checkpoint.seconds()}
        with self._checkpoint.paused(), _own_random_state():
            target = self._folder.model(step)
            if read_model_report(target) is None:
                fitted = finish()
                point["training_flops"] = fitted.training_flops(self._num_train)
                report = {
                    **{"protocol": {}, "diagnostics": {}, "timing": point},
                    "skill": skill_of(self._cell, fitted),
                }
                self._require_claim()
                publish_model(fitted, report, target)


def _own_random_state() -> AbstractContextManager[None]:
    import torch

    state: AbstractContextManager[None] = torch.random.fork_rng()
    return state


def scored_snapshot(
    folder: SnapshotFolder,
    step: int,
    samples: list[Sample],
    bounds: list[tuple[int, int]],
    masks: Masks,
    *,
    load: Callable[[Path], Method],
    predict: Callable[[Callable[[], Method], PredictionChunks], None],
) -> dict[str, Any] | None:
    """What the model after so many steps scores, as `record_blocks.Snapshot`, from before or now;
    None for a damaged one. Where it fails, as a network that learned too little may, the training's
    own end is none the worse: the point says why it has no metrics."""
    from adbench.cell.scoring import score_categories

    kept = folder.numbers(step)
    if kept is not None:
        return kept
    report = read_model_report(folder.model(step))
    if report is None:
        return None
    numbers: dict[str, Any] = {**report["timing"], "skill": report["skill"]}
    try:
        chunks = PredictionChunks(folder.maps(step), bounds)
        predict(lambda: load(folder.model(step)), chunks)
        numbers["metrics"] = score_categories(samples, chunks, masks, AUPRO_LIMITS)
    except StoreError:
        raise
    except Exception as error:  # a method may raise anything: the point keeps it, said and stored
        if is_out_of_memory(error):
            raise
        say(f"warning: the model after {step} steps could not be scored: {error}")
        numbers |= {"metrics": {}, "failure": " ".join(str(error).split())}
    folder.write_numbers(step, numbers)
    return numbers

"""One checkpoint for trainings that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adbench.contracts import Checkpoint


class StagedCheckpoint:
    """Divides a `Checkpoint` among the stages of a `fit`, of which one trains at a time.

    What earlier stages left is written again with each state of the one that trains, so that a
    kill in the second training does not cost the first. The harness's checkpoint is read once:
    each reading counts as a resume.

    >>> stages = StagedCheckpoint(context.checkpoint)  # doctest: +SKIP
    >>> fit_base(hyperparameters, images, replace(context, checkpoint=stages.stage("base")))
    >>> stages.finish("base", {"weights": weights})
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._states: dict[str, Any] = dict(checkpoint.load() or {})

    def stage(self, name: str) -> StageCheckpoint:
        """The checkpoint of one stage's training."""
        return StageCheckpoint(self, name)

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        """Save a stage's result in place of its training state, due or not."""
        self._states.pop(name, None)
        self._states[_result(name)] = dict(result)
        self._checkpoint.save(self._states)

    def finished(self, name: str) -> Mapping[str, Any] | None:
        """The result of a stage that is over, or None."""
        return self._states.get(_result(name))

    def take(self, name: str) -> dict[str, Any] | None:
        """The training state of a stage; it is let go of, as it may fill much of the memory."""
        state: dict[str, Any] | None = self._states.pop(name, None)
        return state

    def due(self) -> bool:
        """As the whole checkpoint."""
        return self._checkpoint.due()

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """Save a stage's training state beside the results of the others."""
        self._checkpoint.save({**self._states, name: dict(state)})


class StageCheckpoint:
    """The `Checkpoint` of one stage."""

    def __init__(self, stages: StagedCheckpoint, name: str) -> None:
        self._stages, self._name = stages, name

    def load(self) -> dict[str, Any] | None:
        """The stage's last state, or None."""
        return self._stages.take(self._name)

    def due(self) -> bool:
        """True when enough time has passed since the last save of any stage."""
        return self._stages.due()

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the stage's state and keep what other stages have finished."""
        self._stages.save(self._name, state)


def _result(name: str) -> str:
    return f"{name}, finished"

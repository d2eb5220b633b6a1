"""A method that goes wrong on purpose, for tests of executors: `tests/support/rough.py:Rough`.

A copy of the trivial method's numbers, so that a cell that survives scores as an ordinary one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import Field

from adbench.contracts import Checkpoint, Context, Images, Prediction
from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


class RoughHyperparameters(PixelGaussianHyperparameters):
    """What happens, and to which seed."""

    fate: Literal[
        "none", "raise", "segfault", "exit", "kill", "stop", "memory_in_fit", "memory_in_predict"
    ] = "none"
    seed: int = Field(0, description="the seed that it happens to; the others are well")


class Rough(PixelGaussian):
    """The trivial method with a fate."""

    card = PixelGaussian.card.model_copy(update={"name": "rough", "title": "Rough"})
    Hyperparameters = RoughHyperparameters

    @property
    def batch_size(self) -> int:
        return 4

    def fit(self, train: Images, context: Context) -> Self:
        print(f"fitting in {os.getcwd()}/somewhere")  # a path that no record may hold
        if context.seed == self.hyperparameters.seed:
            self._suffer(context)
        return super().fit(train, replace(context, checkpoint=_Untried(context.checkpoint)))

    def _suffer(self, context: Context) -> None:
        fate = self.hyperparameters.fate
        print(f"about to {fate}", file=sys.stderr, flush=True)
        if fate == "raise":
            raise RuntimeError("broken on purpose")
        if fate == "segfault":
            ctypes.string_at(0)
        if fate == "exit":
            os._exit(7)
        if fate == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fate == "stop":
            time.sleep(600)
        if fate == "memory_in_fit" and context.checkpoint.load() is None:
            context.checkpoint.save({"tried": True})
            raise RuntimeError("CUDA out of memory: a pretence")

    def predict(self, images: Images) -> Prediction:
        hit = self.seed_ == self.hyperparameters.seed
        starved = hit and self.hyperparameters.fate == "memory_in_predict"
        if starved and len(images) > self.batch_size // 2:
            raise MemoryError("too many images at once")
        return super().predict(images)


class _Untried:
    """A checkpoint without the state by which `memory_in_fit` knows that it has tried."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._inner = checkpoint

    def load(self) -> dict[str, Any] | None:
        state = self._inner.load()
        return None if state is None or "tried" in state else state

    def due(self) -> bool:
        return self._inner.due()

    def save(self, state: Mapping[str, Any]) -> None:
        self._inner.save(state)

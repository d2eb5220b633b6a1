"""A detector with a knob that only prediction reads and one that fitting reads, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PLUGIN = """
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from adbench.contracts import GridStep, Prediction, SelectionCard
from adbench.testing import PixelGaussian, PixelGaussianHyperparameters

LOG = Path(__file__).with_name("log")


def note(*words):
    with LOG.open("a") as stream:
        print(*words, file=stream)


class KnobHyperparameters(PixelGaussianHyperparameters):
    prediction_only: ClassVar[frozenset[str]] = frozenset({"quantile"})
    quantile: float = Field(0.5, ge=0, le=1, description="of the map, as the score")
    offset: int = Field(0, ge=0, le=99, description="added to the mean in fit")
    masked: bool = Field(True, description="false: scores are noise")


class Knob(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={
        "name": "knob",
        "selection": SelectionCard(
            steps=(
                GridStep(name="quantile", values=(0.0, 0.5, 0.9, 1.0), holding={"offset": 9}),
                GridStep(name="offset", values=(0, 9, 30), requires={"masked": True}),
            ),
            fit_serves={"masked": True},
        ),
    })
    Hyperparameters = KnobHyperparameters
    batch_size = 64

    def fit(self, train, context):
        own = self.hyperparameters
        note("fit", f"offset={own.offset}", f"masked={own.masked}", *train.ids)
        super().fit(train, context)
        self.mean_ = self.mean_ + own.offset
        return self

    def predict(self, images):
        own = self.hyperparameters
        note("predict", f"quantile={own.quantile}", f"offset={own.offset}", len(images))
        if own.quantile == 0.66:
            raise ZeroDivisionError("of the knob")
        maps = super().predict(images).maps
        scores = np.quantile(maps, own.quantile, axis=(1, 2)).astype(np.float32)
        return Prediction(maps, scores)
"""


@dataclass(frozen=True)
class KnobPlugin:
    """The detector in a folder, and what it was asked to do."""

    folder: Path

    @property
    def reference(self) -> str:
        return f"{self.folder / 'knob.py'}:Knob"

    def log(self, word: str) -> list[str]:
        """What was noted of `fit` or `predict` so far."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(f"{word} ")]

    def forget(self) -> None:
        """Begin a new log."""
        (self.folder / "log").unlink(missing_ok=True)


def write_knob(folder: Path) -> KnobPlugin:
    """Write the detector into a new folder."""
    folder.mkdir()
    (folder / "knob.py").write_text(PLUGIN)
    return KnobPlugin(folder)

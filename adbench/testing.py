"""A trivial method for trying the harness and testing plug-ins: no network, no download.

Not installed as an entry point, so never part of `all`:
`adbench run --methods adbench.testing:PixelGaussian --dataset synthetic --preset smoke`.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from adbench.contracts import (
    Context,
    Geometry,
    Hyperparameters,
    Images,
    Method,
    MethodCard,
    Prediction,
)


class PixelGaussianHyperparameters(Hyperparameters):
    """Settings of `PixelGaussian`."""

    training_length: ClassVar[frozenset[str]] = frozenset({"steps"})

    image_size: int = Field(64, ge=8, le=1024, description="side of the image in pixels")
    steps: int = Field(1, ge=1, description="passes over the training images, each checkpointed")
    step_seconds: float = Field(0.0, ge=0, le=60, description="pause per pass, to imitate work")
    noise: float = Field(0.0, ge=0, le=1, description="standard deviation of seeded score noise")


class PixelGaussian(Method):
    """Each pixel's grey value is one Gaussian over the training images; the map is |z|."""

    card = MethodCard(
        name="pixel_gaussian",
        title="Per-pixel Gaussian",
        paper="none: a stand-in for tests of the harness",
        year=2026,
        url="adbench.testing",
        citation="",
        group="testing",
        scope="separate",
        summary="absolute z-score of each pixel's grey value over the training images",
    )
    Hyperparameters = PixelGaussianHyperparameters
    presets = {
        "paper": {"image_size": 128},
        "fast": {"image_size": 64},
        "smoke": {"image_size": 32},
    }

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train: Images, context: Context) -> Self:
        """Mean and standard deviation per pixel, summed up one image per step, resumable."""
        import torch

        sums, squares = _sums(train.pixels)
        state = context.checkpoint.load() or {
            "step": 0,
            "sum": torch.zeros(sums.shape, dtype=torch.float64),
            "squares": torch.zeros(sums.shape, dtype=torch.float64),
        }
        steps = self.hyperparameters.steps
        for step in range(state["step"], steps):
            if step:
                context.snapshot(step, steps, partial(self._after, step, dict(state), context))
            time.sleep(self.hyperparameters.step_seconds)
            state["sum"] = state["sum"] + torch.from_numpy(sums)
            state["squares"] = state["squares"] + torch.from_numpy(squares)
            state["step"] = step + 1
            state["images"] = len(train) * (step + 1)
            context.progress("fit", step + 1, steps)
            if context.checkpoint.due():
                context.checkpoint.save(state)
        return self._take(state, context)

    def _take(self, state: dict[str, Any], context: Context) -> Self:
        """Learn what the sums say."""
        self.mean_ = (state["sum"] / state["images"]).numpy()
        variance = (state["squares"] / state["images"]).numpy() - self.mean_**2
        self.std_ = variance.clip(min=1.0) ** 0.5
        self.seed_ = context.seed
        return self

    def _after(self, step: int, state: dict[str, Any], context: Context) -> PixelGaussian:
        """The method that so many passes would have given."""
        own = self.hyperparameters.model_copy(update={"steps": step})
        return PixelGaussian(own)._take(state, context)

    def training_flops(self, num_train: int) -> float:
        """Of the two sums over all images, in every pass."""
        own = self.hyperparameters
        return 4.0 * float(own.steps * num_train * own.image_size**2)

    def predict(self, images: Images) -> Prediction:
        """|z| per pixel, its maximum per image, plus the seeded noise if any."""
        import hashlib

        import numpy as np

        maps = np.abs((_grey(images.pixels) - self.mean_) / self.std_).astype(np.float32)
        scores = maps.max(axis=(1, 2))
        if self.hyperparameters.noise:
            seeds = [hashlib.sha256(f"{self.seed_}/{i}".encode()).digest()[:8] for i in images.ids]
            draws = [np.random.default_rng(list(seed)).normal() for seed in seeds]
            scores = scores + np.float32(self.hyperparameters.noise) * np.array(draws, np.float32)
        return Prediction(maps, scores.astype(np.float32))

    def save(self, folder: Path) -> None:
        import numpy as np

        np.save(folder / "mean.npy", self.mean_)
        np.save(folder / "std.npy", self.std_)
        (folder / "state.json").write_text(json.dumps({"seed": self.seed_}))

    def load(self, folder: Path, context: Context) -> Self:
        import numpy as np

        self.mean_ = np.load(folder / "mean.npy")
        self.std_ = np.load(folder / "std.npy")
        self.seed_ = json.loads((folder / "state.json").read_text())["seed"]
        return self


def _sums(pixels: Any) -> tuple[Any, Any]:
    """Sum and sum of squares of each pixel's grey value over all images, some at a time."""
    import numpy as np

    chunk = max(1, 2**19 // (pixels.shape[1] * pixels.shape[2]))
    parts = (_grey(pixels[start : start + chunk]) for start in range(0, len(pixels), chunk))
    sums, squares = np.zeros((2, *pixels.shape[1:3]))
    for grey in parts:
        sums += grey.sum(0)
        squares += (grey**2).sum(0)
    return sums, squares


def _grey(pixels: Any) -> Any:
    import numpy as np

    return np.asarray(pixels).mean(axis=3, dtype=np.float64)  # (N, H, W)

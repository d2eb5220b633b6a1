"""A whole method in one file: distance of each pixel to the mean training image."""

from pathlib import Path

import numpy as np
from pydantic import Field

from adbench.contracts import Geometry, Hyperparameters, Method, MethodCard, Prediction


class Settings(Hyperparameters):
    image_size: int = Field(128, ge=16, le=1024, description="side of the image in pixels")


class MeanImage(Method):
    card = MethodCard(
        name="mean_image", title="Mean image", paper="none", year=2026, url="this file",
        citation="@misc{mean, title={Mean image}}", group="baselines", scope="separate",
        summary="absolute difference to the mean training image",
    )  # fmt: skip
    Hyperparameters = Settings
    presets = {"paper": {}, "fast": {}, "smoke": {"image_size": 32}}

    @property
    def geometry(self):
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train, context):
        self.mean_ = train.pixels.mean(axis=0)  # (H, W, 3)
        return self

    def predict(self, images):
        maps = np.abs(images.pixels - self.mean_).mean(axis=3).astype(np.float32)  # (N, H, W)
        return Prediction(maps=maps, scores=maps.max(axis=(1, 2)))

    def save(self, folder: Path):
        np.save(folder / "mean.npy", self.mean_)

    def load(self, folder: Path, context):
        self.mean_ = np.load(folder / "mean.npy")
        return self

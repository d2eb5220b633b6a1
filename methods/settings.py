"""Hyper-parameters that several methods have. A method adds its own and may change a default."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field, FilePath

from adbench.contracts import Hyperparameters


class BackboneSettings(Hyperparameters):
    """Of a frozen backbone and the image that it sees."""

    backbone: str = Field("tf_efficientnet_b4.aa_in1k", description="timm model of the features")
    weights: Literal["auto", "timm", "package"] | FilePath = Field(
        "auto",
        description="backbone weights: auto, timm (its hub), package (offline, "
        "tf_efficientnet_lite0 only) or a .pth or .safetensors file",
    )
    image_size: int = Field(224, ge=32, le=1024, description="side of the input in pixels")


class CoresetSettings(Hyperparameters):
    """Of the coreset of normal features."""

    coreset_ratio: float = Field(0.1, gt=0, le=1, description="share of normal slices to keep")
    max_centers: int | None = Field(None, ge=1, description="upper limit of slices to keep")

    def num_centers(self, num_train: int, map_size: int) -> int:
        """How many slices are kept of so many images of `map_size` x `map_size` slices."""
        kept = max(1, int(self.coreset_ratio * num_train * map_size**2))
        return min(kept, self.max_centers or kept)


class EditingSettings(CoresetSettings):
    """Of LafitE's feature editing."""

    num_neighbours: int = Field(5, ge=1, le=100, description="K nearest slices in editing")
    edit_weights: Literal["normalised", "paper", "uniform", "inverse_softmax"] = Field(
        "normalised", description="(1 - softmax)/(K - 1), as printed, equal, or softmax(-d)"
    )
    edit_temperature: float = Field(
        1.0, gt=0, description="of the editing soft-max, in raw feature units of distance"
    )


class OptimiserSettings(Hyperparameters):
    """Of training a network with AdamW."""

    batch_size: int = Field(8, ge=1, description="images in one optimiser step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="of AdamW")
    learning_rate_drop: float = Field(
        0.8, gt=0, le=1, description="fraction of the steps after which the rate falls to a tenth"
    )
    warmup_steps: int = Field(0, ge=0, description="first steps, in which the rate rises to full")
    decay: Literal["step", "cosine"] = Field(
        "step", description="how the rate falls: by learning_rate_drop, or as half a cosine to 0"
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="of the averaged weights that are kept; 0: the last weights"
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    gradient_clip: float = Field(1.0, ge=0, description="largest gradient norm; 0: no limit")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the network's passes; auto takes what is fast on the device"
    )


class HeldOutSettings(OptimiserSettings):
    """The same, without some of the images."""

    held_out_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="normals kept from training to measure skill on: of 32 or more at least 16, "
        "and at most 32",
    )


class StepSettings(OptimiserSettings):
    """The same, for so many epochs or steps."""

    training_length: ClassVar[frozenset[str]] = frozenset({"epochs", "steps"})

    epochs: int = Field(1000, ge=1, description="training epochs, where steps is not given")
    steps: int | None = Field(None, ge=1, description="optimiser steps; overrides epochs")

    def optimiser_steps(self, num_train: int) -> int:
        """Optimiser steps for so many images."""
        return self.steps or self.epochs * math.ceil(num_train / self.batch_size)

"""UniAD's hyper-parameters; the defaults are the paper's and the official configuration's."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

from pydantic import Field, FilePath, model_validator

from adbench import contracts


class UniADHyperparameters(contracts.Hyperparameters):
    """Everything that a run of UniAD can vary."""

    prediction_only: ClassVar[frozenset[str]] = frozenset(
        {"num_neighbours", "edit_weights", "edit_temperature", "pool_kernel"}
    )

    backbone: str = Field(
        "tf_efficientnet_b4.aa_in1k", description="timm model whose features are reconstructed"
    )
    weights: Literal["auto", "timm", "package"] | FilePath = Field(
        "auto",
        description="backbone weights: auto, timm (its hub), package (offline, "
        "tf_efficientnet_lite0 only) or a .pth or .safetensors file",
    )
    image_size: int = Field(224, ge=32, le=1024, description="side of the input in pixels")
    feature_size: int = Field(
        14, ge=4, le=112, description="side to which all stages are resized: 14, 28 or 56 at 224 px"
    )

    hidden: int = Field(256, ge=8, le=2048, multiple_of=2, description="width of the transformer")
    heads: int = Field(8, ge=1, le=64, description="attention heads; they divide hidden")
    ffn: int = Field(1024, ge=8, le=8192, description="inner width of the feed-forward layers")
    layers: int = Field(4, ge=1, le=24, description="encoder layers, and as many decoder layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations dropped in training")
    neighbour_window: int = Field(
        7,
        ge=0,
        description="odd side of the window around a token that its attention may not see; "
        "0 masks nothing",
    )
    jitter_scale: float = Field(
        20.0, ge=0, description="noise on training features, in norms of a token over its channels"
    )
    jitter_probability: float = Field(
        1.0, ge=0, le=1, description="share of the training batches that are jittered"
    )

    epochs: int = Field(1000, ge=1, description="training epochs, where steps is not given")
    steps: int | None = Field(None, ge=1, description="optimiser steps; overrides epochs")
    batch_size: int = Field(8, ge=1, description="images in one optimiser step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="of AdamW")
    learning_rate_drop: float = Field(
        0.8, gt=0, le=1, description="fraction of the steps after which the rate falls to a tenth"
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    gradient_clip: float = Field(0.1, ge=0, description="largest gradient norm; 0: no limit")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the training passes; auto takes what is fast on the device"
    )
    held_out_fraction: float = Field(
        0.05, ge=0, le=0.5, description="normals kept from training to measure the error on"
    )

    feature_editing: bool = Field(
        False, description="true: LafitE's ablation, which reconstructs edited features"
    )
    coreset_ratio: float = Field(0.1, gt=0, le=1, description="share of normal slices to keep")
    max_centers: int | None = Field(None, ge=1, description="upper limit of slices to keep")
    num_neighbours: int = Field(5, ge=1, le=100, description="K nearest slices in editing")
    edit_weights: Literal["normalised", "paper", "uniform", "inverse_softmax"] = Field(
        "normalised", description="(1 - softmax)/(K - 1), as printed, equal, or softmax(-d)"
    )
    edit_temperature: float = Field(
        1.0, gt=0, description="of the editing soft-max, in feature units of distance"
    )

    pool_kernel: int = Field(16, ge=1, description="averaging window of the image score, in pixels")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"heads={self.heads} does not divide hidden={self.hidden}")
        if self.neighbour_window and not self.neighbour_window % 2:
            raise ValueError(f"neighbour_window={self.neighbour_window} is even: no token would be "
                             "its centre; expected an odd number, or 0 for no mask")  # fmt: skip
        if self.neighbour_window >= self.feature_size:
            raise ValueError(
                f"neighbour_window={self.neighbour_window} hides every token from the one in the "
                f"middle of a {self.feature_size} x {self.feature_size} map: expected less than "
                "feature_size"
            )
        if self.pool_kernel > self.image_size:
            raise ValueError(f"pool_kernel={self.pool_kernel} exceeds image_size={self.image_size}")
        return self

    def num_steps(self, num_train: int) -> int:
        """Optimiser steps for so many images."""
        return self.steps or self.epochs * math.ceil(num_train / self.batch_size)

    def num_centers(self, num_train: int) -> int:
        """Slices that the coreset keeps, with feature editing."""
        kept = max(1, int(self.coreset_ratio * num_train * self.feature_size**2))
        return min(kept, self.max_centers or kept)

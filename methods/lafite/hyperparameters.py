"""LafitE's hyper-parameters; the defaults are the paper's values or the reasoned choice where it
gives none (the card's deviations say which)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

from pydantic import Field, FilePath, model_validator

from adbench import contracts


class LafitEHyperparameters(contracts.Hyperparameters):
    """Everything that a run of LafitE can vary."""

    prediction_only: ClassVar[frozenset[str]] = frozenset(
        {
            "num_neighbours",
            "edit_weights",
            "edit_temperature",
            "tau",
            "num_inference_steps",
            "eta",
            "num_noise",
            "score_power",
            "smoothing",
            "pool_kernel",
        }
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
    map_size: int = Field(
        32, ge=8, le=128, multiple_of=8, description="side to which all stages are resized"
    )
    msa_resize: Literal["bilinear", "area"] = Field(
        "bilinear", description="how stages are resized: aligned corners, or area when shrinking"
    )
    feature_scaling: Literal["none", "global", "channel"] = Field(
        "global", description="divide features by nothing, one scalar, or one scalar a channel"
    )

    feature_editing: bool = Field(True, description="false: LafitE without feature editing")
    reconstruction: bool = Field(True, description="false: edit only, no diffusion network")

    base_width: int = Field(
        256, ge=32, le=512, multiple_of=32, description="UNet width at full resolution"
    )
    prediction_type: Literal["epsilon", "sample"] = Field(
        "epsilon", description="what the UNet predicts: the noise, or the clean features"
    )
    epochs: int = Field(1000, ge=1, description="training epochs, where steps is not given")
    steps: int | None = Field(None, ge=1, description="optimiser steps; overrides epochs")
    batch_size: int = Field(64, ge=1, description="images in one optimiser step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="of AdamW")
    learning_rate_drop: float = Field(
        0.8, gt=0, le=1, description="fraction of the steps after which the rate falls to a tenth"
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="decay of the averaged weights; 0 keeps the last weights"
    )
    gradient_clip: float = Field(1.0, ge=0, description="largest gradient norm; 0: no limit")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the training passes; auto takes what is fast on the device"
    )
    held_out_fraction: float = Field(
        0.05, ge=0, le=0.5, description="normals kept from the network to measure its error on"
    )

    coreset_ratio: float = Field(0.1, gt=0, le=1, description="share of normal slices to keep")
    max_centers: int | None = Field(None, ge=1, description="upper limit of slices to keep")
    num_neighbours: int = Field(5, ge=1, le=100, description="K nearest slices in editing")
    edit_weights: Literal["normalised", "paper", "uniform", "inverse_softmax"] = Field(
        "normalised", description="(1 - softmax)/(K - 1), as printed, equal, or softmax(-d)"
    )
    edit_temperature: float = Field(
        1.0, gt=0, description="of the editing soft-max, in raw feature units of distance"
    )

    tau: int = Field(300, ge=1, le=999, description="timestep up to which features are noised")
    num_inference_steps: int = Field(10, ge=1, le=999, description="DDIM steps from tau to 0")
    eta: float = Field(0.0, ge=0, le=1, description="0: deterministic DDIM; 1: DDPM's variance")
    num_noise: int = Field(1, ge=1, le=64, description="noise samples whose maps are averaged")

    score_power: Literal[1, 2] = Field(2, description="2: squared distance (eq. 12); 1: distance")
    smoothing: float = Field(4.0, ge=0, le=32, description="sigma of the Gaussian, in pixels")
    pool_kernel: int = Field(16, ge=1, description="averaging window of the image score, in pixels")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.feature_editing or self.reconstruction):
            raise ValueError(
                "feature_editing=false and reconstruction=false leave nothing to compare with: "
                "keep one of them true"
            )
        if self.num_inference_steps > self.tau:
            raise ValueError(
                f"num_inference_steps={self.num_inference_steps} exceeds tau={self.tau}: "
                "each step must go down by at least one timestep"
            )
        if self.pool_kernel > self.image_size:
            raise ValueError(f"pool_kernel={self.pool_kernel} exceeds image_size={self.image_size}")
        return self

    def num_steps(self, num_train: int) -> int:
        """Optimiser steps for so many images."""
        return self.steps or self.epochs * math.ceil(num_train / self.batch_size)

    def num_centers(self, num_train: int) -> int:
        """Slices that the coreset keeps."""
        kept = max(1, int(self.coreset_ratio * num_train * self.map_size**2))
        return min(kept, self.max_centers or kept)

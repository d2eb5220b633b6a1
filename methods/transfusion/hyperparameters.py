"""TransFusion's hyper-parameters; the defaults are the official code's settings (preset `paper`).

The rows of the paper's Table 4 on the command line, each `adbench run --methods "..."`:

    w/o positional encoding      transfusion[positional_encoding=none]
    w/o simulated mask           transfusion[previous_mask=none]
    w/o one loss                 transfusion[loss_normal=false], loss_mask, loss_anomaly,
                                 loss_consistency
    M_1, M_disc or M_recon only  transfusion[final_mask=last|disc|recon]
    5, 10 or 50 steps            transfusion[num_steps=5|10|50]
    schedule                     transfusion[schedule=linear|quadratic|root]
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, DirectoryPath, Field, FilePath, model_validator

from adbench import contracts

SIZE_MULTIPLE = 32
"""Of the side: the finest lattice of the synthetic anomalies has 32 cells."""


def _none_is_a_name(value: Any) -> Any:
    """The command line turns "none" into None, but here it is a choice like any other."""
    return "none" if value is None else value


class TransFusionHyperparameters(contracts.Hyperparameters):
    """Everything that a run of TransFusion can vary."""

    image_size: int = Field(
        256, ge=32, le=1024, multiple_of=8, description="side in pixels after resizing"
    )
    crop: int | None = Field(
        None, ge=32, le=1024, description="side of a centre crop; the paper's text crops to 224"
    )

    num_steps: int = Field(
        20, ge=3, le=1000, description="T, values of the schedule; T - 2 steps are sampled"
    )
    schedule: Literal["linear", "quadratic", "root"] = Field(
        "linear", description="beta_t: u, u^2 or sqrt(u) of u = t / (T - 1)"
    )
    sampling: Literal["code", "literal"] = Field(
        "code", description="first timestep: T - 2 as in the code, or T - 1 as trained"
    )

    width: int = Field(64, ge=32, le=256, multiple_of=32, description="channels at full resolution")
    levels: int = Field(4, ge=2, le=6, description="resolutions; channels double from one to next")
    blocks: int = Field(2, ge=1, le=4, description="residual blocks on each level")
    attention_levels: int = Field(
        2, ge=0, le=6, description="how many of the deepest levels have attention"
    )
    positional_encoding: Annotated[
        Literal["row", "2d", "none"], BeforeValidator(_none_is_a_name)
    ] = Field("row", description="sin(row) as in the code, rows and columns, or zeros")

    loss_normal: bool = Field(True, description="false: without L_n, SSIM and L1 of the normal")
    loss_mask: bool = Field(True, description="false: without L_m, focal and smooth L1 of the mask")
    loss_anomaly: bool = Field(True, description="false: without L_a, L2 of the anomaly")
    loss_consistency: bool = Field(True, description="false: without L_c, L2 of x_{t-1}")
    ssim_range: Literal["data", "fixed"] = Field(
        "data", description="value range in SSIM: guessed from the batch as in the code, or 2"
    )

    previous_mask: Annotated[Literal["simulated", "none"], BeforeValidator(_none_is_a_name)] = (
        Field("simulated", description="mask cue of the network; none: always empty")
    )
    previous_mask_drop: Literal["code", "exact"] = Field(
        "code",
        description="how a quarter of the cues is dropped: leakily as in the code, or wholly",
    )
    rotation_probability: float = Field(
        0.3, ge=0, le=1, description="of rotating a training sample after composition"
    )
    rotation_degrees: float = Field(20.0, ge=0, le=180, description="largest angle either way")
    texture_dir: DirectoryPath | None = Field(
        None, description="folder of texture images (DTD or any); none: procedural textures"
    )
    foreground_dir: DirectoryPath | None = Field(
        None, description="folder of foreground masks of the training images, matched by name"
    )
    foreground: Literal["otsu", "ones"] = Field(
        "otsu", description="of objects without foreground_dir: border-aware Otsu, or everything"
    )

    weights: FilePath | None = Field(
        None, description="checkpoint of the official code (.pkl) to score without training"
    )
    epochs: int = Field(1500, ge=1, description="training epochs, where steps is not given")
    steps: int | None = Field(None, ge=1, description="optimiser steps; overrides epochs")
    batch_size: int = Field(8, ge=1, description="images in one optimiser step")
    learning_rate: float = Field(1e-5, gt=0, le=1, description="of AdamW")
    learning_rate_drop: float = Field(
        800 / 1500, gt=0, le=1, description="fraction of steps after which the rate falls to 0.1"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW")
    gradient_clip: float = Field(0.0, ge=0, description="largest gradient norm; 0: no limit")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the network's passes; auto takes what is fast on the device"
    )

    final_mask: Literal["both", "disc", "recon", "last"] = Field(
        "both", description="map from M_disc and M_recon, one of them, or the last mask M_1"
    )
    disc_weight: float = Field(0.95, ge=0, le=1, description="lambda, share of M_disc in the map")
    smoothing_kernel: int = Field(7, ge=1, le=101, description="odd side of the mean filter")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.crop is not None and self.crop > self.image_size:
            raise ValueError(f"crop={self.crop} exceeds image_size={self.image_size}")
        if self.size % SIZE_MULTIPLE:
            raise ValueError(
                f"the side is {self.size} pixels, expected a multiple of {SIZE_MULTIPLE}: the "
                "network halves it and the synthetic anomalies divide it into cells"
            )
        if self.attention_levels > self.levels:
            raise ValueError(
                f"attention_levels={self.attention_levels} exceeds levels={self.levels}"
            )
        if not (self.loss_normal or self.loss_mask or self.loss_anomaly or self.loss_consistency):
            raise ValueError("all four losses are off: keep one of them true")
        if self.smoothing_kernel % 2 == 0:
            raise ValueError(f"smoothing_kernel={self.smoothing_kernel}: expected an odd number")
        return self

    @property
    def size(self) -> int:
        """Side of the image that the network sees."""
        return self.crop or self.image_size

    def optimiser_steps(self, num_train: int) -> int:
        """Optimiser steps for so many images; none with given weights."""
        if self.weights is not None:
            return 0
        return self.steps or self.epochs * math.ceil(num_train / self.batch_size)

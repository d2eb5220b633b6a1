"""DRDC's hyper-parameters.

The defaults are the paper's values, or the reasoned choice where it gives none: the card's
deviations say which.

A plain `drdc` records three scores: its own, fused of both branches, and each branch's alone, as
parts. A branch as a row of its own, ranked with other methods, is

    base, refinement, both       drdc[output=base|diffusion|fused]

of which the last two share one training and the first trains no UNet. What `predict` alone reads,
from `fusion` on, needs no training anew either,
and most rows of the paper's Table 5 are the same training too, each `adbench run --methods "..."`:

    w/o spatio-temporal fusion   drdc[spatio_temporal_fusion=false]
    w/o test-time condition      drdc[test_time_condition=false]
    w/o model condition          drdc[model_condition=false]     (trains its own network)
    with multi-scale base        drdc[multiscale_base=true]
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from adbench.contracts import JSON
from adbench.methods.reconstruction.method import ReconstructionSettings
from adbench.methods.settings import BackboneSettings, HeldOutSettings

NUM_TRAIN_TIMESTEPS = 1000

Text = BeforeValidator(
    lambda value: str(value).split("x") if isinstance(value, int | str) else value
)
"""The text `1x16x32` is a list of numbers, and one number a list of one."""
Positive = Annotated[int, Field(ge=1)]
Timestep = Annotated[int, Field(ge=0, lt=NUM_TRAIN_TIMESTEPS)]
Numbers = Annotated[tuple[Positive, ...], Text, Field(min_length=1)]
Timesteps = Annotated[tuple[Timestep, ...], Text, Field(min_length=1)]


class DRDCSettings(HeldOutSettings, BackboneSettings):
    """Everything that a run of DRDC can vary."""

    prediction_only: ClassVar[frozenset[str]] = frozenset(
        {
            *("fusion", "gamma", "pool_kernel", "multiscale_base"),
            *("spatio_temporal_fusion", "test_time_condition", "clip_sample"),
            *("timesteps", "grids", "num_masks", "scales", "smoothing_kernel"),
        }
    )
    training_length: ClassVar[frozenset[str]] = frozenset({"steps", "base_steps", "base_epochs"})

    image_size: int = Field(
        224, ge=32, le=1024, description="side in pixels: input of the base, and of the maps"
    )
    feature_size: int = Field(14, ge=8, le=112, description="side of the base's feature map")
    base_hidden: int = Field(
        256, ge=8, le=2048, multiple_of=2, description="width of the base's transformer"
    )
    base_heads: int = Field(8, ge=1, le=64, description="its attention heads")
    base_ffn: int = Field(1024, ge=8, le=8192, description="inner width of its layers")
    base_layers: int = Field(
        4, ge=1, le=24, description="its encoder layers, and as many decoder layers"
    )
    base_dropout: float = Field(0.1, ge=0, lt=1, description="share of its activations dropped")
    base_neighbour_window: int = Field(
        7, ge=0, description="odd side of what its attention may not see around a token; 0: all"
    )
    base_standardise: bool = Field(
        False, description="true: it works on features less their mean, in deviations"
    )
    base_attention_start: Literal["random", "local"] = Field(
        "random", description="of its training: as in UniAD's code, or at the token that asks"
    )
    base_jitter_scale: float = Field(
        20.0, ge=0, description="noise on its training features, in norms of a token over channels"
    )
    base_epochs: int = Field(1000, ge=1, description="of the base, where base_steps is not given")
    base_steps: int | None = Field(None, ge=1, description="of the base; overrides base_epochs")
    base_batch_size: int = Field(8, ge=1, description="images in one step of the base")
    base_learning_rate: float = Field(1e-4, gt=0, le=1, description="of the base's AdamW")
    base_learning_rate_drop: float = Field(
        0.8, gt=0, le=1, description="fraction of the base's steps at the full rate; then 0.1"
    )
    base_warmup_steps: int = Field(0, ge=0, description="first steps, in which its rate rises")
    base_decay: Literal["step", "cosine"] = Field("step", description="how its rate falls")
    base_ema_decay: float = Field(
        0.0, ge=0, lt=1, description="of the average of its weights; 0: the last ones"
    )
    base_gradient_clip: float = Field(
        0.1, ge=0, description="largest gradient norm of the base; 0: no limit"
    )

    diffusion_size: int | None = Field(
        None, ge=32, le=1024, description="side of the images that are inpainted; none: image_size"
    )
    base_width: int = Field(
        128, ge=32, le=512, multiple_of=32, description="channels of the UNet at full resolution"
    )
    multipliers: Numbers = Field(
        (1, 1, 2, 2, 4, 4), description="channels of each level in base_width, as 1x1x2x2x4x4"
    )
    attention_factors: Numbers = Field(
        (8, 16, 32), description="levels with attention, by their down-sampling factor"
    )
    blocks: int = Field(2, ge=1, le=4, description="residual blocks on each level of the UNet")
    patch_size: int = Field(
        1, ge=1, le=8, description="side of the pixels that the UNet takes together as channels"
    )
    model_condition: bool = Field(
        True, description="false: the UNet sees x_t only, not the noise-filled image beside it"
    )
    mask_channel: bool = Field(
        False, description="true: the UNet is told which pixels are unknown, as a further channel"
    )
    prediction_type: Literal["epsilon", "sample"] = Field(
        "epsilon", description="what the UNet predicts and its loss compares: noise, or image"
    )
    preconditioned: bool = Field(
        False,
        description="true: the UNet is shown the best Gaussian guess of the image as well, and "
        "predicts what to add to it (prediction_type=sample)",
    )
    init: Literal["qsample", "noise_fill"] = Field(
        "qsample",
        description="what is noised to x_t, in training and at the start: the image, or the "
        "noise-filled image, in whose unknown cells nothing of it is left",
    )
    training_grids: Numbers = Field(
        (1, 16, 32), description="sides of the cells that are masked in training, in pixels"
    )
    t_max: int = Field(
        1000, ge=1, le=NUM_TRAIN_TIMESTEPS, description="timesteps below it are trained on"
    )
    loss_region: Literal["all", "masked"] = Field(
        "all", description="where the loss counts: all pixels as in eq. 12, or the masked ones"
    )
    steps: int = Field(50_000, ge=1, description="optimiser steps of the UNet")
    batch_size: int = Field(16, ge=1, description="images in one step of the UNet")
    learning_rate_drop: float = Field(
        1.0, gt=0, le=1, description="fraction of the UNet's steps at the full rate; then 0.1"
    )
    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the UNet's weights; 0: last ones")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of both networks' AdamW")

    output: Literal["fused", "base", "diffusion"] = Field(
        "fused", description="map of both branches, of the base or of the diffusion refinement"
    )
    fusion: Literal["paper", "calibrated"] = Field(
        "paper",
        description="maps are divided by their channels, or by their mean on held-out normals",
    )
    gamma: float = Field(0.9, ge=0, le=1, description="share of the diffusion map")
    pool_kernel: int = Field(16, ge=1, description="averaging window of the image score, in pixels")
    multiscale_base: bool = Field(
        False, description="true: the base's errors are averaged over `scales` as well"
    )
    spatio_temporal_fusion: bool = Field(
        True, description="false: the last timestep and the finest scale only"
    )
    test_time_condition: bool = Field(
        True, description="false: known pixels are not put back in each step"
    )
    clip_sample: bool = Field(True, description="clip predicted images to [-1, 1]")
    timesteps: Timesteps = Field(
        (250, 200, 150, 100, 50, 0), description="of the sampling, 0-based, as 250x200x150x100x50x0"
    )
    grids: Numbers = Field((1, 16, 32), description="sides of the cells in inference, in pixels")
    num_masks: int = Field(
        2, ge=1, le=8, description="n_s, disjoint sets of cells that are inpainted in turn"
    )
    scales: Numbers = Field(
        (1, 2, 4, 8), description="pixels over which images are averaged before they are compared"
    )
    smoothing_kernel: int = Field(
        41, ge=1, le=201, description="odd side of the diffusion map's mean filter, in its pixels"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_sides()
        if any(later >= earlier for earlier, later in pairwise(self.timesteps)):
            listed = "x".join(map(str, self.timesteps))
            raise ValueError(f"timesteps={listed}: expected decreasing numbers")
        if self.timesteps[0] >= self.t_max:
            raise ValueError(
                f"timesteps begin at {self.timesteps[0]}, but t_max={self.t_max} trains on those "
                "below it only"
            )
        if self.preconditioned and self.prediction_type != "sample":
            raise ValueError(
                "preconditioned=true has the UNet add to an image: expected prediction_type=sample"
            )
        if self.smoothing_kernel % 2 == 0:
            raise ValueError(f"smoothing_kernel={self.smoothing_kernel}: expected an odd number")
        if self.smoothing_kernel // 2 >= self.inner_size:
            raise ValueError(
                f"smoothing_kernel={self.smoothing_kernel} reaches beyond the reflection of a map "
                f"of {self.inner_size} pixels"
            )
        if self.fusion == "calibrated" and not self.held_out_fraction:
            raise ValueError("fusion=calibrated needs normals that training leaves out: expected "
                             "held_out_fraction above 0")  # fmt: skip
        _ = self.base  # its own checks
        return self

    def _check_sides(self) -> None:
        factors = [self.patch_size * 2**level for level in range(len(self.multipliers))]
        for name, parts in (
            ("multipliers", (factors[-1],)),
            ("training_grids", self.training_grids),
            ("grids", self.grids),
            ("scales", self.scales),
        ):
            for part in parts:
                if self.inner_size % part:
                    raise ValueError(
                        f"{name}: the inpainted images have {self.inner_size} pixels a side, "
                        f"which {part} does not divide"
                    )
        for factor in self.attention_factors:
            if factor not in factors:
                listed = ", ".join(map(str, factors))
                raise ValueError(
                    f"attention_factors: no level is {factor} times smaller than the input; "
                    f"expected some of {listed}"
                )

    @property
    def inner_size(self) -> int:
        """Side of the images that the diffusion branch sees."""
        return self.diffusion_size or self.image_size

    @property
    def network_shape(self) -> tuple[int, int, tuple[int, ...], tuple[int, ...], int, int]:
        """What the UNet is built from."""
        channels = 3 + 3 * self.model_condition + self.mask_channel + 3 * self.preconditioned
        levels = (self.base_width, self.multipliers, self.attention_factors)
        return (channels, *levels, self.blocks, self.patch_size)

    @property
    def refines(self) -> bool:
        """Whether there is a UNet: the base alone needs none, and none is trained for it."""
        return self.output != "base"

    def fit_values(self) -> dict[str, JSON]:
        """One training serves both outputs of the UNet; the base alone is another one."""
        values = super().fit_values()
        return {n: v for n, v in values.items() if n != "output" or not self.refines}

    @property
    def base(self) -> ReconstructionSettings:
        """Those of the base branch, which is UniAD."""
        own = type(self).model_fields
        names = {
            n: f"base_{n}" if f"base_{n}" in own else n for n in ReconstructionSettings.model_fields
        }
        return ReconstructionSettings(
            **{name: getattr(self, mine) for name, mine in names.items() if mine in own}
        )

    @property
    def evaluations(self) -> int:
        """Of the UNet per image: grids x sets x timesteps, and none for the base alone."""
        if not self.refines:
            return 0
        return len(self.grids) * self.num_masks * len(self.timesteps)

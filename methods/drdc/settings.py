"""DRDC's card, presets and hyper-parameters.

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

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from adbench.contracts import JSON, MethodCard
from adbench.methods.reconstruction.method import ReconstructionSettings
from adbench.methods.settings import BackboneSettings, HeldOutSettings

CARD = MethodCard(
    name="drdc",
    title="DRDC",
    paper="Enhancing Multi-Class Anomaly Detection via Diffusion Refinement with Dual Conditioning",
    year=2024,
    url="https://arxiv.org/abs/2407.01905",
    citation="""@article{zhan2024drdc,
  title   = {Enhancing Multi-Class Anomaly Detection via Diffusion Refinement with Dual
             Conditioning},
  author  = {Zhan, Jiawei and Lai, Jinxiang and Gao, Bin-Bin and Liu, Jun and Chen, Xiaochen and
             Wang, Chengjie},
  journal = {arXiv preprint arXiv:2407.01905},
  year    = {2024}
}""",
    group="diffusion",
    scope="unified",
    summary="Reconstructs frozen features with a transformer and inpaints the image, cell by "
    "cell, with a diffusion model that is shown the rest; both errors together are the score.",
    deviations=(
        "No code was published and the supplement was not at hand, so that what the paper leaves "
        "open follows the works it builds on: UniAD, guided-diffusion and RePaint.",
        "The base's loss is a mean over channels too, as in UniAD, where eq. 1 divides by the "
        "pixels only.",
        "Inpainted parts are summed without the 1 / n_s of eq. 10, because they are disjoint: as "
        "printed, even a perfect reconstruction is half as bright as the image.",
        "Section 4.2 sends the noise-filled image through the forward process, eq. 12 and 13 the "
        "image itself; init has both, each trained for what it starts from. init=qsample noises "
        "the image, so that the unknown cells stay visible (signal-to-noise 1.09 at t = 250): the "
        "network denoises more than it inpaints. init=noise_fill leaves nothing of them, and the "
        "noise to predict is the one that eq. 9 takes to the clean image, because the one that was "
        "added follows from the inputs; after the first step the unknown cells hold what was "
        "predicted, where training had noise alone.",
        "The last listed timestep, 0, is a network evaluation at the first noise level, because "
        "0-based timesteps are guided-diffusion's and the clean image needs none.",
        "Sampling is DDIM with eta = 0 between listed timesteps, as section 5 says, where eq. 7 "
        "and 14 print the stochastic step to t - 1.",
        "The 49 cells of 32 pixels are split into 25 and 24, because n_s = 2 does not divide "
        "them as the text presumes.",
        "The UNet is ADM's with base width 128 instead of 256 (preset adm256), because the paper "
        "gives no size, claims fast inference and has few images.",
        "Attention is at down-sampling factors 8, 16 and 32, as in ADM at 256 pixels, because "
        "guided-diffusion's own rule silently leaves it out at 224.",
        "The noise schedule is linear from 1e-4 to 0.02, the UNet sees images in [-1, 1], and "
        "predicted images are clipped to it, as in guided-diffusion, because the paper gives "
        "none of them.",
        "The UNet trains 50,000 steps of 16 images at 1e-4 with gradients clipped at norm 1 and "
        "an average of its weights with decay 0.999, because the paper gives only weight decay.",
        "Training masks are half of the cells of a grid drawn from the three of the inference, "
        "because the paper gives no law.",
        "Predicted images are compared after average pooling, errors are resized bilinearly, and "
        "the 41 x 41 filter reflects the border, because eq. 16 and 18 leave these open.",
        "H_base is resized to the image before eq. 19 adds it, and the image score pools 16 x 16 "
        "windows with stride 1, as UniAD does.",
        "Eq. 19 adds a feature distance and an image distance whose scales nothing makes "
        "comparable; it is the default, and fusion=calibrated divides each by its mean on "
        "held-out normals instead.",
        "held_out_fraction of the normals train neither branch, so that fusion can be calibrated "
        "and skill measured: none in paper, 16 to 32 of them in fast.",
        "spatio_temporal_fusion=false keeps the last timestep and the finest scale, and "
        "multiscale_base=true pools the base's features at the same scales, because Table 5 "
        "names both without saying how.",
        "The presets fast and smoke use the offline backbone tf_efficientnet_lite0 and inpaint "
        "smaller images, whose maps are resized; fast trains on timesteps below 300 only, as "
        "inference visits no other.",
        "fast has the base of UniAD's fast, for which its card speaks, "
        "and a UNet of width 32 with multipliers 1, 2, 3, 4 and one block a level on patches of "
        "2 x 2 pixels at 112 px, trained for 1,500 steps of 4 images at 1e-3, with warm-up, cosine "
        "decay and an average of decay 0.99; it inpaints at 3 timesteps (250, 150, 50) over cells "
        "of 1, 8 and 16 px and compares at scales 1, 2 and 4.",
        "In fast the UNet is told the mask (mask_channel), is shown the best Gaussian guess of the "
        "image given its known pixels and predicts what to add to it, in units of about its "
        "error, instead of noise (preconditioned, prediction_type=sample), and only unknown pixels "
        "count in its loss (loss_region=masked), because so few steps teach little else; known "
        "pixels' predictions are thrown away in eq. 10 and 15 anyway.",
        "What UniAD's card says of its own deviations holds for the base.",
        "The average of the weights warms up: its decay in step s is at most (1 + s)/(10 + s).",
        "A batch may straddle two epochs, so that every batch is full.",
        "A batch of 16 at the paper's size holds about 35 GB of activations; --accumulate 4 trains "
        "it in parts.",
        "Where bf16 is fast the UNet's layers run in bfloat16, its last one, the loss and the "
        "sampling in float32.",
    ),
)

# What differs from the defaults.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    # The paper says "the same UNet as Dhariwal and Nichol", and no width. 128 is our choice.
    "paper": {},
    # Their width at 256 pixels: 552.8 million parameters, 62 TFLOP an image.
    "adm256": {"base_width": 256},
    # Minutes on two CPU cores. The refinement works on images of half the side, with cells and
    # filter to match and as many cells, with half of the evaluations, at 2.4 GFLOP each instead of
    # 430. Where nothing of the unknown cells is in the input the condition is all that informs, and
    # with the best Gaussian guess to add to, a training starts at the yardstick. Measured along
    # trainings of 160 and 80 steps only, on 8 held-out normals (mean squared error of unknown
    # pixels over cells of 1, 8 and 16 px, in [-1, 1]): metal plates .0152 before, .0134 after 80
    # steps, .0125 after 160, the guess itself comes to its end at .0125; tiles .00093 before,
    # .00092 after 60, end of the guess .00092. With another plate as condition: 7.9 times as much.
    # The base is that of UniAD's `fast`, so that both rows of a table are one baseline.
    "fast": {
        "backbone": "tf_efficientnet_lite0",
        "held_out_fraction": 0.05,
        "base_hidden": 128,
        "base_heads": 4,
        "base_ffn": 256,
        "base_layers": 2,
        "base_dropout": 0.0,
        "base_neighbour_window": 0,
        "base_standardise": True,
        "base_attention_start": "local",
        "base_jitter_scale": 40.0,
        "base_learning_rate": 2e-3,
        "base_warmup_steps": 20,
        "base_decay": "cosine",
        "base_steps": 1500,
        "diffusion_size": 112,
        "base_width": 32,
        "multipliers": (1, 2, 3, 4),
        "attention_factors": (16,),
        "blocks": 1,
        "patch_size": 2,
        "init": "noise_fill",
        "prediction_type": "sample",
        "mask_channel": True,
        "preconditioned": True,
        "loss_region": "masked",
        "training_grids": (1, 8, 16),
        "t_max": 300,
        "steps": 1500,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 20,
        "decay": "cosine",
        "ema_decay": 0.99,
        "timesteps": (250, 150, 50),
        "grids": (1, 8, 16),
        "scales": (1, 2, 4),
        "smoothing_kernel": 21,
    },
    # Seconds: proves the plumbing, its scores mean nothing.
    "smoke": {
        "backbone": "tf_efficientnet_lite0",
        "held_out_fraction": 0.05,
        "image_size": 64,
        "feature_size": 8,
        "base_steps": 2,
        "base_batch_size": 4,
        "diffusion_size": 32,
        "base_width": 32,
        "multipliers": (1, 2),
        "attention_factors": (2,),
        "blocks": 1,
        "training_grids": (1, 4),
        "steps": 3,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "timesteps": (250, 0),
        "grids": (1, 4),
        "scales": (1, 2),
        "smoothing_kernel": 5,
        "pool_kernel": 4,
    },
}

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

"""What TransFusion says of itself, its hyper-parameters and what they cost; imports no torch.

The defaults are the official code's settings (preset `paper`). The rows of the paper's Table 4 on
the command line, each `adbench run --methods "..."`:

    w/o positional encoding      transfusion[positional_encoding=none]
    w/o simulated mask           transfusion[previous_mask=none]
    w/o one loss                 transfusion[loss_normal=false], loss_mask, loss_anomaly,
                                 loss_consistency
    M_1, M_disc or M_recon only  transfusion[final_mask=last|disc|recon]
    5, 10 or 50 steps            transfusion[num_steps=5|10|50]
    schedule                     transfusion[schedule=linear|quadratic|root]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, DirectoryPath, Field, model_validator

from adbench.contracts import MethodCard
from adbench.contracts.method import files_behind
from adbench.methods import costs
from adbench.methods.settings import HeldOutSettings, StepSettings

CARD = MethodCard(
    name="transfusion",
    title="TransFusion",
    paper="TransFusion - A Transparency-Based Diffusion Model for Anomaly Detection",
    year=2024,
    url="https://arxiv.org/abs/2311.09999",
    citation="""@inproceedings{fucka2024transfusion,
  title     = {{TransFusion} -- A Transparency-Based Diffusion Model for Anomaly Detection},
  author    = {Fu{\\v{c}}ka, Matic and Zavrtanik, Vitjan and Sko{\\v{c}}aj, Danijel},
  booktitle = {European Conference on Computer Vision},
  year      = {2024}
}""",
    group="diffusion",
    scope="separate",
    summary="Learns on synthetic anomalies to make an anomaly ever more transparent; each step "
    "predicts its mask, its appearance and the normal image, and the masks are the score.",
    deviations=(
        "Where paper and official code differ, `paper` follows the code, because only its results "
        "come with weights; `paper_text` crops to 224 pixels as the text says.",
        "The reverse process visits t = 18 to 1 and divides the 18 masks by 19, as the code does "
        "against the text (sampling=literal visits 19 to 1).",
        "The anomaly head learns beta_t M A and the mask is binarised in eq. 4, as the code does "
        "against eq. 7 and the text.",
        "The positional encoding is the sine of the row alone, as the code's one channel holds no "
        "more of the encoding that the text describes (positional_encoding=2d has columns too).",
        "SSIM enters as 1 - SSIM with the code's value range that depends on the batch, because "
        "the text gives no range (ssim_range=fixed takes 2).",
        "Foreground masks are made where no foreground_dir is given, because the authors' masks "
        "come from a model that is not part of the code: by an Otsu threshold on the distance to "
        "the border's median colour, holes filled and dilated, as grey values alone lost parts of "
        "the rendered gears and covers (foreground=ones does without). Measured once, fast with "
        "120 steps on 18 rendered gears: image AUROC 56.94, pixel AUROC 76.06, AUPRO@0.3 32.17 "
        "with it; 44.44, 78.98 and 36.21 without. Neither network is trained enough to tell.",
        "Where no texture_dir is given, textures are procedural instead of DTD's, because nothing "
        "is downloaded.",
        "The quadratic and the square-root schedule are u^2 and sqrt(u), because the text names "
        "them without formulas.",
        "previous_mask=none feeds an empty mask in training and in sampling, because the text "
        "does not say what the network without the simulated mask is given.",
        "The authors switched the rotation off in their first release and repaired it (20 degrees "
        "either way) after the weights were published, so that it is open which of the two made "
        "the published numbers (rotation_probability=0 is the former).",
        "With loss_mask=false the mask head gets no gradient, since eq. 4 binarises its mask, and "
        "sampling thresholds a random mask: the 1.5 points that the paper's Table 4 loses without "
        "L_m cannot mean that.",
        "Later commits of the official code hold the recipe of its foreground masks: SAM prompted "
        "with the image's corners; masks made so can be given as foreground_dir.",
        "`fast` holds normals out to measure skill, averages its weights (ema_decay), starts the "
        "mask head from a prior (mask_prior) as focal loss asks for, makes the anomalies of grey "
        "images grey (match_grey) and smooths maps by 3 pixels, the paper's 7 at 256 on its 128; "
        "the paper and `paper` do none of it.",
        "A batch may straddle two epochs, so that every batch is full and half synthetic.",
        "Where bf16 is fast the network's layers run in bfloat16, heads and losses in float32, "
        "because it is several times as fast (precision=fp32 is the code's).",
    ),
)

# What differs from the defaults.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    # The geometry of the paper's text; its tables, but no released weights, were made with it.
    "paper_text": {"crop": 224},
    # 1.5e14 FLOP of training, at 65 GFLOP/s and core 19 minutes on two CPU cores without bf16
    # units (computed, not timed), and 10.5 GFLOP an evaluation against 367. Small batches for more
    # steps; the rest is what learns fast from scratch: a prior in the mask head, a warm-up and a
    # falling rate (at a constant 1e-3 the loss on Magnetic Tile had exploded after step 430).
    # Chosen without any test image. On MPDD's metal_plate 700 of these steps (bf16, seed 0) gave a
    # mask loss of .0220 on 16 held-out normals where copying the guide gives .0413: .53 of it,
    # which is why there are 1,200. Frozen again at 3e-4, before any test image too: at 1e-3 the
    # loss on Magnetic Tile was not finite at step 623 of 1,200 (bf16), after .69 of copying the
    # guide at step 600. What 3e-4 reaches there has not been measured.
    "fast": {
        "image_size": 128,
        "width": 32,
        "blocks": 1,
        "attention_levels": 1,
        "steps": 1200,
        "batch_size": 4,
        "learning_rate": 3e-4,
        "warmup_steps": 20,
        "decay": "cosine",
        "ema_decay": 0.99,
        "gradient_clip": 1.0,
        "mask_prior": 0.1,
        "match_grey": True,
        "held_out_fraction": 0.04,
        "smoothing_kernel": 3,
    },
    # Seconds: proves the plumbing, its scores mean nothing.
    "smoke": {
        "image_size": 32,
        "num_steps": 5,
        "width": 32,
        "levels": 2,
        "blocks": 1,
        "attention_levels": 1,
        "steps": 4,
        "batch_size": 4,
        "learning_rate": 1e-3,
    },
}

SIZE_MULTIPLE = 32
"""Of the side: the finest lattice of the synthetic anomalies has 32 cells."""


def _none_is_a_name(value: Any) -> Any:
    """The command line turns "none" into None, but here it is a choice like any other."""
    return "none" if value is None else value


def _exists(source: Path) -> Path:
    if not files_behind(source):
        raise ValueError(
            "found no file there, expected one, a folder of <category>_model.pkl, or a path with "
            "{category} in it"
        )
    return source


class TransFusionHyperparameters(HeldOutSettings, StepSettings):
    """Everything that a run of TransFusion can vary."""

    # Of `sampling`, only where the reverse process starts: training draws every timestep.
    prediction_only: ClassVar[frozenset[str]] = frozenset(
        {"sampling", "final_mask", "disc_weight", "smoothing_kernel"}
    )

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

    match_grey: bool = Field(
        False, description="whether the anomalies of grey images are grey; false: as the code's"
    )
    mask_prior: float | None = Field(
        None, gt=0, lt=1, description="anomalous share that the mask head starts from; none: chance"
    )

    weights: Annotated[Path, AfterValidator(_exists)] | None = Field(
        None,
        description="official checkpoints to score without training: a category's file, a folder "
        "of <category>_model.pkl, or a path with {category} in it",
    )
    epochs: int = Field(1500, ge=1, description="training epochs, where steps is not given")
    learning_rate: float = Field(1e-5, gt=0, le=1, description="of AdamW")
    learning_rate_drop: float = Field(
        800 / 1500, gt=0, le=1, description="fraction of steps after which the rate falls to 0.1"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW")
    gradient_clip: float = Field(0.0, ge=0, description="largest gradient norm; 0: no limit")

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
        """None with given weights."""
        return 0 if self.weights is not None else super().optimiser_steps(num_train)


def forward_flops(size: int, width: int, levels: int, blocks: int, attention_levels: int) -> float:
    """Of one evaluation on one image of `size` x `size` pixels."""
    return costs.unet(
        size,
        [width * 2**level for level in range(levels)],
        [level >= levels - attention_levels for level in range(levels)],
        blocks,
        ends=12,
        # 3 x 3 with stride 2, and 4 x 4 transposed
        resample=lambda n, m, c, d: costs.convolution(m, c, c) * (1 + 16 / 9),
        narrows=True,
    )

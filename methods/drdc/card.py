"""What DRDC says of itself: card and presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adbench.contracts import MethodCard

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

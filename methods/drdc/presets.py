"""DRDC's presets: what differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # The paper says "the same UNet as Dhariwal and Nichol", and no width. 128 is our choice.
    "paper": {},
    # Their width at 256 pixels: 552.8 million parameters, 62 TFLOP an image.
    "adm256": {"base_width": 256},
    # Minutes on two CPU cores, chosen by cost alone: the refinement works on images of half the
    # side, with cells and filter to match and as many cells, and with half of the evaluations, at
    # 8 GFLOP each instead of 430. It trains on the timesteps that it visits. So few steps need a
    # higher rate: after 60 of them on 12 rendered gears the noise error on four others was 0.08
    # and 0.09 (known and unknown pixels at t = 50) at 1e-3, and 0.16 and 0.20 at 5e-4.
    # The base is that of UniAD's `fast`, so that both rows of a table are one baseline.
    "fast": {
        "backbone": "tf_efficientnet_lite0",
        "base_hidden": 128,
        "base_heads": 4,
        "base_ffn": 512,
        "base_dropout": 0.0,
        "base_learning_rate": 1e-3,
        "base_steps": 1500,
        "diffusion_size": 112,
        "base_width": 32,
        "multipliers": (1, 1, 2, 3, 4),
        "attention_factors": (4, 8, 16),
        "training_grids": (1, 8, 16),
        "t_max": 300,
        "steps": 600,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "learning_rate_drop": 0.8,
        "timesteps": (250, 150, 50),
        "grids": (1, 8, 16),
        "scales": (1, 2, 4),
        "smoothing_kernel": 21,
    },
    # Seconds: proves the plumbing, its scores mean nothing.
    "smoke": {
        "backbone": "tf_efficientnet_lite0",
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

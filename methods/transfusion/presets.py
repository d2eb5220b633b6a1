"""TransFusion's presets: what differs from the defaults, which are the official code's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    # The geometry of the paper's text; its tables, but no released weights, were made with it.
    "paper_text": {"crop": 224},
    # Minutes on two CPU cores, chosen by cost alone: 16 GFLOP an evaluation against 367, so that
    # 800 steps and 18 evaluations of a hundred images are about 3.4e14 FLOP, and 3.4 million
    # parameters. From scratch in so few steps, the paper's learning rate would move nothing; at
    # 1e-3 the training loss on Magnetic Tile exploded after step 430, hence the lower rate.
    "fast": {
        "image_size": 128,
        "width": 32,
        "levels": 3,
        "attention_levels": 1,
        "steps": 800,
        "learning_rate": 3e-4,
        "learning_rate_drop": 0.8,
        "gradient_clip": 1.0,
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

"""A training batch: the first half with synthetic anomalies, at random steps (spec 5 and 6.4)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from adbench.methods.transfusion.process import compose
from adbench.methods.transfusion.synthesis.appearance import GRID, random_appearance
from adbench.methods.transfusion.synthesis.batch import SynthesisBatch
from adbench.methods.transfusion.synthesis.draws import integers, uniform
from adbench.methods.transfusion.synthesis.masks import (
    DropRule,
    anomaly_mask,
    simulate_previous_mask,
)
from adbench.methods.transfusion.synthesis.noise import random_noise
from adbench.methods.transfusion.synthesis.rotation import rotate_nearest
from adbench.methods.transfusion.synthesis.textures import TextureBank

PreviousMask = Literal["simulated", "none"]


def synthesise(
    images: Tensor,
    foreground: Tensor,
    textures: TextureBank,
    schedule: Tensor,
    generator: torch.Generator,
    *,
    previous_mask: PreviousMask = "simulated",
    previous_mask_drop: DropRule = "code",
    rotation_probability: float = 0.3,
    max_rotation: float = 20.0,
) -> SynthesisBatch:
    """Turn normal images into one batch of network inputs and targets.

    With a CPU generator the result does not depend on the device (but for rounding), and nothing
    waits for a GPU. Runs in float32 and without gradient, also under autocast.

    Args:
        images: float32 (B, 3, S, S) in [-1, 1], normal; S a multiple of 8.
        foreground: bool (B, 1, S, S); where anomalies may lie.
        textures: images of size S.
        schedule: float32 (T,), beta_0 to beta_{T-1}.
        generator: the only source of randomness; on the CPU or on a GPU.
        previous_mask: "none" gives empty previous masks (the paper's Table 4, without M_a).
        previous_mask_drop: "code" or "exact", see `simulate_previous_mask`.
        rotation_probability: share of samples that are rotated after composition.
        max_rotation: of these, the largest angle in degrees.
    """
    _check(images, foreground, textures)
    t = integers((len(images),), 1, len(schedule) - 1, generator).to(images.device)
    angles = _rotations(len(images), rotation_probability, max_rotation, generator)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        mask, guide, anomaly = _anomalies(
            images, foreground, textures, generator, previous_mask_drop
        )
        # The reverse process starts at t = T - 1 without a mask.
        guided = (t < len(schedule) - 1) & (previous_mask == "simulated")
        guide = guide * guided[:, None, None, None]
        # Rotation to the nearest pixel and composition commute: x_t itself need not be rotated.
        stack = torch.cat([images, anomaly, mask, guide], dim=1)  # (B, 3 + 3 + 1 + 1, S, S)
        return _compose(rotate_nearest(stack, angles.to(images.device)), t, schedule)


def _compose(stack: Tensor, t: Tensor, schedule: Tensor) -> SynthesisBatch:
    normal, anomaly, mask, guide = stack.tensor_split((3, 6, 7), dim=1)
    beta = schedule.to(stack.device)[t]
    return SynthesisBatch(
        x_t=compose(normal, mask, anomaly, beta),
        previous_mask=guide,
        t=t,
        normal=normal,
        mask=mask,
        anomaly=anomaly,
        anomaly_scaled=beta[:, None, None, None] * anomaly,
    )


def _anomalies(
    images: Tensor,
    foreground: Tensor,
    textures: TextureBank,
    generator: torch.Generator,
    drop: DropRule,
) -> tuple[Tensor, Tensor, Tensor]:
    """M, the simulated previous mask and M * A of the batch; zero beyond its first half."""
    half = max(1, len(images) // 2)
    size, device = images.shape[-1], images.device
    noise = random_noise(half, size, device, generator)
    branch, amount = (uniform((half,), 0.0, 1.0, generator).to(device) for _ in range(2))
    appearance = random_appearance(images[:half], textures, generator)
    mask = images.new_zeros((len(images), 1, size, size))
    guide, anomaly = torch.zeros_like(mask), torch.zeros_like(images)
    mask[:half] = anomaly_mask(noise, foreground[:half])
    guide[:half] = simulate_previous_mask(noise, foreground[:half], branch, amount, drop)
    anomaly[:half] = mask[:half] * appearance
    return mask, guide, anomaly


def _rotations(
    count: int, probability: float, largest: float, generator: torch.Generator
) -> Tensor:
    """float32 (count,) degrees; exactly 0 for samples that stay as they are (spec 6.4)."""
    rotated = uniform((count,), 0.0, 1.0, generator) < probability
    return torch.where(rotated, uniform((count,), -largest, largest, generator), 0.0)


def _check(images: Tensor, foreground: Tensor, textures: TextureBank) -> None:
    size = images.shape[-1]
    if images.shape[1:] != (3, size, size) or size % GRID:
        raise ValueError(
            f"images of shape {tuple(images.shape)}: expected (B, 3, S, S) with S a multiple "
            f"of {GRID}"
        )
    if foreground.shape != (len(images), 1, size, size) or foreground.dtype != torch.bool:
        raise ValueError(
            f"foreground {foreground.dtype} {tuple(foreground.shape)}: expected bool "
            f"{(len(images), 1, size, size)}"
        )
    if textures.size != size:
        raise ValueError(f"textures of size {textures.size}: expected {size}, as the images")

"""A training batch: the first half with synthetic anomalies, at random steps (spec 5 and 6.4).

Where an anomaly is, what the previous reverse step might have found of it, and what it looks like:
a texture, or the image's own patches shuffled. B, H, W as the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adbench.methods.transfusion.process import compose, to_unit_range
from adbench.methods.transfusion.synthesis.augmentations import augment
from adbench.methods.transfusion.synthesis.noise import (
    integers,
    permutations,
    random_noise,
    turned,
    uniform,
)
from adbench.methods.transfusion.synthesis.textures import TextureBank


@dataclass(frozen=True)
class SynthesisBatch:
    """One training batch: network inputs, and the targets of the loss (spec sections 5 and 6).

    The first floor(B/2) samples (B = 1: that one) carry a synthetic anomaly M * A; for the
    others `mask`, `previous_mask` and `anomaly` are zero and `x_t` equals `normal`. Everything
    is already rotated (section 6.4); pixels from outside a rotated image are 0 everywhere.
    All tensors are on the images' device and hold no gradient.

    Attributes:
        x_t: float32 (B, 3, H, W), in [-1, 1]; eq. 2 at `t`. A network input.
        previous_mask: float32 (B, 1, H, W), {0, 1}; the simulated previous mask, 0 where
            t = T - 1. A network input.
        t: int64 (B,), in 1..T-1; index into the schedule. A network input.
        normal: float32 (B, 3, H, W), in [-1, 1]; x_0, target of the normal appearance head.
        mask: float32 (B, 1, H, W), {0, 1}; M, target of the mask head.
        anomaly: float32 (B, 3, H, W), in [-1, 1]; eps = M * A, not scaled by beta_t.
        anomaly_scaled: float32 (B, 3, H, W), in [-1, 1]; beta_t * M * A over the whole image,
            target of the anomaly appearance head (section 6.1).
    """

    x_t: Tensor
    previous_mask: Tensor
    t: Tensor
    normal: Tensor
    mask: Tensor
    anomaly: Tensor
    anomaly_scaled: Tensor

    @property
    def network_input(self) -> Tensor:
        """float32 (B, 4, H, W): `x_t` and `previous_mask` on the channels (spec section 3)."""
        return torch.cat([self.x_t, self.previous_mask], dim=1)


DropRule = Literal["code", "exact"]
THRESHOLD = 0.5


def anomaly_mask(noise: Tensor, foreground: Tensor) -> Tensor:
    """M = 1[|noise| > 0.5] * F (spec 5.1, steps 4 and 5).

    Args:
        noise: float32 (N, S, S), rotated already.
        foreground: bool (N, 1, S, S).

    Returns:
        float32 (N, 1, S, S), {0, 1}; may be empty.
    """
    return ((noise.abs() > THRESHOLD)[:, None] & foreground).float()


def simulate_previous_mask(
    noise: Tensor, foreground: Tensor, branch: Tensor, amount: Tensor, drop: DropRule = "code"
) -> Tensor:
    """The simulated previous mask, 1[|noise| > threshold] * F (spec 5.4).

    Args:
        noise: float32 (N, S, S), the map that `anomaly_mask` was cut from.
        foreground: bool (N, 1, S, S).
        branch: float32 (N,), uniform in [0, 1): a quarter each drops, shrinks, keeps, grows.
        amount: float32 (N,), uniform in [0, 1): how far to shrink or grow it.
        drop: "code" drops with the signed maximum as threshold, which lets deeper negative
            lobes through; "exact" drops everything (spec 10, row 13).

    Returns:
        float32 (N, 1, S, S), {0, 1}.
    """
    dropped = noise.amax(dim=(1, 2)) if drop == "code" else torch.full_like(branch, torch.inf)
    shrunk = THRESHOLD + (1 - THRESHOLD) * amount
    grown = THRESHOLD - THRESHOLD * amount
    kept = torch.full_like(branch, THRESHOLD)
    threshold = torch.where(branch < 0.75, kept, grown)
    threshold = torch.where(branch < 0.5, shrunk, threshold)
    threshold = torch.where(branch < 0.25, dropped, threshold)
    return ((noise.abs() > threshold[:, None, None])[:, None] & foreground).float()


GRID = 8
"""Patches per axis of the structural shuffle."""
TEXTURE_SHARE = 0.5


def random_appearance(
    images: Tensor, textures: TextureBank, generator: torch.Generator, match_grey: bool = False
) -> Tensor:
    """A for each image: a texture or its own structure, half of the samples each.

    Args:
        images: float32 (N, 3, S, S) in [-1, 1], S a multiple of 8.
        match_grey: see `synthesise`.

    Returns:
        float32 (N, 3, S, S) in [-1, 1].
    """
    count = len(images)
    is_texture = uniform((count,), 0.0, 1.0, generator) < TEXTURE_SHARE
    numbers = integers((count,), 0, len(textures) - 1, generator)
    orders = permutations(count, GRID * GRID, generator)
    # A texture keeps its patches in place, so that all samples go through the same operations.
    orders = torch.where(is_texture[:, None], torch.arange(GRID * GRID), orders)
    levels = to_levels(images)
    rows = is_texture.nonzero()[:, 0]
    if len(rows):
        drawn = textures.take(numbers[rows].tolist())
        levels[rows.to(images.device)] = drawn.to(images.device)
    made = to_unit_range(shuffle_patches(augment(levels, generator), orders.to(images.device)))
    if not match_grey:
        return made
    grey = (images == images[:, :1]).flatten(1).all(1)[:, None, None, None]
    return torch.where(grey, made.mean(1, keepdim=True), made)


def shuffle_patches(levels: Tensor, orders: Tensor) -> Tensor:
    """Cut each image into 8 x 8 patches and put patch `orders[k]` in place k, row by row.

    Args:
        levels: (N, C, H, W), H and W multiples of 8.
        orders: int64 (N, 64), each row a permutation.

    Returns:
        (N, C, H, W), of the same type.
    """
    count, channels, height, width = levels.shape
    cut = levels.view(count, channels, GRID, height // GRID, GRID, width // GRID)
    patches = cut.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (N, 64, C, H/8, W/8)
    moved = patches[torch.arange(count, device=levels.device)[:, None], orders]
    grid = moved.view(count, GRID, GRID, channels, height // GRID, width // GRID)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(levels.shape)


def to_levels(images: Tensor) -> Tensor:
    """[-1, 1] to uint8, truncated as in the spec: a value may come out one level lower."""
    return ((images / 2 + 0.5) * 255).clamp(0, 255).to(torch.uint8)


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
    match_grey: bool = False,
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
        match_grey: whether the anomalies of grey images are grey.
    """
    _check(images, foreground, textures)
    t = integers((len(images),), 1, len(schedule) - 1, generator).to(images.device)
    angles = _rotations(len(images), rotation_probability, max_rotation, generator)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        mask, guide, anomaly = _anomalies(
            images, foreground, textures, generator, previous_mask_drop, match_grey
        )
        # The reverse process starts at t = T - 1 without a mask.
        guided = (t < len(schedule) - 1) & (previous_mask == "simulated")
        guide = guide * guided[:, None, None, None]
        # Rotation to the nearest pixel and composition commute: x_t itself need not be rotated.
        stack = torch.cat([images, anomaly, mask, guide], dim=1)  # (B, 3 + 3 + 1 + 1, S, S)
        return _compose(turned(stack, angles.to(images.device), "nearest"), t, schedule)


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
    match_grey: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """M, the simulated previous mask and M * A of the batch; zero beyond its first half."""
    half = max(1, len(images) // 2)
    size, device = images.shape[-1], images.device
    noise = random_noise(half, size, device, generator)
    branch, amount = (uniform((half,), 0.0, 1.0, generator).to(device) for _ in range(2))
    appearance = random_appearance(images[:half], textures, generator, match_grey)
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

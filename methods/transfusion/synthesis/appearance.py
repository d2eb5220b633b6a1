"""What an anomaly looks like: a texture, or the image's own patches shuffled (spec 5.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from adbench.methods.transfusion.synthesis.augmentations import augment
from adbench.methods.transfusion.synthesis.draws import integers, permutations, uniform
from adbench.methods.transfusion.synthesis.textures import TextureBank

GRID = 8
"""Patches per axis of the structural shuffle."""
TEXTURE_SHARE = 0.5


def random_appearance(images: Tensor, textures: TextureBank, generator: torch.Generator) -> Tensor:
    """A for each image: a texture or its own structure, half of the samples each.

    Args:
        images: float32 (N, 3, S, S) in [-1, 1], S a multiple of 8.

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
    return to_unit_range(shuffle_patches(augment(levels, generator), orders.to(images.device)))


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


def to_unit_range(levels: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return (levels.float() / 255 - 0.5) * 2

"""Rotation of a batch about the images' centre: own angle each, same size, fill 0."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def rotate_bilinear(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate counter-clockwise with bilinear interpolation.

    Args:
        images: float32 (N, C, H, W).
        degrees: float32 (N,), positive is counter-clockwise.

    Returns:
        float32 (N, C, H, W); 0 outside.
    """
    return _rotate(images, degrees, "bilinear")


def rotate_nearest(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate counter-clockwise, taking the nearest pixel: binary masks stay binary (spec 6.4).

    Shapes as in `rotate_bilinear`. An angle of exactly 0 returns the image unchanged.
    """
    return _rotate(images, degrees, "nearest")


def _rotate(images: Tensor, degrees: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device) - (height - 1) / 2  # (H,), 0 at the centre
    x = torch.arange(width, device=images.device) - (width - 1) / 2  # (W,)
    turn = torch.deg2rad(degrees)[:, None, None]
    cos, sin = turn.cos(), turn.sin()
    # Where each output pixel comes from, y pointing down; grid_sample's unit is half a side.
    source_x = (cos * x[None, None, :] - sin * y[None, :, None]) * (2 / width)
    source_y = (sin * x[None, None, :] + cos * y[None, :, None]) * (2 / height)
    grid = torch.stack([source_x, source_y], dim=-1)  # (N, H, W, 2)
    return grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)

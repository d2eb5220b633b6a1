"""Augmentations that map each value of a channel to another: 256 entries a channel.

A table is int64 (N, 3, 256) with values in 0..255.
"""

from __future__ import annotations

import torch
from torch import Tensor


def look_up(levels: Tensor, tables: Tensor) -> Tensor:
    """uint8 (N, 3, H, W), each value replaced by its entry in (N, 3, 256) tables."""
    flat = levels.flatten(2).long()  # (N, 3, H*W)
    return tables.to(torch.uint8).gather(2, flat).view_as(levels)


def histograms(levels: Tensor) -> Tensor:
    """int64 (N, C, 256): how often each value occurs in each channel of uint8 (N, C, H, W)."""
    count, channels = levels.shape[:2]
    rows = torch.arange(count * channels, device=levels.device)[:, None] * 256
    flat = (levels.reshape(count * channels, -1).long() + rows).flatten()
    empty = torch.zeros(count * channels * 256, dtype=torch.int64, device=levels.device)
    return empty.scatter_add(0, flat, torch.ones_like(flat)).view(count, channels, 256)


def gamma_tables(gamma: Tensor) -> Tensor:
    """255 (v / 255)^gamma, for gamma (N, 3)."""
    unit = torch.arange(256, device=gamma.device) / 255
    return (255 * unit ** gamma[:, :, None]).round().long()


def autocontrast_tables(histogram: Tensor, cutoff: Tensor) -> Tensor:
    """Stretch to 0..255 what is left after cutting a share of the pixels off at each end.

    Args:
        histogram: int64 (N, 3, 256).
        cutoff: int64 (N,), per cent of the pixels, below 50.
    """
    pixels = histogram.sum(2, keepdim=True)
    cut = pixels * cutoff[:, None, None] // 100
    from_below = histogram.cumsum(2)
    from_above = pixels - from_below + histogram
    low = (from_below > cut).long().argmax(2, keepdim=True)  # first value that is not cut off
    high = 255 - (from_above > cut).flip(2).long().argmax(2, keepdim=True)
    values = torch.arange(256, device=histogram.device).expand_as(histogram)
    # Double precision and truncation, as Pillow computes its table.
    # `255 / tensor` would multiply by a reciprocal, which rounds differently.
    scale = torch.full_like(low, 255, dtype=torch.float64) / (high - low).clamp_min(1)
    stretched = (values * scale - low * scale).trunc().clamp(0, 255).long()
    return torch.where(high > low, stretched, values)


def equalize_tables(histogram: Tensor) -> Tensor:
    """Make the values of each channel about equally frequent, as Pillow's `equalize` does.

    Args:
        histogram: int64 (N, 3, 256).
    """
    values = torch.arange(256, device=histogram.device).expand_as(histogram)
    last = 255 - (histogram > 0).flip(2).long().argmax(2, keepdim=True)
    pixels = histogram.sum(2, keepdim=True)
    step = (pixels - histogram.gather(2, last)) // 255
    below = histogram.cumsum(2) - histogram
    equalized = ((step // 2 + below) // step.clamp_min(1)).clamp_max(255)
    return torch.where(step > 0, equalized, values)

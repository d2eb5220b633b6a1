"""From patch-wise errors to anomaly maps and image scores (UniAD's post-processing)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def upsample(errors: Tensor, size: int) -> Tensor:
    """Resize errors (B, S, S) to maps (B, size, size), bilinear with aligned corners (UniAD)."""
    return F.interpolate(errors[:, None], size=(size, size), mode="bilinear", align_corners=True)[
        :, 0
    ]


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur maps (B, H, W) as `scipy.ndimage.gaussian_filter` does by default.

    Kernel cut at 4 sigma, edges mirrored with the edge pixel repeated; sigma 0 returns the maps.
    """
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return maps
    offsets = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.softmax(-0.5 * (offsets / sigma) ** 2, 0)
    blurred = F.conv2d(_mirrored(maps, radius)[:, None], kernel.view(1, 1, 1, -1))[:, 0]
    columns = _mirrored(blurred.mT, radius)
    return F.conv2d(columns[:, None], kernel.view(1, 1, 1, -1))[:, 0].mT


def _mirrored(maps: Tensor, radius: int) -> Tensor:
    """Pad the last axis (..., W) to W + 2 radius: c b a | a b c d | d c b, for any radius."""
    width = maps.shape[-1]
    position = torch.arange(-radius, width + radius, device=maps.device) % (2 * width)
    return maps[..., torch.where(position < width, position, 2 * width - 1 - position)]


def pooled_maximum(maps: Tensor, kernel: int) -> Tensor:
    """Image scores (B,): the maximum of the maps (B, H, W) averaged over kernel x kernel windows.

    Stride 1, no padding, so that a border pixel counts in fewer windows (UniAD).
    """
    return F.avg_pool2d(maps[:, None], kernel, stride=1).amax((1, 2, 3))

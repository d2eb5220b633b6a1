"""From predicted images to anomaly maps: errors at several scales, smoothing, fusion.

Equation numbers are the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


def scale_errors(images: Tensor, refined: Tensor, scale: int) -> Tensor:
    """Distances of images (B, 3, H, W) and predicted ones (B, G, 3, H, W) over RGB (eq. 16).

    Returns:
        (B, G, H / scale, W / scale), of averages over scale x scale pixels.
    """
    below = F.avg_pool2d(refined.flatten(0, 1), scale)
    below = below.view(*refined.shape[:3], *below.shape[2:])
    distances: Tensor = (F.avg_pool2d(images, scale)[:, None] - below).square().sum(2).sqrt()
    return distances


def enlarged(errors: Tensor, size: int) -> Tensor:
    """Resize (B, h, w) to (B, size, size), bilinear with corners not aligned."""
    return F.interpolate(errors[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]


class ErrorMean:
    """The mean error map over steps, grids and scales (eq. 17), summed in place.

    Bilinear resizing is linear, so that sums are kept at the size of each scale and resized once.

    Args:
        images: (B, 3, H, W).
        scales: sides in pixels over which images are averaged before they are compared.
    """

    def __init__(self, images: Tensor, scales: Sequence[int]) -> None:
        self._images, self._scales = images, scales
        self._sums: list[Tensor | None] = [None] * len(scales)
        self._count = 0

    def add(self, refined: Tensor) -> None:
        """Add the predicted images (B, G, 3, H, W) of one step."""
        for index, scale in enumerate(self._scales):
            errors = scale_errors(self._images, refined, scale).sum(1)
            total = self._sums[index]
            self._sums[index] = errors if total is None else total.add_(errors)
        self._count += refined.shape[1]

    def map(self) -> Tensor:
        """(B, H, W)."""
        size = self._images.shape[-1]
        resized = [enlarged(total, size) for total in self._sums if total is not None]
        return torch.stack(resized).sum(0) / (self._count * len(self._scales))


def mean_filter(maps: Tensor, kernel: int) -> Tensor:
    """Maps (B, H, W) averaged over kernel x kernel windows, stride 1 (eq. 18).

    The border is reflected, because zeros would darken a frame of half the kernel.

    Args:
        maps: (B, H, W).
        kernel: odd, less than twice the side.
    """
    pad = kernel // 2
    padded = F.pad(maps[:, None], (pad, pad, pad, pad), mode="reflect")
    rows = F.avg_pool2d(padded, (1, kernel), stride=1)
    return F.avg_pool2d(rows, (kernel, 1), stride=1)[:, 0]


class Units(NamedTuple):
    """By what each map is divided before they are mixed."""

    base: float
    diffusion: float


def fuse(base: Tensor, diffusion: Tensor, gamma: float, units: Units) -> Tensor:
    """H_out (B, H, W) = (1 - gamma) H_base / u_base + gamma H_diff / u_diff (eq. 19)."""
    return (1 - gamma) * base / units.base + gamma * diffusion / units.diffusion

"""The parts of DRDC's UNet, after Dhariwal and Nichol's ADM (arXiv:2105.05233, section 3).

B, C, H, W; N = H W tokens; D = width of the time embedding.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.methods.drdc.group_norm import SmallMapGroupNorm

NORM_GROUPS = 32
HEAD_CHANNELS = 64

Resample = Literal["none", "down", "up"]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class TimeEmbedding(nn.Module):
    """t (B,) to (B, 4 width): cosines and sines of `width` frequencies, linear, SiLU, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, 4 * width)

    def forward(self, t: Tensor) -> Tensor:
        embedding: Tensor = self.project(F.silu(self.expand(self.sinusoids(t))))
        return embedding

    def sinusoids(self, t: Tensor) -> Tensor:
        """(B, width), float32."""
        half = self.width // 2
        exponents = torch.arange(half, device=t.device) / half
        angles = t[:, None] * torch.exp(-math.log(10_000) * exponents)
        return torch.cat([angles.cos(), angles.sin()], 1)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; the time embedding scales and shifts between them.

    With `resample` both branches halve (2 x 2 means) or double (nearest) the sides before the
    first convolution. The second convolution starts at zero, so that a new block changes nothing.
    """

    def __init__(
        self, in_channels: int, out_channels: int, time_dim: int, resample: Resample = "none"
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = SmallMapGroupNorm(NORM_GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dim, 2 * out_channels)
        self.norm2 = SmallMapGroupNorm(NORM_GROUPS, out_channels)
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """From (B, C, H, W) and the embedding (B, D)."""
        h = self.conv1(resampled(F.silu(self.norm1(x)), self.resample))
        scale, shift = self.time(F.silu(embedding))[:, :, None, None].chunk(2, 1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        h = self.conv2(F.silu(h))
        return h + self.shortcut(resampled(x, self.resample))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over all pixels in heads of 64 channels (32 where 64 do not divide C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // (HEAD_CHANNELS if channels % HEAD_CHANNELS == 0 else 32)
        self.norm = SmallMapGroupNorm(NORM_GROUPS, channels)
        self.projection = nn.Linear(channels, 3 * channels)
        self.output = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, C)
        heads = self.projection(tokens).unflatten(2, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (B, heads, N, C / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        restored = self.output(mixed.transpose(1, 2).flatten(2))  # (B, N, C)
        return x + restored.unflatten(1, (height, width)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A residual block and, where the level has it, attention."""

    def __init__(self, in_channels: int, out_channels: int, time_dim: int, attention: bool) -> None:
        super().__init__()
        self.residual = ResidualBlock(in_channels, out_channels, time_dim)
        self.attention = Attention(out_channels) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        mixed: Tensor = self.attention(self.residual(x, embedding))
        return mixed


class Middle(nn.Module):
    """Residual block, attention, residual block at the lowest resolution."""

    def __init__(self, channels: int, time_dim: int) -> None:
        super().__init__()
        self.residual1 = ResidualBlock(channels, channels, time_dim)
        self.attention = Attention(channels)
        self.residual2 = ResidualBlock(channels, channels, time_dim)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.attention(self.residual1(x, embedding))
        mixed: Tensor = self.residual2(x, embedding)
        return mixed


def resampled(x: Tensor, kind: Resample) -> Tensor:
    """(B, C, H, W) with its sides kept, halved or doubled."""
    if kind == "none":
        return x
    if kind == "down":
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def zeroed(layer: Layer) -> Layer:
    """The layer with all parameters zero, as ADM starts the last one of each branch."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer

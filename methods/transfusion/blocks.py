"""The parts of TransFusion's UNet. B, C, H, W; N = H W tokens; D = width of the time embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.methods.group_norm import GroupNorm

NORM_GROUPS = 32


class TimeEmbedding(nn.Module):
    """t (B,) to (B, D): 32 sines and 32 cosines (at D = 256), linear, SiLU, linear."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.expand = nn.Linear(dim // 4, dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, t: Tensor) -> Tensor:
        embedding: Tensor = self.project(F.silu(self.expand(self.sinusoids(t))))
        return embedding

    def sinusoids(self, t: Tensor) -> Tensor:
        """(B, D / 4), float32: the raw timestep, not divided by T."""
        half = self.dim // 8
        exponents = torch.arange(half, device=t.device) / (half - 1)
        angles = t[:, None] * torch.exp(-math.log(10_000) * exponents)
        return torch.cat([angles.sin(), angles.cos()], 1)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with the time embedding between them, and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, time_dim: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(NORM_GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dim, out_channels)
        self.norm2 = GroupNorm(NORM_GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(embedding)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + self.shortcut(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over all pixels: one head of C, no normalisation, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = x.permute(0, 2, 3, 1).reshape(batch, 1, height * width, channels)  # (B, 1, N, C)
        query, key, value = self.projection(tokens).chunk(3, dim=-1)
        # softmax(q k^T / sqrt(C)) v, without ever holding the N x N matrix
        mixed = F.scaled_dot_product_attention(query, key, value)
        restored = self.output(mixed).reshape(batch, height, width, channels)
        return x + restored.permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A residual block and, on the deep levels, attention."""

    def __init__(self, in_channels: int, out_channels: int, time_dim: int, attention: bool) -> None:
        super().__init__()
        self.residual = ResidualBlock(in_channels, out_channels, time_dim)
        self.attention = Attention(out_channels) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        mixed: Tensor = self.attention(self.residual(x, embedding))
        return mixed


class Downsample(nn.Module):
    """Halves the sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        halved: Tensor = self.conv(x)
        return halved


class Upsample(nn.Module):
    """Doubles the sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        doubled: Tensor = self.conv(x)
        return doubled


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


class MaskHead(nn.Module):
    """Mask logit; the only batch normalisation of the network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        logit: Tensor = self.conv(F.silu(self.norm(features)))
        return logit

"""TransFusion's UNet with its three heads (spec section 3; 54,559,431 parameters at width 64).

B, C, H, W; N = H W tokens; D = width of the time embedding."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.methods.group_norm import GroupNorm
from adbench.methods.unet import UNet, in_full_precision

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
        self.norm1 = GroupNorm(NORM_GROUPS, in_channels, silu=True)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dim, out_channels)
        self.norm2 = GroupNorm(NORM_GROUPS, out_channels, silu=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        # In place: no backward pass reads what a convolution returned.
        h = self.conv1(self.norm1(x)).add_(self.time(embedding)[:, :, None, None])
        h = self.conv2(self.norm2(h))
        return h.add_(self.shortcut(x))  # type: ignore[no-any-return]


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


PositionalEncoding = Literal["row", "2d", "none"]

INPUT_CHANNELS = 5
"""x_t, previous mask and positional encoding, in this order."""
ANOMALY_NORM_GROUPS = 8


class TransFusionUNet(UNet):
    """UNet over x_t, the previous mask and a positional encoding.

    Args:
        width: channels at full resolution, a multiple of 32; each further level has twice as many.
        attention_levels: how many of the deepest levels have attention after each block.
        positional_encoding: "row" is the code's, sin(row index); "2d" alternates rows and
            columns; "none" feeds zeros.
    """

    def __init__(
        self,
        width: int = 64,
        levels: int = 4,
        blocks: int = 2,
        attention_levels: int = 2,
        positional_encoding: PositionalEncoding = "row",
    ) -> None:
        super().__init__()
        time_dim = 4 * width
        self.positional_encoding = positional_encoding
        self.stem = nn.Conv2d(INPUT_CHANNELS, width, 3, padding=1)
        self.time_embedding = TimeEmbedding(time_dim)
        widths = [width * 2**level for level in range(levels)]
        attention = [level >= levels - attention_levels for level in range(levels)]
        self.add_levels(
            widths,
            attention,
            blocks,
            residual=lambda inputs, outputs: ResidualBlock(inputs, outputs, time_dim),
            attend=Attention,
            halve=lambda width: nn.Conv2d(width, width, 3, stride=2, padding=1),
            double=lambda width: nn.ConvTranspose2d(width, width, 4, stride=2, padding=1),
            narrows=True,
        )
        self.anomaly_norm = GroupNorm(ANOMALY_NORM_GROUPS, width, silu=True)
        self.anomaly_head = nn.Conv2d(width, 3, 3, padding=1)
        self.normal_head = nn.Conv2d(width, 3, 3, padding=1)
        norm = nn.BatchNorm2d(width)  # the only one of the network
        conv = nn.Conv2d(width, 1, 3, padding=1)
        self.mask_head = nn.Sequential(OrderedDict(norm=norm, silu=nn.SiLU(), conv=conv))

    def forward(self, images_and_mask: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three heads.

        Args:
            images_and_mask: float32 (B, 4, H, W): x_t in [-1, 1] and the previous mask in {0, 1};
                H and W are multiples of 2 ** (levels - 1).
            t: integers (B,), in 1..T-1.

        Returns:
            anomaly beta_t M A (B, 3, H, W), normal x_0 (B, 3, H, W), mask logit (B, 1, H, W),
            all float32 and unbounded.
        """
        embedding = self.time_embedding(t)
        inputs = self.with_positions(images_and_mask)
        features = self.decode(*self.encode(inputs, embedding), embedding)
        # Under autocast, rounding the outputs to bfloat16 would show in the reconstruction.
        with in_full_precision(features.device.type):
            features = features.float()
            anomaly = self.anomaly_head(self.anomaly_norm(features))
            return anomaly, self.normal_head(features), self.mask_head(features)

    def with_positions(self, images_and_mask: Tensor) -> Tensor:
        """The channels that the stem reads."""
        batch, _, height, width = images_and_mask.shape
        position = encode_positions(self.positional_encoding, height, width, images_and_mask.device)
        return torch.cat([images_and_mask, position.expand(batch, -1, -1, -1)], 1)


def encode_positions(
    kind: PositionalEncoding, height: int, width: int, device: torch.device
) -> Tensor:
    """The positional channel, float32 (1, 1, H, W).

    "row" is all that the official code's encoding holds in its one channel: the sine of the row
    index, the same in every column. "2d" is ours: sine of the row on even columns, of the column
    on odd ones.
    """
    rows = torch.arange(height, device=device).sin()[:, None].expand(height, width)
    if kind == "none":
        rows = torch.zeros_like(rows)
    elif kind == "2d":
        columns = torch.arange(width, device=device)
        rows = torch.where(columns % 2 == 0, rows, columns.sin())
    return rows[None, None]

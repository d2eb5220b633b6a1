"""TransFusion's UNet with its three heads (spec section 3; 54,559,431 parameters at width 64).

B, C, H, W; N = H W tokens; D = width of the time embedding."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

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


PositionalEncoding = Literal["row", "2d", "none"]

INPUT_CHANNELS = 5
"""x_t, previous mask and positional encoding, in this order."""
ANOMALY_NORM_GROUPS = 8


class TransFusionUNet(nn.Module):
    """UNet over x_t, the previous mask and a positional encoding.

    Args:
        width: channels at full resolution; a multiple of 32. Each further level has twice the
            channels of the one above.
        levels: resolutions.
        blocks: residual blocks on each level on the way down; one more on the way up.
        attention_levels: how many of the deepest levels have attention after each block.
        positional_encoding: "row" is the code's, sin(row index); "2d" alternates rows and
            columns; "none" feeds zeros.
    """

    memory_format = torch.channels_last
    """Of the features: convolutions are faster on it."""

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
        self.down = nn.ModuleList(_down_path(widths, attention, blocks, time_dim))
        self.middle = Middle(widths[-1], time_dim)
        self.up = nn.ModuleList(_up_path(widths, attention, blocks, time_dim))
        self.anomaly_norm = nn.GroupNorm(ANOMALY_NORM_GROUPS, width)
        self.anomaly_head = nn.Conv2d(width, 3, 3, padding=1)
        self.normal_head = nn.Conv2d(width, 3, 3, padding=1)
        self.mask_head = MaskHead(width)

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
        features = self.decode(*self.encode(images_and_mask, embedding), embedding)
        # Under autocast, rounding the outputs to bfloat16 would show in the reconstruction.
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            anomaly = self.anomaly_head(F.silu(self.anomaly_norm(features)))
            return anomaly, self.normal_head(features), self.mask_head(features)

    def encode(self, images_and_mask: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The stem, the way down and the middle; features and the skip connections."""
        batch, _, height, width = images_and_mask.shape
        position = encode_positions(self.positional_encoding, height, width, images_and_mask.device)
        x = torch.cat([images_and_mask, position.expand(batch, -1, -1, -1)], 1)
        x = self.stem(x.contiguous(memory_format=self.memory_format))
        skips = [x]
        for module in self.down:
            x = module(x, embedding)
            skips.append(x)
        return self.middle(x, embedding), skips

    def decode(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """The way up; each block takes the latest skip connection."""
        for module in self.up:
            if isinstance(module, Block):
                x = torch.cat([x, skips.pop()], 1)
            x = module(x, embedding)
        return x


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


def _down_path(
    widths: list[int], attention: list[bool], blocks: int, time_dim: int
) -> Iterable[nn.Module]:
    channels = widths[0]
    for level, width in enumerate(widths):
        for _ in range(blocks):
            yield Block(channels, width, time_dim, attention[level])
            channels = width
        if level < len(widths) - 1:
            yield Downsample(width)


def _up_path(
    widths: list[int], attention: list[bool], blocks: int, time_dim: int
) -> Iterable[nn.Module]:
    for level in reversed(range(len(widths))):
        width, above = widths[level], widths[max(level - 1, 0)]
        for _ in range(blocks):
            yield Block(2 * width, width, time_dim, attention[level])
        yield Block(width + above, above, time_dim, attention[level])
        if level > 0:
            yield Upsample(above)

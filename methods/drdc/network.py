"""DRDC's noise-predicting UNet, after Dhariwal and Nichol's ADM (arXiv:2105.05233, section 3).

B, C, H, W; N = H W tokens; D = width of the time embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.methods.group_norm import SmallMapGroupNorm
from adbench.methods.unet import UNet, in_full_precision

Resample = Literal["none", "down", "up"]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

NORM_GROUPS = 32
HEAD_CHANNELS = 64
IMAGE_CHANNELS = 3


class ConditionalUNet(UNet):
    """Predicts the noise of an image from the noisy image and, beside it, the condition I_in.

    At 256 pixels with width 256 and without condition this is ADM's network: 552.8 million
    parameters, 1120 GMAC. guided-diffusion finds its attention levels by dividing the side by
    32, 16 and 8; at 224 pixels that gives 7, 14 and 28, none a power of two, and silently no
    level has attention. Here the factors are what is given.

    With `patch_size` P above 1 the UNet works on P x P pixels at a time, as channels: a quarter of
    the positions for 2, which on a CPU is most of the time.
    """

    def __init__(
        self,
        in_channels: int = 6,
        base_width: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        attention_factors: Sequence[int] = (8, 16, 32),
        blocks: int = 2,
        patch_size: int = 1,
    ) -> None:
        super().__init__()
        time_dim = 4 * base_width
        widths = [multiplier * base_width for multiplier in multipliers]
        attention = [patch_size * 2**level in attention_factors for level in range(len(widths))]
        self.patch_size = patch_size
        self.time_embedding = TimeEmbedding(base_width)
        self.stem = nn.Conv2d(in_channels * patch_size**2, widths[0], 3, padding=1)
        self.add_levels(
            widths,
            attention,
            blocks,
            residual=lambda inputs, outputs: ResidualBlock(inputs, outputs, time_dim),
            attend=Attention,
            halve=lambda width: ResidualBlock(width, width, time_dim, "down"),
            double=lambda width: ResidualBlock(width, width, time_dim, "up"),
            narrows=False,
        )
        self.norm = nn.GroupNorm(NORM_GROUPS, widths[0])
        self.head = zeroed(nn.Conv2d(widths[0], IMAGE_CHANNELS * patch_size**2, 3, padding=1))

    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        """The predicted noise (or image), float32 (B, 3, H, W), not bounded.

        Args:
            inputs: float32 (B, in_channels, H, W), x_t first, all on the scale of images; H and W
                are multiples of P 2 ** (levels - 1).
            t: integers (B,), 0-based timesteps.
        """
        embedding = self.time_embedding(t)
        patches = F.pixel_unshuffle(inputs, self.patch_size)  # (B, in_channels P P, H / P, W / P)
        x = self.decode(*self.encode(patches, embedding), embedding)
        # Under autocast, rounding the noise to bfloat16 would show in the reconstruction.
        with in_full_precision(x.device.type):
            predicted: Tensor = self.head(F.silu(self.norm(x.float())))
        return F.pixel_shuffle(predicted, self.patch_size)


class TimeEmbedding(nn.Module):
    """t (B,) to (B, 4 width): cosines and sines of `width` frequencies, linear, SiLU, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, 4 * width)

    def forward(self, t: Tensor) -> Tensor:
        half = self.width // 2
        exponents = torch.arange(half, device=t.device) / half
        angles = t[:, None] * torch.exp(-math.log(10_000) * exponents)
        sinusoids = torch.cat([angles.cos(), angles.sin()], 1)  # (B, width), float32
        embedding: Tensor = self.project(F.silu(self.expand(sinusoids)))
        return embedding


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
        self.norm1 = SmallMapGroupNorm(NORM_GROUPS, in_channels, silu=True)
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
        h = self.conv1(resampled(self.norm1(x), self.resample))
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

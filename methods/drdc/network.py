"""DRDC's noise-predicting UNet, after Dhariwal and Nichol's ADM (arXiv:2105.05233, section 3).

B, C, H, W; N = H W tokens; D = width of the time embedding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.methods.group_norm import SmallMapGroupNorm

Resample = Literal["none", "down", "up"]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

NORM_GROUPS = 32
HEAD_CHANNELS = 64
IMAGE_CHANNELS = 3


class ConditionalUNet(nn.Module):
    """Predicts the noise of an image from the noisy image and, beside it, the condition I_in.

    At 256 pixels with width 256 and without condition this is ADM's network: 552.8 million
    parameters, 1120 GMAC. guided-diffusion finds its attention levels by dividing the side by
    32, 16 and 8; at 224 pixels that gives 7, 14 and 28, none a power of two, and silently no
    level has attention. Here the factors are what is given. Each level halves the sides and has
    `blocks` residual blocks on the way down and one more on the way up.
    """

    memory_format = torch.channels_last
    """Of the features: convolutions are faster on it."""

    def __init__(
        self,
        model_condition: bool = True,
        base_width: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        attention_factors: Sequence[int] = (8, 16, 32),
        blocks: int = 2,
    ) -> None:
        super().__init__()
        time_dim = 4 * base_width
        widths = [multiplier * base_width for multiplier in multipliers]
        attention = [2**level in attention_factors for level in range(len(widths))]
        inputs = IMAGE_CHANNELS * (2 if model_condition else 1)
        self.time_embedding = TimeEmbedding(base_width)
        self.stem = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_down_path(widths, attention, blocks, time_dim))
        deepest = widths[-1]
        self.middle = nn.ModuleList(
            [Block(deepest, deepest, time_dim, True), ResidualBlock(deepest, deepest, time_dim)]
        )
        self.up = nn.ModuleList(_up_path(widths, attention, blocks, time_dim))
        self.norm = nn.GroupNorm(NORM_GROUPS, widths[0])
        self.head = zeroed(nn.Conv2d(widths[0], IMAGE_CHANNELS, 3, padding=1))

    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        """The predicted noise, float32 (B, 3, H, W), not bounded.

        Args:
            inputs: float32 (B, 6 or 3, H, W): x_t and I_in on the [-1, 1] scale of images; H and
                W are multiples of 2 ** (levels - 1).
            t: integers (B,), 0-based timesteps.
        """
        embedding = self.time_embedding(t)
        x = self.stem(inputs.contiguous(memory_format=self.memory_format))
        skips = [x]
        for module in self.down:
            x = module(x, embedding)
            skips.append(x)
        for module in self.middle:
            x = module(x, embedding)
        for module in self.up:
            if isinstance(module, Block):
                x = torch.cat([x, skips.pop()], 1)
            x = module(x, embedding)
        # Under autocast, rounding the noise to bfloat16 would show in the reconstruction.
        with _without_autocast(x.device.type):
            noise: Tensor = self.head(F.silu(self.norm(x.float())))
        return noise


def _without_autocast(device_type: str) -> AbstractContextManager[object]:
    """A block in full precision; "meta", on which networks are only counted, knows no other."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def _down_path(
    widths: Sequence[int], attention: Sequence[bool], blocks: int, time_dim: int
) -> Iterable[nn.Module]:
    """Each module leaves one skip connection."""
    channels = widths[0]
    for level, width in enumerate(widths):
        for _ in range(blocks):
            yield Block(channels, width, time_dim, attention[level])
            channels = width
        if level < len(widths) - 1:
            yield ResidualBlock(width, width, time_dim, "down")


def _up_path(
    widths: Sequence[int], attention: Sequence[bool], blocks: int, time_dim: int
) -> Iterable[nn.Module]:
    """Each `Block` takes the latest skip connection that is left."""
    channels = widths[-1]
    for level in reversed(range(len(widths))):
        width = widths[level]
        # The last block of a level meets what came down into the level.
        skips = [width] * blocks + [widths[max(level - 1, 0)]]
        for skip in skips:
            yield Block(channels + skip, width, time_dim, attention[level])
            channels = width
        if level > 0:
            yield ResidualBlock(width, width, time_dim, "up")


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

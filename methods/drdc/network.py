"""DRDC's noise-predicting UNet: ADM's layout, its attention given by down-sampling factors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.methods.drdc.blocks import (
    NORM_GROUPS,
    Block,
    Middle,
    ResidualBlock,
    TimeEmbedding,
    zeroed,
)

IMAGE_CHANNELS = 3


class ConditionalUNet(nn.Module):
    """Predicts the noise of an image from the noisy image and, beside it, the condition I_in.

    At 256 pixels with width 256 and without condition this is ADM's network: 552.8 million
    parameters, 1120 GMAC. guided-diffusion finds its attention levels by dividing the side by
    32, 16 and 8; at 224 pixels that gives 7, 14 and 28, none a power of two, and silently no
    level has attention. Here the factors are what is given.

    Args:
        model_condition: whether the input has six channels, x_t and I_in, or only x_t's three.
        base_width: channels at full resolution; a multiple of 32.
        multipliers: channels of each level in base widths; each level halves the sides.
        attention_factors: levels with attention, by how much they are smaller than the input.
        blocks: residual blocks on each level on the way down; one more on the way up.
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
        self.middle = Middle(widths[-1], time_dim)
        self.up = nn.ModuleList(_up_path(widths, attention, blocks, time_dim))
        self.norm = nn.GroupNorm(NORM_GROUPS, widths[0])
        self.head = zeroed(nn.Conv2d(widths[0], IMAGE_CHANNELS, 3, padding=1))

    def forward(self, inputs: Tensor, t: Tensor) -> Tensor:
        """The predicted noise.

        Args:
            inputs: float32 (B, 6 or 3, H, W): x_t and I_in on the [-1, 1] scale of images; H and
                W are multiples of 2 ** (levels - 1).
            t: integers (B,), 0-based timesteps.

        Returns:
            float32 (B, 3, H, W), not bounded.
        """
        embedding = self.time_embedding(t)
        x = self.stem(inputs.contiguous(memory_format=self.memory_format))
        skips = [x]
        for module in self.down:
            x = module(x, embedding)
            skips.append(x)
        x = self.middle(x, embedding)
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

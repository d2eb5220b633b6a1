"""Group normalisation, and SiLU after it, that are fast on a CPU as well.

torch's own takes two to three times as long there on channels-last maps (in bfloat16 up to nine
times), most of it in the backward pass, and walks small ones in strides of one group.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 1024
"""Pixels of a channels-last map below which torch takes the slow path: at 28 x 28 and 64 channels
in bfloat16 it takes 40 times as long as on a contiguous copy."""


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` with the same values, parameters and names; with `silu`, SiLU of it."""

    def __init__(self, num_groups: int, num_channels: int, *, silu: bool = False) -> None:
        super().__init__(num_groups, num_channels)
        self.silu = silu

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) within each of the groups of channels."""
        if input.device.type != "cpu":
            normalised = super().forward(input)
            return F.silu(normalised) if self.silu else normalised
        result: Tensor = _GroupNorm.apply(
            input, self.weight, self.bias, self.num_groups, self.eps, self.silu
        )
        return result


class SmallMapGroupNorm(GroupNorm):
    """The same, for networks with small channels-last maps."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) within each of the groups of channels."""
        if input.device.type != "cpu" or input.shape[2] * input.shape[3] >= SMALL:
            return super().forward(input)
        normalised = super().forward(input.contiguous())
        return normalised.contiguous(memory_format=torch.channels_last)


class _GroupNorm(torch.autograd.Function):
    """y = w (x - m) r + b, with mean m and reciprocal deviation r of each sample and group; or
    SiLU(y). Of all that, only x is kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, num_groups: int, eps: float, silu: bool
    ) -> Tensor:
        batch, channels, height, width = x.shape
        y, mean, rstd = torch.native_group_norm(
            x, weight, bias, batch, channels, height * width, num_groups, eps
        )
        ctx.silu = silu
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        return F.silu(y, inplace=True) if silu else y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        batch, groups = mean.shape
        per_group = x[0].numel() // groups
        repeats = x.shape[1] // groups

        def channels(values: Tensor) -> Tensor:  # (B, G) to (B, C)
            return values.float().repeat_interleave(repeats, 1)

        def group_mean(values: Tensor) -> Tensor:  # (B, C) sums over pixels to (B, C) means
            return channels(values.view(batch, groups, repeats).sum(2) / per_group)

        def wide(values: Tensor) -> Tensor:  # (B, C) to factors of maps
            return values[:, :, None, None].to(x.dtype)

        m, r = channels(mean), channels(rstd)
        # In bfloat16 a mean of many deviations would swallow what is left without it: what is
        # taken off is the mean as x can hold it, and `rest` the little that it lacks of the mean.
        held = wide(m)
        x = x - held
        rest = held[:, :, 0, 0].float() - m
        if ctx.silu:
            y = torch.addcmul(wide(bias + weight * r * rest), x, wide(weight * r))
            dy = torch.ops.aten.silu_backward.grad_input(dy, y, grad_input=y)
        sum_dy = dy.sum((2, 3), dtype=torch.float32)  # (B, C)
        sum_dy_xhat = ((dy * x).sum((2, 3), dtype=torch.float32) + rest * sum_dy) * r
        # dx = r (w dy - mean(w dy) - xhat mean(w dy xhat)), as one linear map of dy and x
        shift, slope = group_mean(weight * sum_dy), group_mean(weight * sum_dy_xhat)
        dx = torch.addcmul(wide(-(shift + slope * r * rest) * r), x, wide(-slope * r * r), out=x)
        dx.addcmul_(dy, wide(weight * r))
        return dx, sum_dy_xhat.sum(0), sum_dy.sum(0), None, None, None

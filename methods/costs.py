"""Rough FLOPs (2 x MAC) of what methods share, for the estimate of a plan; imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class BackboneCost(NamedTuple):
    """Of a backbone cut after its fourth stage: channels of the four stages together, and FLOPs
    of one image of 224 x 224 pixels."""

    channels: int
    flops: float


BACKBONES = {
    "tf_efficientnet_b4": BackboneCost(272, 1.84e9),
    "tf_efficientnet_lite0": BackboneCost(192, 0.49e9),
}


def backbone_cost(backbone: str) -> BackboneCost:
    """Measured for the backbones of the presets; others are taken for EfficientNet-b4."""
    return BACKBONES.get(backbone.partition(".")[0], BACKBONES["tf_efficientnet_b4"])


def feature_flops(backbone: str, image_size: int) -> float:
    """Of the features of one image."""
    return backbone_cost(backbone).flops * (image_size / 224) ** 2


def distance_flops(num_queries: float, num_rows: float, dim: int) -> float:
    """Of all distances between queries and rows by one matrix product."""
    return 2.0 * num_queries * num_rows * dim


def convolution(pixels: float, in_channels: float, out_channels: float, kernel: int = 3) -> float:
    """Of a kernel x kernel convolution with so many output pixels."""
    return 2 * pixels * in_channels * out_channels * kernel**2


def residual_block(pixels: float, in_channels: int, out_channels: int, attention: bool) -> float:
    """Of a UNet's residual block and its attention."""
    total = convolution(pixels, in_channels, out_channels)
    total += convolution(pixels, out_channels, out_channels)
    if in_channels != out_channels:
        total += convolution(pixels, in_channels, out_channels, 1)
    if attention:
        total += 4 * pixels**2 * out_channels  # q k^T and its product with v
        total += 8 * pixels * out_channels**2  # q, k, v and output maps
    return total


def unet(
    size: int,
    widths: Sequence[int],
    attention: Sequence[bool],
    blocks: int,
    *,
    ends: int,
    resample: Callable[[float, float, int, int], float],
    narrows: bool,
) -> float:
    """Of one evaluation of an `adbench.methods.unet.UNet` on one image of `size` x `size` pixels.

    Convolutions and attention; what is elementwise, and the time embedding, is left out.

    Args:
        ends: channels of its inputs and outputs together.
        resample: of both changes between two levels, from the pixels and the channels of the
            upper and the lower one.
    """
    pixels = [(size / 2**level) ** 2 for level in range(len(widths))]
    total = convolution(pixels[0], ends, widths[0])
    for level, (n, c) in enumerate(zip(pixels, widths, strict=True)):
        above, under = widths[max(level - 1, 0)], widths[min(level + 1, len(widths) - 1)]
        shapes = [(above, c), *[(c, c)] * (blocks - 1)]  # down
        shapes += [(c + (c if narrows else under), c), *[(2 * c, c)] * (blocks - 1)]  # up
        shapes += [(c + above, above if narrows else c)]
        total += sum(residual_block(n, i, o, attention[level]) for i, o in shapes)
        if level > 0:
            total += resample(pixels[level - 1], n, above, c)
    deepest, c = pixels[-1], widths[-1]
    return total + residual_block(deepest, c, c, True) + residual_block(deepest, c, c, False)

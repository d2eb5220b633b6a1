"""Rough FLOPs (2 x MAC) of DRDC's UNet, for the estimate of a plan; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence


def forward_flops(
    size: int,
    in_channels: int,
    base_width: int,
    multipliers: Sequence[int],
    attention_factors: Sequence[int],
    blocks: int,
) -> float:
    """Of one evaluation on one image of `size` x `size` pixels.

    Convolutions and attention; what is elementwise, and the time embedding, is left out.
    """
    pixels = [(size / 2**level) ** 2 for level in range(len(multipliers))]
    widths = [base_width * multiplier for multiplier in multipliers]
    attention = [2**level in attention_factors for level in range(len(widths))]
    total = convolution(pixels[0], in_channels + 3, widths[0])  # both ends
    channels = widths[0]
    for level, (n, c) in enumerate(zip(pixels, widths, strict=True)):
        above = widths[max(level - 1, 0)]
        below = widths[min(level + 1, len(widths) - 1)]
        down = [(channels, c), *[(c, c)] * (blocks - 1)]
        up = [(below + c, c), *[(2 * c, c)] * (blocks - 1), (c + above, c)]
        total += sum(block(n, i, o, attention[level]) for i, o in down + up)
        if level > 0:  # the blocks that change the resolution: from above, and back to it
            total += block(n, above, above, False) + block(pixels[level - 1], c, c, False)
        channels = c
    deepest, c = pixels[-1], widths[-1]
    return total + block(deepest, c, c, True) + block(deepest, c, c, False)


def convolution(pixels: float, in_channels: float, out_channels: float, kernel: int = 3) -> float:
    """Of a kernel x kernel convolution with so many output pixels."""
    return 2 * pixels * in_channels * out_channels * kernel**2


def block(pixels: float, in_channels: int, out_channels: int, attention: bool) -> float:
    """Of a residual block and its attention."""
    total = convolution(pixels, in_channels, out_channels)
    total += convolution(pixels, out_channels, out_channels)
    if in_channels != out_channels:
        total += convolution(pixels, in_channels, out_channels, 1)
    if attention:
        total += 4 * pixels**2 * out_channels  # q k^T and its product with v
        total += 8 * pixels * out_channels**2  # q, k, v and output maps
    return total

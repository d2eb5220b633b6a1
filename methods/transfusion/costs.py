"""Rough FLOPs (2 x MAC) of TransFusion's UNet, for the estimate of a plan; imports no torch."""

from __future__ import annotations


def forward_flops(size: int, width: int, levels: int, blocks: int, attention_levels: int) -> float:
    """Of one evaluation on one image of `size` x `size` pixels.

    Convolutions, attention and its linear maps; what is elementwise is left out.
    """
    pixels = [(size / 2**level) ** 2 for level in range(levels)]
    widths = [width * 2**level for level in range(levels)]
    attention = [level >= levels - attention_levels for level in range(levels)]
    total = convolution(pixels[0], 5, width) + convolution(pixels[0], width, 7)  # ends
    channels = width
    for level in range(levels):
        n, c = pixels[level], widths[level]
        above = widths[max(level - 1, 0)]
        inputs = [(channels, c), *[(c, c)] * (blocks - 1)]  # down
        inputs += [*[(2 * c, c)] * blocks, (c + above, above)]  # up
        total += sum(block(n, i, o, attention[level]) for i, o in inputs)
        if level < levels - 1:
            total += convolution(pixels[level + 1], c, c)  # 3 x 3, stride 2
            total += convolution(pixels[level + 1], c, c) * 16 / 9  # 4 x 4, transposed
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

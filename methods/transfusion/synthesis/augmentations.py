"""The ten augmentations of an anomaly's appearance (spec 5.3), three of them a sample.

Each takes uint8 images (N, 3, H, W) and `draws` float32 (N, 4), uniform in [0, 1) and on the
CPU, from which it makes its parameters; it returns new uint8 images. Values are rounded to whole
levels after each augmentation only, not after each change of colour space inside one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from adbench.methods.transfusion.synthesis.brightness import SPACES
from adbench.methods.transfusion.synthesis.draws import permutations, uniform
from adbench.methods.transfusion.synthesis.rotation import rotate_bilinear
from adbench.methods.transfusion.synthesis.tables import (
    autocontrast_tables,
    equalize_tables,
    gamma_tables,
    histograms,
    look_up,
)

Augmentation = Callable[[Tensor, Tensor], Tensor]
NUM_APPLIED = 3
NUM_DRAWS = 4


def gamma_contrast(levels: Tensor, draws: Tensor) -> Tensor:
    """Exponent U(0.5, 2), one a channel."""
    return look_up(levels, gamma_tables((0.5 + 1.5 * draws[:, :3]).to(levels.device)))


def brightness(levels: Tensor, draws: Tensor) -> Tensor:
    """Times U(0.8, 1.2) and plus an integer in -30..30, in either order, in one of six spaces."""
    factor = 0.8 + 0.4 * draws[:, 0]
    shift = _integer(draws[:, 1], -30, 30) / 255
    # Adding first and then multiplying is multiplying first and then adding factor * shift, but
    # for the clipping between the two, which both keep in [0, 1] here.
    add_first = (draws[:, 2] < 0.5).float()
    space = _integer(draws[:, 3], 0, len(SPACES) - 1)
    moves = torch.stack([factor, shift * add_first, shift * (1 - add_first)], dim=1)

    def in_space(number: int) -> Augmentation:
        return lambda part, part_moves: _edit_brightness(part, part_moves, number)

    return apply_chosen(levels, space, [in_space(i) for i in range(len(SPACES))], moves)


def _edit_brightness(levels: Tensor, moves: Tensor, space: int) -> Tensor:
    factor, before, after = moves.to(levels.device)[..., None, None, None].unbind(1)

    def edit(channel: Tensor) -> Tensor:
        return (((channel + before).clamp(0, 1) * factor).clamp(0, 1) + after).clamp(0, 1)

    return _from_unit(SPACES[space](levels.float() / 255, edit))


def sharpness(levels: Tensor, draws: Tensor) -> Tensor:
    """Blend with a smoothed copy; factor U(0, 2): 0 is smooth, 1 unchanged, 2 sharper."""
    image = levels.float()
    inner = (avg_pool2d(image, 3, stride=1) * 9 + 4 * image[..., 1:-1, 1:-1]) / 13
    # Pillow leaves the outermost pixels as they are: only the inner change is blended.
    change = pad((inner + 0.5).floor() - image[..., 1:-1, 1:-1], (1, 1, 1, 1))
    factor = 2 * draws[:, 0].to(levels.device)[:, None, None, None]
    return (image + (1 - factor) * change).clamp(0, 255).to(torch.uint8)


def hue_and_saturation(levels: Tensor, draws: Tensor) -> Tensor:
    """Integers in -50..50 of 255: the hue turns and wraps, the saturation moves and clips."""
    rgb = levels.float() / 255
    moves = torch.stack([_integer(draws[:, k], -50, 50) / 255 for k in (0, 1)], dim=1)
    hue_move, saturation_move = moves.to(levels.device)[..., None, None, None].unbind(1)
    value, low = rgb.amax(1, keepdim=True), rgb.amin(1, keepdim=True)
    chroma = value - low
    saturation = (chroma / value.clamp_min(1e-6) + saturation_move).clamp(0, 1)
    hue = _hue_sextant(rgb, value, chroma) + 6 * hue_move
    # Smith's hexcone, all channels at once: red, green, blue lie 5, 3, 1 sextants on.
    offsets = rgb.new_tensor([5.0, 3.0, 1.0])[:, None, None]
    k = (offsets + hue).remainder(6)
    return _from_unit(value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1))


def _hue_sextant(rgb: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Hue in [-1, 5) sextants, (N, 1, H, W); 0 for greys."""
    red, green, blue = rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3]
    safe = chroma.clamp_min(1e-6)
    hue = torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    hue = torch.where(value == red, (green - blue) / safe, hue)
    return torch.where(chroma > 0, hue, 0.0)


def solarize(levels: Tensor, draws: Tensor) -> Tensor:
    """With probability 0.5, invert the values above a threshold U(32, 128)."""
    threshold = torch.where(draws[:, 0] < 0.5, 32 + 96 * draws[:, 1], torch.inf)
    above = levels >= threshold.to(levels.device)[:, None, None, None]
    return torch.where(above, 255 - levels, levels)


def posterize(levels: Tensor, draws: Tensor) -> Tensor:
    """Keep the n highest bits, n uniform in 1..8."""
    lost = 8 - _integer(draws[:, 0], 1, 8).to(torch.uint8).to(levels.device)[:, None, None, None]
    return (levels >> lost) << lost


def invert(levels: Tensor, draws: Tensor) -> Tensor:
    """v becomes 255 - v, always."""
    del draws
    return 255 - levels


def autocontrast(levels: Tensor, draws: Tensor) -> Tensor:
    """Stretch each channel after cutting off an integer 0..20 % of the pixels at each end."""
    cutoff = _integer(draws[:, 0], 0, 20).to(levels.device)
    return look_up(levels, autocontrast_tables(histograms(levels), cutoff))


def equalize(levels: Tensor, draws: Tensor) -> Tensor:
    """Flatten the histogram of each channel."""
    del draws
    return look_up(levels, equalize_tables(histograms(levels)))


def rotate(levels: Tensor, draws: Tensor) -> Tensor:
    """Rotate by U(-45, 45) degrees, bilinear, black outside."""
    degrees = (90 * draws[:, 0] - 45).to(levels.device)
    return rotate_bilinear(levels.float(), degrees).round().to(torch.uint8)


AUGMENTATIONS: tuple[Augmentation, ...] = (
    gamma_contrast,
    brightness,
    sharpness,
    hue_and_saturation,
    solarize,
    posterize,
    invert,
    autocontrast,
    equalize,
    rotate,
)


def augment(levels: Tensor, generator: torch.Generator) -> Tensor:
    """Three different augmentations in a random order, drawn for each sample (spec 5.3).

    Args:
        levels: uint8 (N, 3, H, W).

    Returns:
        uint8 (N, 3, H, W).
    """
    count = len(levels)
    chosen = permutations(count, len(AUGMENTATIONS), generator)[:, :NUM_APPLIED]
    draws = uniform((count, NUM_APPLIED, NUM_DRAWS), 0.0, 1.0, generator)
    for place in range(NUM_APPLIED):
        levels = apply_chosen(levels, chosen[:, place], AUGMENTATIONS, draws[:, place])
    return levels


def apply_chosen(
    levels: Tensor, chosen: Tensor, functions: Sequence[Augmentation], draws: Tensor
) -> Tensor:
    """Each sample through the function it chose: one call a function, on all samples that did.

    Args:
        levels: uint8 (N, 3, H, W).
        chosen: int64 (N,) on the CPU, index into `functions`.
        draws: float32 (N, K) on the CPU, the functions' second argument.
    """
    result = torch.empty_like(levels)
    for number, function in enumerate(functions):
        rows = (chosen == number).nonzero()[:, 0]
        if len(rows):
            here = rows.to(levels.device)
            result[here] = function(levels[here], draws[rows])
    return result


def _integer(draw: Tensor, low: int, high: int) -> Tensor:
    """A uniform draw in [0, 1) as an integer in low..high inclusive, equally likely."""
    return (draw * (high - low + 1)).long().clamp_max(high - low) + low


def _from_unit(rgb: Tensor) -> Tensor:
    return (rgb * 255).round().clamp(0, 255).to(torch.uint8)

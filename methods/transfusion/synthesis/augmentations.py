"""The ten augmentations of an anomaly's appearance (spec 5.3), three of them a sample.

Each takes uint8 images (N, 3, H, W) and `draws` float32 (N, 4), uniform in [0, 1) and on the
CPU, from which it makes its parameters; it returns new uint8 images. Values are rounded to whole
levels after each augmentation only, not after each change of colour space inside one.

A table maps each value of a channel to another: int64 (N, 3, 256) with values in 0..255. An edit
of brightness takes RGB (N, 3, H, W) in [0, 1] and a change of one channel (N, 1, H, W) of a colour
space; the other channels keep their values, as if the image were converted, edited and converted
back, in closed form (Poynton for Y'CbCr, Smith 1978 for HSV, Joblove and Greenberg 1978 for HLS,
CIE 15 with sRGB primaries and D65 for Lab and Luv).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from adbench.methods.transfusion.synthesis.noise import permutations, turned, uniform


def look_up(levels: Tensor, tables: Tensor) -> Tensor:
    """uint8 (N, 3, H, W), each value replaced by its entry in (N, 3, 256) tables."""
    flat = levels.flatten(2).long()  # (N, 3, H*W)
    return tables.to(torch.uint8).gather(2, flat).view_as(levels)


def histograms(levels: Tensor) -> Tensor:
    """int64 (N, C, 256): how often each value occurs in each channel of uint8 (N, C, H, W)."""
    count, channels = levels.shape[:2]
    rows = torch.arange(count * channels, device=levels.device)[:, None] * 256
    flat = (levels.reshape(count * channels, -1).long() + rows).flatten()
    empty = torch.zeros(count * channels * 256, dtype=torch.int64, device=levels.device)
    return empty.scatter_add(0, flat, torch.ones_like(flat)).view(count, channels, 256)


def gamma_tables(gamma: Tensor) -> Tensor:
    """255 (v / 255)^gamma, for gamma (N, 3)."""
    unit = torch.arange(256, device=gamma.device) / 255
    return (255 * unit ** gamma[:, :, None]).round().long()


def autocontrast_tables(histogram: Tensor, cutoff: Tensor) -> Tensor:
    """Stretch to 0..255 what is left after cutting a share of the pixels off at each end.

    Args:
        histogram: int64 (N, 3, 256).
        cutoff: int64 (N,), per cent of the pixels, below 50.
    """
    pixels = histogram.sum(2, keepdim=True)
    cut = pixels * cutoff[:, None, None] // 100
    from_below = histogram.cumsum(2)
    from_above = pixels - from_below + histogram
    low = (from_below > cut).long().argmax(2, keepdim=True)  # first value that is not cut off
    high = 255 - (from_above > cut).flip(2).long().argmax(2, keepdim=True)
    values = torch.arange(256, device=histogram.device).expand_as(histogram)
    # Double precision and truncation, as Pillow computes its table.
    # `255 / tensor` would multiply by a reciprocal, which rounds differently.
    scale = torch.full_like(low, 255, dtype=torch.float64) / (high - low).clamp_min(1)
    stretched = (values * scale - low * scale).trunc().clamp(0, 255).long()
    return torch.where(high > low, stretched, values)


def equalize_tables(histogram: Tensor) -> Tensor:
    """Make the values of each channel about equally frequent, as Pillow's `equalize` does.

    Args:
        histogram: int64 (N, 3, 256).
    """
    values = torch.arange(256, device=histogram.device).expand_as(histogram)
    last = 255 - (histogram > 0).flip(2).long().argmax(2, keepdim=True)
    pixels = histogram.sum(2, keepdim=True)
    step = (pixels - histogram.gather(2, last)) // 255
    below = histogram.cumsum(2) - histogram
    equalized = ((step // 2 + below) // step.clamp_min(1)).clamp_max(255)
    return torch.where(step > 0, equalized, values)


Edit = Callable[[Tensor], Tensor]

LUMA = (0.299, 0.587, 0.114)
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.950456, 1.0, 1.088754)
TINY = 1e-6
LINEAR_BELOW = 6 / 29
"""The value of CIE's f under which it is a straight line."""


def edit_luma(rgb: Tensor, edit: Edit) -> Tensor:
    """Y of YCrCb and of YUV: with the colour differences fixed, all channels move alike."""
    luma = (rgb * rgb.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return rgb + (edit(luma) - luma)


def edit_value(rgb: Tensor, edit: Edit) -> Tensor:
    """V of HSV: with hue and saturation fixed, all channels scale alike; black becomes grey."""
    value = rgb.amax(1, keepdim=True)
    edited = edit(value)
    return torch.where(value > TINY, rgb * (edited / value.clamp_min(TINY)), edited)


def edit_lightness(rgb: Tensor, edit: Edit) -> Tensor:
    """L of HLS: with hue and saturation fixed, the chroma follows 1 - |2L - 1|."""
    lightness = (rgb.amax(1, keepdim=True) + rgb.amin(1, keepdim=True)) / 2
    edited = edit(lightness)
    room, new_room = 1 - (2 * lightness - 1).abs(), 1 - (2 * edited - 1).abs()
    return edited + (rgb - lightness) * (new_room / room.clamp_min(TINY))


def edit_lab(rgb: Tensor, edit: Edit) -> Tensor:
    """L of CIE Lab = 116 f(Y) - 16: with a and b fixed, f(X), f(Y) and f(Z) move alike."""
    white = rgb.new_tensor(WHITE)[:, None, None]
    f = _cie_f(_xyz(rgb) / white)
    lightness = (116 * f[:, 1:2] - 16) / 100
    moved = f + (edit(lightness) - lightness) * (100 / 116)
    return _rgb(_cie_f_inverse(moved) * white)


def edit_luv(rgb: Tensor, edit: Edit) -> Tensor:
    """L of CIE Luv: u = 13 L (u' - u'_white) is fixed, so chromaticity moves as L / L_new."""
    x, y, z = _xyz(rgb).unbind(1)  # (N, H, W) each
    lightness = (116 * _cie_f(y) - 16) / 100
    edited = edit(lightness[:, None])[:, 0]
    total = (x + 15 * y + 3 * z).clamp_min(TINY)
    white_total = WHITE[0] + 15 * WHITE[1] + 3 * WHITE[2]
    white_u, white_v = 4 * WHITE[0] / white_total, 9 * WHITE[1] / white_total
    ratio = lightness / edited.clamp_min(TINY)
    u = white_u + (4 * x / total - white_u) * ratio
    # v' of real colours is above 0.01; a colour much darkened would otherwise pass through 0.
    v = (white_v + (9 * y / total - white_v) * ratio).clamp_min(0.01)
    new_y = _cie_f_inverse((100 * edited + 16) / 116)
    new_x = new_y * 9 * u / (4 * v)
    new_z = new_y * (12 - 3 * u - 20 * v) / (4 * v)
    return _rgb(torch.stack([new_x, new_y, new_z], dim=1))


def _xyz(rgb: Tensor) -> Tensor:
    """sRGB to CIE XYZ (IEC 61966-2-1)."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    return torch.einsum("ij,njhw->nihw", rgb.new_tensor(XYZ_FROM_RGB), linear)


def _rgb(xyz: Tensor) -> Tensor:
    """CIE XYZ to sRGB, clipped to the cube."""
    # Inverted on the CPU: a GPU would take longer to start its solver.
    inverse = torch.tensor(XYZ_FROM_RGB).inverse().to(xyz.device)
    linear = torch.einsum("ij,njhw->nihw", inverse, xyz).clamp(0, 1)
    return torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def _cie_f(t: Tensor) -> Tensor:
    straight = t / (3 * LINEAR_BELOW**2) + 4 / 29
    return torch.where(t > LINEAR_BELOW**3, t.clamp_min(0) ** (1 / 3), straight)


def _cie_f_inverse(f: Tensor) -> Tensor:
    return torch.where(f > LINEAR_BELOW, f**3, 3 * LINEAR_BELOW**2 * (f - 4 / 29))


SPACES: tuple[Callable[[Tensor, Edit], Tensor], ...] = (
    edit_luma,  # YCrCb
    edit_value,  # HSV
    edit_lightness,  # HLS
    edit_lab,
    edit_luv,
    edit_luma,  # YUV: the same change as YCrCb
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
    return turned(levels.float(), degrees, "bilinear").round().to(torch.uint8)


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

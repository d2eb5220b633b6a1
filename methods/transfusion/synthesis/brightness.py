"""Change of the brightness channel of one of six colour spaces, in closed form where there is one.

Each function takes RGB (N, 3, H, W) in [0, 1] and an `edit` of a brightness channel
(N, 1, H, W), scaled to [0, 1], and returns RGB of the same shape, which may leave [0, 1]. The
channels that `edit` does not touch keep their values, as if the image were converted, edited and
converted back; the formulae are those of the spaces' definitions (Poynton for Y'CbCr, Smith 1978
for HSV, Joblove and Greenberg 1978 for HLS, CIE 15 with sRGB primaries and D65 for Lab and Luv).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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

"""Random numbers, rotation, and gradient noise whose lattice differs from sample to sample.

Numbers are drawn on the generator's own device and handed over on the CPU: a CPU generator gives
the same anomalies on every device and never makes a GPU wait. Shapes: N samples, S rows and
columns, L = 33 lattice points an axis.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """float32 of `shape`, uniform in [low, high), on the CPU."""
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return (low + (high - low) * unit).cpu()


def integers(shape: tuple[int, ...], low: int, high: int, generator: torch.Generator) -> Tensor:
    """int64 of `shape`, uniform in low..high inclusive, on the CPU."""
    return torch.randint(low, high + 1, shape, generator=generator, device=generator.device).cpu()


def permutations(count: int, length: int, generator: torch.Generator) -> Tensor:
    """int64 (count, length) on the CPU; each row a uniform permutation of 0..length-1."""
    return uniform((count, length), 0.0, 1.0, generator).argsort(dim=1)


def turned(images: Tensor, degrees: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    """Images (N, C, H, W) float32 rotated by degrees (N,) counter-clockwise; 0 outside.

    Under "nearest" binary masks stay binary, and an angle of exactly 0 changes nothing (spec 6.4).
    """
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device) - (height - 1) / 2  # (H,), 0 at the centre
    x = torch.arange(width, device=images.device) - (width - 1) / 2  # (W,)
    turn = torch.deg2rad(degrees)[:, None, None]
    cos, sin = turn.cos(), turn.sin()
    # Where each output pixel comes from, y pointing down; grid_sample's unit is half a side.
    source_x = (cos * x[None, None, :] - sin * y[None, :, None]) * (2 / width)
    source_y = (sin * x[None, None, :] + cos * y[None, :, None]) * (2 / height)
    grid = torch.stack([source_x, source_y], dim=-1)  # (N, H, W, 2)
    return grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)


MAX_EXPONENT = 5
"""Cells per axis are 2^e with e uniform in 0..5 (spec 5.1, step 1)."""
LATTICE = 2**MAX_EXPONENT + 1
MAX_NOISE_ANGLE = 90.0


def gradient_noise(angles: Tensor, cells: Tensor, size: int) -> Tensor:
    """Perlin's gradient noise times sqrt(2) (spec 5.1, step 2).

    With w_i the faded hat of lattice point i on an axis and d_i the offset from it, the blend of
    the four corners' dot products is sum_ij (d_i w_i) cos_ij (w_j) + (w_i) sin_ij (d_j w_j):
    products with matrices that are zero beyond a sample's own lattice, so one batch can mix any
    numbers of cells.

    Args:
        angles: float32 (N, Ly, Lx), radians; direction of the gradient at each lattice point.
            Points beyond a sample's lattice are not used.
        cells: int64 (N, 2), cells along y and along x; at most Ly - 1 and Lx - 1.
        size: S, the side of the result in pixels.

    Returns:
        float32 (N, S, S), about [-1, 1].
    """
    weight_y, slope_y = _axis_weights(cells[:, 0], angles.shape[1], size)
    weight_x, slope_x = _axis_weights(cells[:, 1], angles.shape[2], size)
    along_y = slope_y @ angles.cos() @ weight_x.mT
    along_x = weight_y @ angles.sin() @ slope_x.mT
    return (along_y + along_x) * math.sqrt(2.0)


def _axis_weights(cells: Tensor, points: int, size: int) -> tuple[Tensor, Tensor]:
    """Of one axis: w and d * w, both float32 (N, S, points); zero for all but two points a row."""
    position = torch.arange(size, device=cells.device)[None, :] * cells[:, None]  # (N, S) / S
    lower = position.div(size, rounding_mode="floor")
    # The fraction comes from the integer remainder: no rounding moves a pixel to another cell.
    fraction = (position - lower * size).float() / size
    fade = fraction**3 * (fraction * (fraction * 6 - 15) + 10)
    corners = torch.stack([lower, lower + 1], dim=-1)  # (N, S, 2)
    weights = torch.stack([1 - fade, fade], dim=-1)
    slopes = weights * torch.stack([fraction, fraction - 1], dim=-1)
    empty = torch.zeros(*position.shape, points, device=cells.device)
    return empty.scatter(-1, corners, weights), empty.scatter(-1, corners, slopes)


def random_noise(count: int, size: int, device: torch.device, generator: torch.Generator) -> Tensor:
    """The noise maps that anomaly masks are cut from (spec 5.1, steps 1 to 3).

    Returns:
        float32 (count, size, size); rotated by a uniform angle, zero outside.
    """
    exponents = integers((count, 2), 0, MAX_EXPONENT, generator)
    angles = uniform((count, LATTICE, LATTICE), 0.0, 2 * math.pi, generator)
    turns = uniform((count,), -MAX_NOISE_ANGLE, MAX_NOISE_ANGLE, generator)
    noise = gradient_noise(angles.to(device), (2**exponents).to(device), size)
    return turned(noise[:, None], turns.to(device), "bilinear")[:, 0]

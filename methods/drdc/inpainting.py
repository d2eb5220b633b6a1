"""Inpainting without a network: an interpolation, and the best linear guess.

B images (B, 3, H, W); masks (B, 1, H, W) are true where a pixel is unknown.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from adbench.methods.gaussian import GaussianModel
from adbench.methods.unet import in_full_precision

SWEEPS, COARSEST_SWEEPS = 8, 64
"""Of averaging neighbours on each level: more change little."""
STEPS, COARSE_STEPS = 12, 64
"""Of the iteration on images and on averages over SHRINK x SHRINK pixels of them: on held-out
normals within a tenth or two of where it ends."""
SHRINK, SMALLEST_SIDE = 4, 8
NOISE = 1e-3
"""Variance of known pixels' own noise, times the side of the cells, for images in [-1, 1]."""
SMALLEST_VARIANCE = 1e-7
SMALLEST_SCALE = 1e-3


def interpolated(images: Tensor, unknown: Tensor) -> Tensor:
    """The images with a smooth membrane over the unknown: each such pixel is about the mean of its
    four neighbours. Coarse to fine, each level half the side of the one below."""
    known = (~unknown).to(images.dtype)
    return _membrane(images * known, known)


def _membrane(values: Tensor, known: Tensor) -> Tensor:
    """From values (B, 3, s, s) and the share (B, 1, s, s) that is known of each."""
    unknown = known == 0
    if values.shape[-1] % 2:
        total = (values * known).sum((2, 3), keepdim=True)
        start = total / known.sum((2, 3), keepdim=True).clamp_min(1e-6)
        return _relaxed(torch.where(unknown, start, values), unknown, COARSEST_SWEEPS)
    share = F.avg_pool2d(known, 2)
    coarse = _membrane(F.avg_pool2d(values * known, 2) / share.clamp_min(1e-6), share)
    start = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")
    return _relaxed(torch.where(unknown, start, values), unknown, SWEEPS)


def _relaxed(images: Tensor, unknown: Tensor, sweeps: int) -> Tensor:
    """Unknown pixels replaced by the mean of their neighbours, so many times."""
    cross = images.new_tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    channels = images.shape[1]
    for _ in range(sweeps):
        padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
        means = F.conv2d(padded, cross.expand(channels, 1, 3, 3), groups=channels)
        images = torch.where(unknown, means, images)
    return images


class Guess(NamedTuple):
    """What unknown pixels may be.

    Attributes:
        images: (B, 3, H, W), the unknown pixels guessed and the others as they are.
        scale: (B, 1, 1, 1), about by how much it errs: by how much it differs from the smooth
            interpolation. On held-out normals 1.1 to 1.5 times the root of its mean squared error,
            from .012 (tiles, cells of 1 pixel) to .17 (metal plates, 16 pixels).
    """

    images: Tensor
    scale: Tensor


class GaussianInpainter:
    """The best linear guess of unknown pixels: images modelled as Gaussian, the guess is the
    conditional mean given the known pixels. First for images of a quarter of the side, then for
    the images themselves.
    """

    def __init__(self, model: GaussianModel, steps: int = STEPS) -> None:
        """With a model of whole images, and as many steps of the iteration at their full size."""
        self.model, self.steps = model, steps
        side = model.variances.shape[-1] // SHRINK
        self.coarse = None
        if model.variances.shape[-1] % SHRINK == 0 and side >= SMALLEST_SIDE:
            # The lowest frequencies are those of the averaged images, in cosines of fewer pixels.
            self.coarse = GaussianModel(
                F.avg_pool2d(model.mean[None], SHRINK)[0],
                model.basis,
                model.variances[:, :side, :side] / SHRINK**2,
            )

    def __call__(self, images: Tensor, unknown: Tensor) -> Guess:
        """Of images (B, 3, H, W) without reading their unknown pixels."""
        with in_full_precision(images.device.type):
            smooth = interpolated(images, unknown)
            images = self._guess(torch.where(unknown, 0, images), unknown, smooth)
            squares = ((images - smooth).square().mean(1, keepdim=True) * unknown).sum((1, 2, 3))
            scale = (squares / unknown.sum((1, 2, 3))).sqrt().clamp_min(SMALLEST_SCALE)
            return Guess(images, scale[:, None, None, None])

    def _guess(self, images: Tensor, unknown: Tensor, start: Tensor) -> Tensor:
        sides = cell_sides(unknown)
        if self.coarse is not None:
            known = (~unknown).to(images.dtype)
            share = F.avg_pool2d(known, SHRINK)
            low, hidden = F.avg_pool2d(images, SHRINK) / share.clamp_min(1e-6), share == 0
            noise = NOISE * (sides / SHRINK).clamp_min(1) / SHRINK
            first = interpolated(low, hidden)
            low = conditional_mean(self.coarse, low, hidden, first, noise, COARSE_STEPS)
            wide = F.interpolate(low, scale_factor=float(SHRINK), mode="bilinear")
            # Finer cells leave something known in every patch: nothing to guess there.
            start = torch.where(unknown & (sides > SHRINK / 2), wide, start)
        return conditional_mean(self.model, images, unknown, start, NOISE * sides, self.steps)


def conditional_mean(
    model: GaussianModel, images: Tensor, unknown: Tensor, start: Tensor, noise: Tensor, steps: int
) -> Tensor:
    """E[images | their known pixels], the known ones as they are, by conjugate gradients.

    It minimises x' S^-1 x + |known pixels' misfit|^2 / noise over the deviation x from the mean, S
    the model's covariance. The larger the noise, the faster; preconditioned as if it were the same
    for all pixels.

    Args:
        start: of the iteration, (B, 3, H, W).
        noise: variance of known pixels' own noise, (B, 1, 1, 1).
    """
    precision = (~unknown).to(images.dtype) / noise
    inverse = 1 / model.variances.clamp_min(SMALLEST_VARIANCE)
    preconditioner = 1 / (inverse + precision.mean((1, 2, 3), keepdim=True))

    def filtered(gain: Tensor, x: Tensor) -> Tensor:
        return model.images(gain * model.coefficients(x))

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum((1, 2, 3), keepdim=True)

    x = start - model.mean
    residual = precision * (images - start) - filtered(inverse, x)
    ahead = filtered(preconditioner, residual)
    direction, size = ahead, dot(residual, ahead)
    for _ in range(steps):
        applied = filtered(inverse, direction) + precision * direction
        step = size / dot(direction, applied).clamp_min(1e-30)
        x = x + step * direction
        residual = residual - step * applied
        ahead = filtered(preconditioner, residual)
        before, size = size, dot(residual, ahead)
        direction = ahead + size / before.clamp_min(1e-30) * direction
    return torch.where(unknown, x + model.mean, images)


def cell_sides(unknown: Tensor) -> Tensor:
    """The side (B, 1, 1, 1) of the cells of masks (B, 1, H, W) of which half are unknown, from how
    often neighbours differ: about 1 / (2 side)."""
    borders = (unknown[..., 1:] != unknown[..., :-1]).float().mean((1, 2, 3), keepdim=True)
    return 0.5 / borders.clamp_min(0.5 / unknown.shape[-1])

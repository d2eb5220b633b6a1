"""Inpainting without a network: an interpolation, and the best linear guess.

B images (B, 3, H, W); masks (B, 1, H, W) are true where a pixel is unknown.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adbench.methods.gaussian import GaussianModel
from adbench.methods.unet import in_full_precision

SWEEPS, COARSEST_SWEEPS = 8, 64
"""Of averaging neighbours on each level: more change little."""
STEPS = 24
"""Of the iteration: more change the guess for cells of 8 pixels by a twentieth."""
NOISE = 1e-3
"""Variance of known pixels' own noise, times the side of the cells, for images in [-1, 1]."""
SMALLEST_VARIANCE = 1e-7


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


class GaussianInpainter:
    """The best linear guess of unknown pixels: images modelled as Gaussian, the guess is the
    conditional mean given the known pixels.

    It minimises x' S^-1 x + |known pixels' misfit|^2 / s over the deviation x from the mean, S the
    model's covariance and s a small noise of known pixels, by conjugate gradients from the
    interpolation on. As s limits how fast that goes and how fine a guess can be, it is smaller
    where cells are: the guess is between known pixels there.
    """

    def __init__(self, model: GaussianModel, steps: int = STEPS) -> None:
        """With a model of whole images, and as many steps of the iteration."""
        self.model, self.steps = model, steps

    def __call__(self, images: Tensor, unknown: Tensor) -> Tensor:
        """The images (B, 3, H, W), their unknown pixels guessed; nothing else of those is read."""
        with in_full_precision(images.device.type):
            return torch.where(unknown, self._guess(images, unknown), images)

    def _guess(self, images: Tensor, unknown: Tensor) -> Tensor:
        model, known = self.model, (~unknown).float()
        precision = known / (NOISE * cell_sides(unknown))
        inverse = 1 / model.variances.clamp_min(SMALLEST_VARIANCE)
        average = precision.mean((1, 2, 3), keepdim=True)

        def filtered(gain: Tensor, x: Tensor) -> Tensor:
            return model.images(gain * model.coefficients(x))

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return (a * b).sum((1, 2, 3), keepdim=True)

        x = interpolated(images, unknown) - model.mean
        right = precision * torch.where(unknown, 0, images - model.mean)
        residual = right - filtered(inverse, x) - precision * x
        preconditioner = 1 / (inverse + average)
        ahead = filtered(preconditioner, residual)
        direction, size = ahead, dot(residual, ahead)
        for _ in range(self.steps):
            applied = filtered(inverse, direction) + precision * direction
            step = size / dot(direction, applied).clamp_min(1e-30)
            x = x + step * direction
            residual = residual - step * applied
            ahead = filtered(preconditioner, residual)
            before, size = size, dot(residual, ahead)
            direction = ahead + size / before.clamp_min(1e-30) * direction
        return x + model.mean


def cell_sides(unknown: Tensor) -> Tensor:
    """The side (B, 1, 1, 1) of the cells of masks (B, 1, H, W) of which half are unknown, from how
    often neighbours differ: about 1 / (2 side)."""
    borders = (unknown[..., 1:] != unknown[..., :-1]).float().mean((1, 2, 3), keepdim=True)
    return 0.5 / borders.clamp_min(0.5 / unknown.shape[-1])

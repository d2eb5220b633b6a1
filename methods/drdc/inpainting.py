"""Inpainting without a network: an interpolation, and the best linear guess.

B images (B, 3, H, W); masks (B, 1, H, W) are true where a pixel is unknown.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adbench.methods.gaussian import Batches

SWEEPS, COARSEST_SWEEPS = 8, 64
"""Of averaging neighbours on each level: more change little."""
WINDOW, BLOCK = 32, 16
"""Sides in pixels: what is known in a window tells of the unknown in the block in its middle."""
NUGGET = 1e-4
"""Variance of known pixels' own noise, on the [-1, 1] scale: a byte's rounding, and more."""


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


class LocalGaussian:
    """Images modelled as Gaussian: the mean at each position, and a covariance that depends on the
    distance of two pixels alone. `inpaint` is then the conditional mean given the known pixels of
    a window, the best linear guess (kriging).
    """

    def __init__(self, batches: Batches) -> None:
        """From normal images (B, 3, H, W). One covariance serves the three channels."""
        count, total = 0, torch.zeros(())
        for batch in batches():
            count, total = count + len(batch), total + batch.sum(0)
        self.mean = total / count  # (3, H, W)
        size = self.mean.shape[-1]
        self.window, self.block = min(WINDOW, size), min(BLOCK, size)
        # Autocovariance by Fourier transforms, twice as large so that borders do not meet.
        power = torch.zeros(2 * size, size + 1, dtype=torch.float64, device=self.mean.device)
        for batch in batches():
            transforms = torch.fft.rfft2(batch - self.mean, s=(2 * size, 2 * size))
            power += transforms.abs().square().mean(1).sum(0, dtype=torch.float64)
        # Divided by all pixels, whatever the lag, so that it is positive definite.
        covariance = torch.fft.irfft2(power) / (count * size**2)
        lags = torch.arange(self.window)
        rows, columns = lags.repeat_interleave(self.window), lags.repeat(self.window)
        down, across = rows[:, None] - rows, columns[:, None] - columns
        self.covariance = covariance[down, across].float()  # (window ** 2, window ** 2)

    def inpaint(self, images: Tensor, unknown: Tensor) -> Tensor:
        """The images with their unknown pixels guessed from known ones nearby."""
        guessed = images - self.mean
        size = images.shape[-1]
        for image, mask in zip(guessed, unknown[:, 0], strict=True):
            deviations = image.clone()
            for top in range(0, size, self.block):
                for left in range(0, size, self.block):
                    self._guess(image, deviations, mask, top, left)
        return torch.where(unknown, guessed + self.mean, images)

    def _guess(self, image: Tensor, known: Tensor, unknown: Tensor, top: int, left: int) -> None:
        """Fill the unknown pixels of one block of `image` (3, H, W) in place."""
        size, side = image.shape[-1], self.window
        margin = (side - self.block) // 2
        y, x = (min(max(start - margin, 0), size - side) for start in (top, left))
        wanted = torch.zeros_like(unknown)
        wanted[top : top + self.block, left : left + self.block] = True
        window = (..., slice(y, y + side), slice(x, x + side))
        seen = (~unknown[window]).flatten().nonzero()[:, 0]
        asked = (wanted & unknown)[window].flatten().nonzero()[:, 0]
        if not len(asked):
            return
        covariance = self.covariance
        between = covariance[seen][:, seen] + NUGGET * torch.eye(len(seen), device=image.device)
        values = known[window].flatten(1)[:, seen].T  # (known pixels, 3)
        weights = torch.cholesky_solve(values, torch.linalg.cholesky(between))
        image[:, (wanted & unknown)] = (covariance[asked][:, seen] @ weights).T

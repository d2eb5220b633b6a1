"""The best denoiser that needs no training: images modelled as Gaussian, in closed form.

The cheap predictor that a network which denoises is held against. B, C, H, W; an image is a feature
map, a picture or a block of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from adbench.methods.unet import in_full_precision

Batches = Callable[[], Iterable[Tensor]]
"""Gives all images in batches (B, C, H, W); called for each of three passes over them."""

RING_IMAGES = 32
"""Images' worth of trust in the mean variance of a ring of frequencies, beside that of one pair."""


@dataclass(frozen=True)
class GaussianModel:
    """x0 ~ N(mean, covariance), the covariance diagonal in (PCA over channels) x (2-D DCT over
    positions).

    There are no components of whole images: on held-out training normals (metal_plate,
    magnetic_tile) 8 of them made it worse up to t = 200 and gained 1 % at t = 500.

    Attributes:
        mean: float32 (C, H, W), the training mean at each position.
        basis: float32 (C, C), a principal direction in each column, the strongest first.
        variances: float32 (C, H, W), of a component's coefficient at a pair of frequencies, as an
            image that is not in the training set has it about the training mean.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor

    @classmethod
    def fit(cls, batches: Batches) -> Self:
        """From normal images; their device is the model's."""
        mean, count = _mean(batches)
        products = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
        for batch in batches():
            products += _channel_products(batch - mean)
        basis = torch.linalg.eigh(products).eigenvectors.flip(1).float()
        model = cls(mean, basis, torch.zeros_like(mean))
        squares = torch.zeros_like(mean, dtype=torch.float64)
        for batch in batches():
            squares += model.coefficients(batch - mean).square().sum(0, dtype=torch.float64)
        # N images spread too little about their own mean, and a further one by 1 / N too much.
        variances = squares / max(count - 1, 1) * (1 + 1 / count)
        return cls(mean, basis, shrunken(variances, count).float())

    def to(self, device: str) -> GaussianModel:
        return GaussianModel(*(tensor.to(device) for tensor in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name: `GaussianModel(**tensors)` is the same model."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def denoise(
        self, noisy: Tensor, signal: float | Tensor, noise_variance: float | Tensor
    ) -> Tensor:
        """E[x0 | x_t], float32 (B, C, H, W), of x_t = signal * x0 + noise, by Wiener's filter.

        Args:
            noisy: x_t, (B, C, H, W).
            signal: one number, or one an image (B, 1, 1, 1); the root of abar in a diffusion.
            noise_variance: likewise, of white noise, above 0; 1 - abar in a diffusion.
        """
        gain = signal * self.variances / (signal**2 * self.variances + noise_variance)
        with in_full_precision(noisy.device.type):
            return self.mean + self.images(gain * self.coefficients(noisy - signal * self.mean))

    def error_variances(self, signal: float | Tensor, noise_variance: float | Tensor) -> Tensor:
        """The variance that is left of each coefficient once x_t is known, (C, H, W) or
        (B, C, H, W): the expected squared error of `denoise`."""
        power = signal**2 * self.variances + noise_variance
        return self.variances * noise_variance / power

    def coefficients(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in the basis of the covariance; distances stay what they are."""
        rows, columns = _cosines(images)
        components = torch.einsum("cj,bchw->bjhw", self.basis, images)
        return rows @ components @ columns.T

    def images(self, coefficients: Tensor) -> Tensor:
        """The images (B, C, H, W) with such coefficients."""
        rows, columns = _cosines(coefficients)
        return torch.einsum("cj,bjhw->bchw", self.basis, rows.T @ coefficients @ columns)


def shrunken(variances: Tensor, count: int) -> Tensor:
    """Variances (C, H, W) from `count` images, drawn towards the mean of those of the same
    component and about the same frequency, the root of the sum of both's squares."""
    height, width = variances.shape[1:]
    down, across = torch.arange(height), torch.arange(width)
    # A frequency counts half periods over the side: of unequal sides, per the longer one's length.
    longer = max(height, width)
    frequency = torch.hypot(down[:, None] * (longer / height), across * (longer / width))
    ring = frequency.round().long().flatten().to(variances.device)  # (H W)
    sizes = ring.bincount().clamp_min(1)
    sums = variances.new_zeros(len(variances), len(sizes)).index_add_(1, ring, variances.flatten(1))
    means = (sums / sizes)[:, ring].view_as(variances)
    return (count * variances + RING_IMAGES * means) / (count + RING_IMAGES)


def _mean(batches: Batches) -> tuple[Tensor, int]:
    total, count = torch.zeros((), dtype=torch.float64), 0
    for batch in batches():
        total = total.to(batch.device) + batch.sum(0, dtype=torch.float64)
        count += len(batch)
    return (total / count).float(), count


def _channel_products(images: Tensor) -> Tensor:
    """float64 (C, C): sums of products of channels over images and positions."""
    rows = images.transpose(0, 1).flatten(1)  # (C, B H W)
    return (rows @ rows.T).double()


def _cosines(images: Tensor) -> tuple[Tensor, Tensor]:
    """The orthonormal DCT-II of both sides, (H, H) and (W, W): a row holds one cosine."""
    height, width = images.shape[-2:]
    return _dct(height).to(images), _dct(width).to(images)


def _dct(size: int) -> Tensor:
    places = torch.arange(size, dtype=torch.float64)
    cosines = torch.cos(math.pi / size * places[:, None] * (places + 0.5))
    cosines[0] /= math.sqrt(2)
    return cosines * math.sqrt(2 / size)

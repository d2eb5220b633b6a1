"""Feature scaling: the noise schedule presumes data of about unit variance, features have not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ScalingKind = Literal["none", "global", "channel"]


@dataclass(frozen=True)
class FeatureScaling:
    """z = (x - mean) / std, channel by channel.

    Attributes:
        mean: float32 (C,).
        std: float32 (C,); equal entries under "global", so that distances keep their ratios.
        unit: raw feature units in one scaled unit; under "channel" their root mean square.
    """

    mean: Tensor
    std: Tensor
    unit: float

    @classmethod
    def fit(cls, features: NDArray[np.float32], kind: ScalingKind) -> Self:
        """From the features of normal training images, (N, S, S, C)."""
        mean, variance = channel_moments(features)
        unit = float(np.sqrt(variance.mean())) or 1.0  # constant features: nothing to scale
        if kind == "none":
            mean, std, unit = np.zeros_like(mean), np.ones_like(mean), 1.0
        elif kind == "global":
            std = np.full_like(mean, unit)
        else:  # a channel that hardly varies must not be blown up to unit variance
            std = np.maximum(np.sqrt(variance), 1e-3 * unit)
        return cls(torch.from_numpy(mean).float(), torch.from_numpy(std).float(), unit)

    def to(self, device: str) -> FeatureScaling:
        return FeatureScaling(self.mean.to(device), self.std.to(device), self.unit)

    def __call__(self, features: Tensor) -> Tensor:
        """Scale features (..., C)."""
        return (features - self.mean) / self.std


def channel_moments(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of each channel of (N, S, S, C), read once, image by image, in float64."""
    channels = features.shape[-1]
    shift = features[0].reshape(-1, channels).mean(0, dtype=np.float64)  # against cancellation
    total, squares = np.zeros(channels), np.zeros(channels)
    for image in features:
        rows = image.reshape(-1, channels) - shift
        total += rows.sum(0)
        squares += np.einsum("nc,nc->c", rows, rows)
    count = features.size / channels
    return shift + total / count, np.maximum(squares / count - (total / count) ** 2, 0)

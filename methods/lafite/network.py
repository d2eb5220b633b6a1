"""LafitE's latent space, how its network is trained there and what it is held to (paper, section
3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adbench.contracts import JSON, Context, Skill
from adbench.methods.diffusion import noise_like, predicted_noise
from adbench.methods.lafite.denoisers import GaussianDenoiser

ScalingKind = Literal["none", "global", "channel"]
HELD_OUT_TIMESTEPS = range(50, 1000, 50)


@dataclass(frozen=True)
class FeatureScaling:
    """z = (x - mean) / std, channel by channel: the noise schedule presumes unit variance.

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


def denoising_loss(
    network: nn.Module, scheduler: Any, clean: Callable[[Tensor], Tensor], train_timesteps: int
) -> Callable[..., Tensor]:
    """The squared error of the predicted noise (paper, eq. 6), or of the predicted sample, on what
    `clean` makes of indices (B,): scaled features (B, C, S, S); timesteps from 0 up to, without,
    `train_timesteps`."""

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        x0 = clean(indices)
        timesteps = torch.randint(
            train_timesteps, (len(x0),), generator=generator, device=x0.device
        )
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        noisy = scheduler.add_noise(x0, noise, timesteps)  # eq. 3, with variance 1 - abar
        predicted: Tensor = network(noisy, timesteps)
        target = noise if scheduler.config.prediction_type == "epsilon" else x0
        return (target - predicted.float()).square().mean()

    return loss


@torch.inference_mode()
def held_out_errors(
    network: nn.Module, gaussian: GaussianDenoiser, scheduler: Any, clean: Tensor, context: Context
) -> Tensor:
    """Mean squared errors of the noise on scaled features (N, C, S, S) that training did not see,
    with fixed noise: float32 (`HELD_OUT_TIMESTEPS`, 3, N) of the network, of the closed-form
    Gaussian and of predicting zero."""
    errors = torch.empty(len(HELD_OUT_TIMESTEPS), 3, len(clean))
    for row, timestep in zip(errors, HELD_OUT_TIMESTEPS, strict=True):
        for start in range(0, len(clean), 8):
            x0 = clean[start : start + 8]
            images = range(start, start + len(x0))
            noise = noise_like(x0, [context.generator("held-out", timestep, i) for i in images])
            timesteps = torch.full((len(x0),), timestep, device=x0.device)
            noisy = scheduler.add_noise(x0, noise, timesteps)
            output = network(noisy, timesteps).float()
            found = predicted_noise(scheduler, output, timestep, noisy), gaussian(noisy, timesteps)
            for kind, prediction in enumerate((*found, torch.zeros_like(noise))):
                error = (noise - prediction).square().mean((1, 2, 3))
                row[kind, start : start + 8] = error.cpu()
    return errors


def epsilon_skill(errors: Tensor, tau: int) -> Skill:
    """The skill that `held_out_errors` tell of where the sampling from `tau` goes through."""
    used = [i for i, timestep in enumerate(HELD_OUT_TIMESTEPS) if timestep <= max(tau, 50)]
    timesteps: list[JSON] = [HELD_OUT_TIMESTEPS[i] for i in used]
    each = errors[used].double()
    network, gaussian, _ = each.mean(2).T.tolist()
    of_network, of_gaussian, of_zero = each.mean(0).tolist()
    return Skill.of(
        of_network,
        of_gaussian,
        of_zero,
        f"epsilon-MSE, mean over t = {timesteps[0]}, ..., {timesteps[-1]}, against the Gaussian",
        {"timesteps": timesteps, "network": network, "gaussian": gaussian},
    )

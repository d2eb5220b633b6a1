"""LafitE's latent space and its noise-predicting UNet (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from diffusers import UNet2DModel
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import Context
from adbench.methods.diffusion import noise_like, predicted_noise

ScalingKind = Literal["none", "global", "channel"]
HELD_OUT_TIMESTEPS = (50, 150, 300, 500, 700, 900)


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


def create_unet(channels: int, base_width: int, size: int) -> Any:
    """The UNet over feature maps (B, channels, size, size) (paper, section 4.1).

    Widths are 1, 2, 3 and 4 times `base_width` (a multiple of 32) at strides 1, 2, 4 and 8. What
    the paper leaves open follows guided-diffusion: two residual blocks a level, attention at
    strides 2 and 4 with heads of 64, no dropout.
    """
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=2,
        block_out_channels=tuple(base_width * multiple for multiple in (1, 2, 3, 4)),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=64 if base_width % 64 == 0 else 32,
        norm_num_groups=32,
    )


def denoising_loss(
    network: Any, scheduler: Any, clean: Callable[[Tensor], Tensor]
) -> Callable[..., Tensor]:
    """The squared error of the predicted noise (paper, eq. 6), or of the predicted sample, on what
    `clean` makes of indices (B,): scaled features (B, C, S, S)."""
    num_train_timesteps = scheduler.config.num_train_timesteps

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        x0 = clean(indices)
        timesteps = torch.randint(
            num_train_timesteps, (len(x0),), generator=generator, device=x0.device
        )
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        noisy = scheduler.add_noise(x0, noise, timesteps)  # eq. 3, with variance 1 - abar
        predicted: Tensor = network(noisy, timesteps).sample
        target = noise if scheduler.config.prediction_type == "epsilon" else x0
        return (target - predicted.float()).square().mean()

    return loss


@torch.inference_mode()
def held_out_error(
    network: Any, scheduler: Any, clean: Tensor, training: Tensor, context: Context
) -> dict[str, list[float]]:
    """Epsilon-MSE on scaled features (B, C, S, S) that training did not see, for fixed timesteps
    and fixed noise.

    Of the network, of the best predictor that knows each channel's mean and variance (in some
    `training` features) only, and of predicting zero. A network that learned nothing does not
    beat the second.
    """
    variance, mean = torch.var_mean(training, (0, 2, 3), keepdim=True)
    errors: dict[str, list[float]] = {"timesteps": [float(t) for t in HELD_OUT_TIMESTEPS]}
    for timestep in HELD_OUT_TIMESTEPS:
        generators = [context.generator("held-out", timestep, i) for i in range(len(clean))]
        noise = noise_like(clean, generators)
        noisy = scheduler.add_noise(clean, noise, torch.tensor([timestep], device=clean.device))
        abar = float(scheduler.alphas_cumprod[timestep])
        # E[noise | x_t] of N(m, v): sqrt(1 - abar) (x_t - sqrt(abar) m) / (abar v + 1 - abar)
        total = abar * variance + 1 - abar
        output = torch.cat([network(part, timestep).sample for part in torch.split(noisy, 8)])
        predictions = {
            "network": predicted_noise(scheduler, output, timestep, noisy),
            "channel_gaussian": (1 - abar) ** 0.5 * (noisy - abar**0.5 * mean) / total,
            "zero": torch.zeros_like(noise),
        }
        for name, prediction in predictions.items():
            error = float((noise - prediction).square().mean())
            errors.setdefault(name, []).append(error)
    return errors

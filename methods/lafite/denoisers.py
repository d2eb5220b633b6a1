"""What predicts the noise in LafitE's latent space: the paper's UNet, a Gaussian, or both.

Each is called with noisy features x_t (B, C, S, S) and their timesteps (B,).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from adbench.methods.gaussian import GaussianModel
from adbench.methods.unet import in_full_precision


class DenoisingUNet(UNet2DModel):  # type: ignore[misc]
    """diffusers' UNet as a function of two tensors."""

    def forward(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        output: Tensor = super().forward(noisy, timesteps).sample
        return output


def create_unet(channels: int, base_width: int, size: int, **more: Any) -> Any:
    """The UNet over feature maps (B, channels, size, size) (paper, section 4.1).

    Widths are 1, 2, 3 and 4 times `base_width` (a multiple of 32) at strides 1, 2, 4 and 8. What
    the paper leaves open follows guided-diffusion: two residual blocks a level, attention at
    strides 2 and 4 with heads of 64, no dropout. `more` are diffusers' options in their place.
    """
    options = {
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 64 if base_width % 64 == 0 else 32,
        "norm_num_groups": 32,
    }
    widths = tuple(base_width * multiple for multiple in (1, 2, 3, 4))
    return DenoisingUNet(sample_size=size, block_out_channels=widths, **(options | more))


class GaussianDenoiser:
    """The noise that the closed-form Gaussian denoiser finds; nothing is trained."""

    def __init__(self, gaussian: GaussianModel, scheduler: Any) -> None:
        self.gaussian = gaussian
        self.alphas_cumprod = scheduler.alphas_cumprod.to(gaussian.mean)

    def __call__(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        abar = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        clean = self.gaussian.denoise(noisy, abar.sqrt(), 1 - abar)
        noise: Tensor = (noisy - abar.sqrt() * clean) / (1 - abar).sqrt()
        return noise


class PreconditionedDenoiser(nn.Module):
    """A small UNet F that corrects what the Gaussian denoiser takes for noise, eps_G, in the
    principal components c of the channels:

        eps = eps_G + g_c(t) (a eps_G + b x0_G + d),    (a, b, d) = F(x_t, x0_G, t)

    g_c(t) is the error that eps_G has, root mean square, by the Gaussian model; x0_G, its clean
    features less the mean, comes at unit variance. a and b adapt the Gaussian's filter to the
    place: where a component varies more than elsewhere it is smoothed less. F has one residual
    block a level, sees the `INPUTS` strongest components at unit variance, and starts at zero.
    From timestep `train_timesteps` on, which it was not trained for, it is off.
    """

    INPUTS = 64

    def __init__(
        self, gaussian: GaussianModel, scheduler: Any, base_width: int, train_timesteps: int
    ) -> None:
        super().__init__()
        # Plain attributes, no buffers: what is not trained is neither averaged nor exchanged.
        self.gaussian, self.train_timesteps = gaussian, train_timesteps
        self.alphas_cumprod = scheduler.alphas_cumprod.to(gaussian.mean)
        channels, _, size = gaussian.mean.shape
        self.inputs = min(self.INPUTS, channels)
        self.unet = create_unet(
            channels,
            base_width,
            size,
            in_channels=2 * self.inputs,
            layers_per_block=1,
            norm_num_groups=8,
        )
        self.unet.conv_out = nn.Conv2d(base_width, 3 * channels, 1)
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def forward(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        gaussian = self.gaussian
        abar = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        signal, variance = abar.sqrt(), 1 - abar
        # 1. The Gaussian's answer, in principal components (B, C, S, S)
        with in_full_precision(noisy.device.type):
            clean = gaussian.denoise(noisy, signal, variance)
            x0 = gaussian.components(clean - gaussian.mean)
            x_t = gaussian.components(noisy - signal * gaussian.mean)
        eps = (x_t - signal * x0) / variance.sqrt()
        left = gaussian.error_variances(signal, variance)  # of x0_G
        rms_error = signal * left.mean((2, 3), keepdim=True).div(variance).sqrt()  # g_c(t)
        x0 = unit(x0, gaussian.variances - left)
        # 2. The network's correction
        whitened = unit(x_t, signal**2 * gaussian.variances + variance)
        seen = torch.cat([whitened[:, : self.inputs], x0[:, : self.inputs]], 1)
        of_noise, of_clean, beside = self.unet(seen, timesteps).chunk(3, 1)
        correction = rms_error * (of_noise * eps + of_clean * x0 + beside)
        trained = (timesteps < self.train_timesteps).view(-1, 1, 1, 1)
        # 3. Back to channels
        with in_full_precision(noisy.device.type):
            return gaussian.from_components(eps + correction.where(trained, 0.0))


def unit(components: Tensor, variances: Tensor) -> Tensor:
    """Components (B, C, S, S) over the root of their mean variance, where there is any."""
    return components * variances.mean((2, 3), keepdim=True).clamp_min(1e-8).rsqrt()

"""The training loss of DRDC's UNet, and what it reaches on normal images that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from adbench.contracts import JSON, Context
from adbench.methods.diffusion import noise_like
from adbench.methods.drdc.process import (
    add_noise,
    grid_masks,
    known_of,
    linear_scheduler,
    training_masks,
)
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.training import Loss, autocast

HELD_OUT_TIMESTEPS = (50, 150, 250)


def training_loss(
    network: nn.Module, clean: Callable[[Tensor], Tensor], settings: DRDCSettings
) -> Loss:
    """The squared error of the predicted noise (paper, eq. 12) or image.

    What is noised is the image or I_in (`init`); the target is always the clean image. Of a
    noise-filled x_t the noise to predict is therefore the one that eq. 9 takes to the clean image,
    (x_t - sqrt(abar) I) / sqrt(1 - abar): the noise that was added would follow from x_t and I_in
    without any learning.

    Args:
        network: from what `Known.predict` shows it, and t, to noise or image.
        clean: from indices (B,) to images (B, 3, H, W) in [-1, 1].
        settings: what is noised, shown and predicted; mask law, timesteps, region of the loss.
    """
    own, scheduler = settings, linear_scheduler()

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        images = clean(indices)
        # Cells are dealt on the CPU: some images draw 49 numbers and some 50,176. Another seed:
        # with the same one, on a CPU, the grid's draw would be the timestep's, word for word.
        dealer = torch.Generator().manual_seed(generator.initial_seed() + 1)
        unknown = training_masks(len(images), images.shape[-1], own.training_grids, dealer)
        unknown = unknown.to(images.device)
        draw: dict[str, Any] = {"generator": generator, "device": images.device}
        t = torch.randint(own.t_max, (len(images),), **draw)
        noise = torch.randn(images.shape, **draw)
        known = known_of(images, unknown, torch.randn(images.shape, **draw), own)
        start = images if own.init == "qsample" else known.filled
        sample = scheduler.add_noise(start, noise, t)
        target = images
        if own.prediction_type == "epsilon":
            target = noise + signal_to_noise(t)[:, None, None, None].sqrt() * (start - images)
        squared: Tensor = (target - known.predict(network, sample, t)).square()
        if own.loss_region == "all":
            return squared.mean()
        return (squared * unknown).sum() / (unknown.sum() * images.shape[1])

    return loss


def signal_to_noise(t: Tensor) -> Tensor:
    """abar / (1 - abar) at timesteps (B,): an error of the image times this is one of the noise."""
    abar: Tensor = linear_scheduler().alphas_cumprod.to(t.device)[t]
    return abar / (1 - abar)


@torch.inference_mode()
def held_out_error(
    network: nn.Module, images: Tensor, settings: DRDCSettings, precision: str, context: Context
) -> dict[str, JSON]:
    """Mean squared error of the noise on images (B, 3, H, W), some for each training grid.

    On known pixels the condition tells the noise, so that a trained network is near 0; on unknown
    ones it has to know what normal images look like. Predicting nothing scores 1 on both.
    """
    scheduler, device, grids = linear_scheduler(), str(images.device), settings.training_grids
    count, size = len(images), images.shape[-1]

    def generators(purpose: str, *more: int) -> list[torch.Generator]:
        return [context.generator(purpose, *more, "held-out", index) for index in range(count)]

    dealers = generators("held-out-mask")
    masks = [grid_masks(size, grids[i % len(grids)], 2, dealers[i])[0] for i in range(count)]
    unknown = torch.stack(masks).to(device)
    fill = noise_like(images, generators("held-out-fill"))
    condition = torch.where(unknown, fill, images)
    known_errors: list[JSON] = []
    unknown_errors: list[JSON] = []
    for timestep in HELD_OUT_TIMESTEPS:
        noise = noise_like(images, generators("held-out-noise", timestep))
        inputs = add_noise(scheduler, images, noise, timestep)
        if settings.model_condition:
            inputs = torch.cat([inputs, condition], 1)
        t = torch.full((count,), timestep, device=device)
        with autocast(device, precision):
            squared = (noise - network(inputs, t)).square().mean(1, keepdim=True)
        known_errors.append(float(squared[~unknown].mean()))
        unknown_errors.append(float(squared[unknown].mean()))
    return {
        "timesteps": list(HELD_OUT_TIMESTEPS),
        "known": known_errors,
        "unknown": unknown_errors,
    }

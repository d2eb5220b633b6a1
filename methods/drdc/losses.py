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
    linear_scheduler,
    training_masks,
)
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.training import Loss, autocast

HELD_OUT_TIMESTEPS = (50, 150, 250)


def noise_loss(
    network: nn.Module, clean: Callable[[Tensor], Tensor], settings: DRDCSettings
) -> Loss:
    """The squared error of the predicted noise (paper, eq. 12), x_0 being the clean image.

    The paper's text makes I_in, the noise-filled image, x_0 as well. As I_in is given, its noise
    would follow from x_t without any learning.

    Args:
        network: from x_t (and I_in) and t to noise.
        clean: from indices (B,) to images (B, 3, H, W) in [-1, 1].
        settings: mask law, timesteps and region of the loss.
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
        inputs = scheduler.add_noise(images, noise, t)
        if own.model_condition:
            filled = torch.where(unknown, torch.randn(images.shape, **draw), images)
            inputs = torch.cat([inputs, filled], 1)
        squared: Tensor = (noise - network(inputs, t)).square()
        if own.loss_region == "all":
            return squared.mean()
        return (squared * unknown).sum() / (unknown.sum() * images.shape[1])

    return loss


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

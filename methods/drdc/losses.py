"""The training loss of DRDC's UNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from adbench.methods.drdc.process import (
    Inpaint,
    known_of,
    linear_scheduler,
    signal_to_noise,
    training_masks,
)
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.training import Loss


def training_loss(
    network: nn.Module,
    clean: Callable[[Tensor], Tensor],
    settings: DRDCSettings,
    inpaint: Inpaint | None = None,
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
        inpaint: makes the guess that a preconditioned network adds to.
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
        fill = torch.randn(images.shape, **draw)
        known = known_of(images, unknown, fill, own, inpaint)
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

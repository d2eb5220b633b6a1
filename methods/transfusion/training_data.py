"""Training batches: normal images, synthetic anomalies on half of them, and their sources."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import Context, Geometry, Images
from adbench.methods.transfusion.hyperparameters import TransFusionHyperparameters
from adbench.methods.transfusion.process import transparency_schedule
from adbench.methods.transfusion.synthesis import (
    FolderTextures,
    ProceduralTextures,
    SynthesisBatch,
    foreground_masks,
    synthesise,
)


class TrainingBatches:
    """Makes the batch of given training images, with anomalies from a given generator.

    Attributes:
        texture_source: which texture images, without any path of this machine.
        foreground_source: which foreground masks, likewise.
        foreground_share: mean share of pixels on which an anomaly may lie.
        schedule: float32 (T,), on the context's device.
    """

    def __init__(
        self, hyperparameters: TransFusionHyperparameters, train: Images, context: Context
    ) -> None:
        own = hyperparameters
        geometry = Geometry(own.image_size, own.crop)
        self._hyperparameters, self._device = own, context.device
        self._pixels = train.pixels
        self._textures = (
            ProceduralTextures(own.size)
            if own.texture_dir is None
            else FolderTextures(own.texture_dir, own.size)
        )
        self.texture_source = self._textures.name
        masks = foreground_masks(
            train,
            {name: card.kind for name, card in context.category_cards.items()},
            geometry,
            own.foreground_dir or own.foreground,
        )
        self._foreground = masks.masks
        self.foreground_source = ", ".join(sorted(set(masks.source.values())))
        self.foreground_share = float(self._foreground.float().mean())
        self.schedule = transparency_schedule(own.num_steps, own.schedule).to(context.device)

    def __call__(self, indices: Tensor, generator: torch.Generator) -> SynthesisBatch:
        """The batch of the training images `indices` (B,); a function of these two alone."""
        own = self._hyperparameters
        images = to_unit_range(self._pixels[indices.numpy()], self._device)
        return synthesise(
            images,
            self._foreground[indices].to(images.device),
            self._textures,
            self.schedule,
            # On the CPU, so that every device sees the same anomalies and none waits for a draw.
            torch.Generator().manual_seed(generator.initial_seed()),
            previous_mask=own.previous_mask,
            previous_mask_drop=own.previous_mask_drop,
            rotation_probability=own.rotation_probability,
            max_rotation=own.rotation_degrees,
        )


def to_unit_range(pixels: NDArray[np.uint8], device: str) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [-1, 1] on `device`."""
    images = torch.from_numpy(np.array(pixels)).to(device).permute(0, 3, 1, 2)
    return (images.float() / 255 - 0.5) * 2

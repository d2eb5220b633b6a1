"""From images to anomaly maps with a trained network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import Images
from adbench.errors import MethodError
from adbench.methods.training import autocast
from adbench.methods.transfusion.fitting import Detector
from adbench.methods.transfusion.hyperparameters import TransFusionHyperparameters
from adbench.methods.transfusion.process import (
    Sampling,
    final_map,
    sample,
    transparency_schedule,
)
from adbench.methods.transfusion.training_data import to_unit_range


def anomaly_maps(
    detector: Detector, hyperparameters: TransFusionHyperparameters, images: Images
) -> Tensor:
    """float32 (N, H, W) on the CPU.

    Raises:
        MethodError: a map is not finite.
    """
    samplings = sample_images(detector, hyperparameters, images)
    maps = torch.cat([map_of(sampling, hyperparameters).cpu() for sampling in samplings])
    if not maps.isfinite().all():
        first = images.ids[int((~maps.isfinite()).flatten(1).any(1).nonzero()[0])]
        raise MethodError(
            f"the anomaly map of {first} is not finite, expected finite numbers: try "
            "precision=fp32, or train again with a lower learning_rate or gradient_clip=1"
        )
    return maps


def sample_images(
    detector: Detector, hyperparameters: TransFusionHyperparameters, images: Images
) -> Iterator[Sampling]:
    """The reverse process of all images, some at a time and in order."""
    own = hyperparameters
    schedule, device = transparency_schedule(own.num_steps, own.schedule), str(detector.device)
    for start in range(0, len(images), detector.chunk):
        batch = to_unit_range(images.pixels[start : start + detector.chunk], device)
        with torch.inference_mode(), autocast(device, detector.precision):
            sampling = sample(
                detector.network,
                batch,
                schedule,
                rule=own.sampling,
                guided=own.previous_mask == "simulated",
            )
        yield sampling


def pictures(
    detector: Detector, hyperparameters: TransFusionHyperparameters, images: Images
) -> dict[str, NDArray[Any]]:
    """The reconstruction, masks along the way, and the two parts of the map before smoothing."""
    samplings = list(sample_images(detector, hyperparameters, images))
    last = len(samplings[0].timesteps) - 1
    shown = sorted({round(last * part / 3) for part in range(4)})
    restored = torch.cat([sampling.reconstruction for sampling in samplings])
    pixels = ((restored / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    drawn: dict[str, NDArray[Any]] = {"reconstruction": pixels.cpu().numpy()}
    for index in shown:
        masks = torch.cat([s.mask_probabilities[index, :, 0] for s in samplings])
        drawn[f"mask at t={samplings[0].timesteps[index]}"] = masks.cpu().numpy()
    drawn["mean mask"] = torch.cat([s.m_disc for s in samplings]).cpu().numpy()
    drawn["reconstruction error"] = torch.cat([s.m_recon for s in samplings]).cpu().numpy()
    return drawn


def map_of(sampling: Sampling, hyperparameters: TransFusionHyperparameters) -> Tensor:
    """The anomaly map (B, H, W) that `final_mask` asks for."""
    own, m_disc, m_recon = hyperparameters, sampling.m_disc, sampling.m_recon
    weight = {"both": own.disc_weight, "disc": 1.0, "recon": 0.0, "last": 1.0}[own.final_mask]
    if own.final_mask == "last":
        m_disc = sampling.mask_probabilities[-1, :, 0]
    return final_map(m_disc, m_recon, weight, own.smoothing_kernel)

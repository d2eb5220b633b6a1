"""UniAD's anomaly maps: how far a token is from its reconstruction (paper, section 3.3)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adbench.contracts import Images
from adbench.methods import scoring
from adbench.methods.uniad.fitting import UniADDetector
from adbench.methods.uniad.hyperparameters import UniADHyperparameters

BATCH = 8
"""Images in one pass of the network."""


@torch.inference_mode()
def base_maps(
    detector: UniADDetector, hyperparameters: UniADHyperparameters, images: Images
) -> Tensor:
    """Euclidean distances of features to their reconstructions, upsampled and not smoothed.

    With feature editing the reconstruction is that of the edited features, and its distance to
    the features as they were (LafitE, arXiv:2307.08059, section 4.4).

    Returns:
        float32 (N, image_size, image_size) on the detector's device, not negative.
    """
    maps = []
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(np.array(images.pixels[start : start + BATCH]))
        features = detector.extractor(pixels)  # (B, S, S, C)
        shown = detector.editor(features) if detector.editor else features
        errors = (detector.network(shown) - features).square().sum(3).sqrt()
        maps.append(scoring.upsample(errors, hyperparameters.image_size))
    return torch.cat(maps)

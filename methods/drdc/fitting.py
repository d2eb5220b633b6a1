"""Fitting DRDC: the base branch (UniAD), then the UNet of the refinement."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from adbench.contracts import JSON, Context, Images
from adbench.methods.drdc.checkpoints import StagedCheckpoint
from adbench.methods.drdc.hyperparameters import DRDCHyperparameters
from adbench.methods.drdc.losses import held_out_error, noise_loss
from adbench.methods.drdc.network import ConditionalUNet
from adbench.methods.features import evenly_spread
from adbench.methods.training import TrainingPlan, seeded, smoothed_ends, train
from adbench.methods.uniad.fitting import UniADDetector, fit_base, held_out_split
from adbench.methods.uniad.storage import load_base, save_base

MAX_CALIBRATION = 16
"""Held-out images that are kept with the model: each costs as much as a test image."""
MAX_PROBED = 8
"""Held-out images on which the UNet's error is recorded."""
GPU_CHUNK = 8


@dataclass
class Detector:
    """What DRDC has learned.

    Attributes:
        base: the base branch.
        network: the UNet, in evaluation mode, on the context's device.
        precision: of its passes, "fp32" or "bf16".
        calibration_pixels: uint8 (K, H, W, 3), normal images that neither branch trained on. They
            are kept because what calibrates a map depends on how it is predicted.
        diagnostics: what training did.
    """

    base: UniADDetector
    network: ConditionalUNet
    precision: str
    calibration_pixels: NDArray[np.uint8]
    diagnostics: dict[str, JSON]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def chunk(self) -> int:
        """Images that go through the UNet together, each as grids x sets rows.

        One image already makes a batch; on a CPU more would only let rounding depend on
        neighbours.
        """
        return GPU_CHUNK if self.device.type == "cuda" else 1


def create_network(hyperparameters: DRDCHyperparameters, context: Context) -> ConditionalUNet:
    """The UNet with its first weights, a function of the seed, on the context's device."""
    own = hyperparameters
    with seeded(context, "drdc-network"):
        network = ConditionalUNet(
            own.model_condition, own.base_width, own.multipliers, own.attention_factors, own.blocks
        )
    return network.to(memory_format=torch.channels_last).to(context.device)


def choose_precision(hyperparameters: DRDCHyperparameters, context: Context) -> str:
    """The context's where the hyper-parameters leave it open."""
    return context.precision if hyperparameters.precision == "auto" else hyperparameters.precision


def to_unit_range(pixels: NDArray[np.uint8], size: int, device: torch.device | str) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, size, size) in [-1, 1] on `device`."""
    images = torch.from_numpy(np.array(pixels)).to(device).permute(0, 3, 1, 2).float()
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return images / 127.5 - 1


def fit_detector(
    hyperparameters: DRDCHyperparameters, images: Images, context: Context
) -> Detector:
    """Train both branches on normal images. Resumes in the branch that was cut off."""
    stages = StagedCheckpoint(context.checkpoint)
    base, of_base = _fit_base(hyperparameters, images, stages, context)
    held_out, own = held_out_split(hyperparameters.base, len(images), context)
    network = create_network(hyperparameters, context)
    precision = choose_precision(hyperparameters, context)
    # The split is sorted: evenly spaced images are of all categories.
    spaced = torch.linspace(0, len(held_out) - 1, min(len(held_out), MAX_CALIBRATION)).long()
    kept = np.array(images.pixels[held_out[spaced].numpy()])
    detector = Detector(base, network, precision, kept, {"base": of_base})
    of_unet = _train(detector, hyperparameters, images.pixels, own, stages, context)
    detector.diagnostics["unet"] = of_unet
    return detector


def _fit_base(
    hyperparameters: DRDCHyperparameters,
    images: Images,
    stages: StagedCheckpoint,
    context: Context,
) -> tuple[UniADDetector, dict[str, JSON]]:
    """The base branch, trained or as the checkpoint has it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        finished = stages.finished("base")
        if finished is not None:
            for file, content in finished.items():
                (folder / file).write_bytes(content.numpy().tobytes())
            return load_base(folder, hyperparameters.base, context)
        own = replace(context, checkpoint=stages.stage("base"), progress=_named(context, "base"))
        detector, diagnostics = fit_base(hyperparameters.base, images, own)
        save_base(folder, detector, diagnostics)
        files = {path.name: np.fromfile(path, np.uint8) for path in sorted(folder.iterdir())}
    stages.finish("base", {file: torch.from_numpy(content) for file, content in files.items()})
    return detector, diagnostics


def _named(context: Context, branch: str) -> Callable[..., None]:
    """Progress that says which branch trains."""

    def progress(stage: str, done: int, total: int, **numbers: float) -> None:
        context.progress(f"{stage} ({branch})", done, total, **numbers)

    return progress


def _train(
    detector: Detector,
    hyperparameters: DRDCHyperparameters,
    pixels: NDArray[np.uint8],
    indices: Tensor,
    stages: StagedCheckpoint,
    context: Context,
) -> dict[str, JSON]:
    """Train the UNet in place on the images `indices`; what to record of it."""
    own, network = hyperparameters, detector.network

    def clean(chosen: Tensor) -> Tensor:
        rows = pixels[indices[chosen].numpy()]
        return to_unit_range(rows, own.inner_size, context.device)

    losses = train(
        network,
        noise_loss(network, clean, own),
        len(indices),
        _plan(own, detector.precision),
        replace(context, checkpoint=stages.stage("unet"), progress=_named(context, "UNet")),
    )
    first, last = smoothed_ends(losses)
    record: dict[str, Any] = {
        "steps": len(losses),
        "images": len(indices),
        "loss_first": first,
        "loss_last": last,
        "calibration_images": len(detector.calibration_pixels),
        "precision": detector.precision,
    }
    if len(detector.calibration_pixels):
        some = evenly_spread(torch.arange(len(detector.calibration_pixels)), MAX_PROBED)
        probed = detector.calibration_pixels[some.numpy()]
        record["held_out_noise_mse"] = held_out_error(
            network,
            to_unit_range(probed, own.inner_size, context.device),
            grids=own.training_grids,
            model_condition=own.model_condition,
            precision=detector.precision,
            context=context,
        )
    return record


def _plan(hyperparameters: DRDCHyperparameters, precision: str) -> TrainingPlan:
    own = hyperparameters
    return TrainingPlan(
        steps=own.steps,
        batch_size=own.batch_size,
        learning_rate=own.learning_rate,
        weight_decay=own.weight_decay,
        drop_at=own.learning_rate_drop,
        gradient_clip=own.gradient_clip,
        ema_decay=own.ema_decay,
        precision=precision,
    )

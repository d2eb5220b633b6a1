"""Fitting LafitE: features, their scaling, the coreset of normal slices, the UNet."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import JSON, Context, Images
from adbench.methods.coreset import cached_k_center_greedy, radius_bound
from adbench.methods.diffusion import cosine_scheduler
from adbench.methods.features import FeatureExtractor, cached_features, evenly_spread
from adbench.methods.lafite.editing import FeatureEditor
from adbench.methods.lafite.hyperparameters import LafitEHyperparameters
from adbench.methods.lafite.network import create_unet, denoising_loss, held_out_error
from adbench.methods.lafite.scaling import FeatureScaling
from adbench.methods.neighbours import NeighbourSearch
from adbench.methods.training import TrainingPlan, seeded, smoothed_ends, train

MAX_HELD_OUT = 32


@dataclass
class Detector:
    """What LafitE has learned, and the frozen backbone, on one device.

    Attributes:
        extractor: pixels to features (B, S, S, C).
        scaling: features to scaled features.
        editor: None without feature editing.
        network: the UNet; None without reconstruction.
    """

    extractor: FeatureExtractor
    scaling: FeatureScaling
    editor: FeatureEditor | None
    network: Any | None


def create_extractor(hyperparameters: LafitEHyperparameters, device: str) -> FeatureExtractor:
    """The frozen backbone that these hyper-parameters name."""
    return FeatureExtractor(
        hyperparameters.backbone,
        hyperparameters.weights,
        hyperparameters.map_size,
        hyperparameters.msa_resize,
    ).to(device)


def create_editor(
    hyperparameters: LafitEHyperparameters, centers: Tensor, unit: float, device: str
) -> FeatureEditor:
    """Editing with the slices `centers` (K, C); `unit` is the scaling's."""
    return FeatureEditor(
        NeighbourSearch(centers, device),
        hyperparameters.num_neighbours,
        hyperparameters.edit_weights,
        hyperparameters.edit_temperature / unit,  # distances are in scaled units
    )


def fit_detector(
    hyperparameters: LafitEHyperparameters, images: Images, context: Context
) -> tuple[Detector, dict[str, JSON]]:
    """Fit on normal images; also returns the diagnostics."""
    extractor = create_extractor(hyperparameters, context.device)
    features = cached_features(extractor, images, context)
    scaling = FeatureScaling.fit(features, hyperparameters.feature_scaling)
    detector = Detector(extractor, scaling.to(context.device), None, None)
    diagnostics: dict[str, JSON] = {
        "feature_mean": float(scaling.mean.mean()),
        "feature_std": scaling.unit,
    }
    if hyperparameters.feature_editing:
        key = images.key and f"{images.key}-{extractor.key}"
        centers, diagnostics["coreset"] = _coreset(hyperparameters, features, scaling, key, context)
        detector.editor = create_editor(hyperparameters, centers, scaling.unit, context.device)
    if hyperparameters.reconstruction:
        detector.network, diagnostics["training"] = _trained_network(
            hyperparameters, features, detector.scaling, context
        )
    return detector, diagnostics


def _coreset(
    hyperparameters: LafitEHyperparameters,
    features: NDArray[Any],
    scaling: FeatureScaling,
    key: str | None,
    context: Context,
) -> tuple[Tensor, dict[str, JSON]]:
    """The kept slices (K, C), scaled, and what to record of them."""
    channels = features.shape[-1]
    slices = torch.empty(features.size // channels, channels)
    for rows, image in zip(slices.chunk(len(features)), features, strict=True):
        rows.copy_(scaling(torch.tensor(image).reshape(-1, channels)))
    if key is not None:
        key = hashlib.sha256(f"{key}-{hyperparameters.feature_scaling}".encode()).hexdigest()
    num_centers = hyperparameters.num_centers(len(features))
    context.progress("coreset", 0, num_centers)
    chosen = cached_k_center_greedy(slices, num_centers, key, context)
    centers = slices[chosen]
    context.progress("coreset", len(centers), num_centers)
    return centers, {
        "slices": len(slices),
        "centers": len(centers),
        "radius": radius_bound(centers) * scaling.unit,
    }


def _trained_network(
    hyperparameters: LafitEHyperparameters,
    features: NDArray[Any],
    scaling: FeatureScaling,
    context: Context,
) -> tuple[Any, dict[str, JSON]]:
    """The UNet trained on scaled features, and what to record of its training."""
    size, channels = features.shape[2:]
    order = torch.randperm(len(features), generator=context.generator("held-out"))
    num_held_out = _num_held_out(len(features), hyperparameters.held_out_fraction)
    held_out, own = order[:num_held_out], order[num_held_out:].sort().values
    with seeded(context, "network"):
        network = create_unet(channels, hyperparameters.base_width, size).to(context.device)
    scheduler = cosine_scheduler(prediction_type=hyperparameters.prediction_type)
    clean = _batches(features, scaling, context.device)
    losses = train(
        network,
        denoising_loss(network, scheduler, lambda indices: clean(own[indices])),
        len(own),
        _plan(hyperparameters, len(own), context),
        context,
    )
    first, last = smoothed_ends(losses)
    record: dict[str, JSON] = {
        "steps": len(losses),
        "images": len(own),
        "loss_first": first,
        "loss_last": last,
        "held_out_images": num_held_out,
    }
    if num_held_out:
        some = evenly_spread(own, MAX_HELD_OUT)
        errors = held_out_error(network, scheduler, clean(held_out), clean(some), context)
        record["held_out_epsilon_mse"] = {name: list(values) for name, values in errors.items()}
    return network, record


def _num_held_out(num_images: int, fraction: float) -> int:
    """At least one where a fraction is asked for and an image remains to train on."""
    wanted = math.ceil(fraction * num_images)
    return min(wanted, MAX_HELD_OUT, num_images - 1)


def _plan(
    hyperparameters: LafitEHyperparameters, num_images: int, context: Context
) -> TrainingPlan:
    precision = hyperparameters.precision
    return TrainingPlan(
        steps=hyperparameters.num_steps(num_images),
        batch_size=hyperparameters.batch_size,
        learning_rate=hyperparameters.learning_rate,
        weight_decay=hyperparameters.weight_decay,
        drop_at=hyperparameters.learning_rate_drop,
        gradient_clip=hyperparameters.gradient_clip,
        ema_decay=hyperparameters.ema_decay,
        precision=context.precision if precision == "auto" else precision,
    )


def _batches(
    features: NDArray[Any], scaling: FeatureScaling, device: str
) -> Callable[[Tensor], Tensor]:
    """From indices (B,) to scaled features (B, C, S, S) on the device."""
    resident = None
    if torch.device(device).type == "cuda" and (
        4 * features.nbytes < torch.cuda.mem_get_info(device)[0]
    ):
        resident = torch.tensor(features, device=device)

    def clean(indices: Tensor) -> Tensor:
        if resident is not None:
            rows = resident[indices.to(device)]
        else:
            rows = torch.from_numpy(features[indices.numpy()]).to(device)
        return scaling(rows).permute(0, 3, 1, 2).contiguous()

    return clean

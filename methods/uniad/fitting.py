"""Fitting UniAD: features, the transformer trained on them and, on request, editing's coreset."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import JSON, Context, Images
from adbench.methods.coreset import cached_k_center_greedy, radius_bound
from adbench.methods.features import FeatureExtractor, cached_features, evenly_spread
from adbench.methods.lafite.editing import FeatureEditor
from adbench.methods.neighbours import NeighbourSearch
from adbench.methods.training import TrainingPlan, seeded, smoothed_ends, train
from adbench.methods.uniad.hyperparameters import UniADHyperparameters
from adbench.methods.uniad.losses import held_out_error, reconstruction_loss
from adbench.methods.uniad.network import UniADTransformer

MAX_HELD_OUT = 32


@dataclass
class UniADDetector:
    """What UniAD has learned, and the frozen backbone, on one device.

    Attributes:
        extractor: pixels to features (B, S, S, C).
        network: features to reconstructed features.
        editor: None without feature editing.
    """

    extractor: FeatureExtractor
    network: UniADTransformer
    editor: FeatureEditor | None = None


def create_extractor(hyperparameters: UniADHyperparameters, device: str) -> FeatureExtractor:
    """The frozen backbone that these hyper-parameters name."""
    return FeatureExtractor(
        hyperparameters.backbone, hyperparameters.weights, hyperparameters.feature_size
    ).to(device)


def create_network(
    hyperparameters: UniADHyperparameters, channels: int, context: Context
) -> UniADTransformer:
    """The transformer with its first weights, a function of the seed, on the context's device."""
    with seeded(context, "uniad-network"):
        network = UniADTransformer(
            channels,
            hyperparameters.feature_size,
            hyperparameters.hidden,
            hyperparameters.heads,
            hyperparameters.ffn,
            hyperparameters.layers,
            hyperparameters.dropout,
            hyperparameters.neighbour_window,
        )
    return network.to(context.device)


def create_editor(
    hyperparameters: UniADHyperparameters, centers: Tensor, device: str
) -> FeatureEditor:
    """Editing with the slices `centers` (K, C)."""
    return FeatureEditor(
        NeighbourSearch(centers, device),
        hyperparameters.num_neighbours,
        hyperparameters.edit_weights,
        hyperparameters.edit_temperature,
    )


def fit_base(
    hyperparameters: UniADHyperparameters, images: Images, context: Context
) -> tuple[UniADDetector, dict[str, JSON]]:
    """Fit on normal images; also returns the diagnostics.

    Resumes from `context.checkpoint`, and leaves the trained network frozen.

    Raises:
        MethodError: no backbone weights, or a loss that is not finite.
    """
    extractor = create_extractor(hyperparameters, context.device)
    features = cached_features(extractor, images, context)
    diagnostics: dict[str, JSON] = {}
    editor = None
    if hyperparameters.feature_editing:
        key = images.key and f"{images.key}-{extractor.key}"
        centers, diagnostics["coreset"] = _coreset(hyperparameters, features, key, context)
        editor = create_editor(hyperparameters, centers, context.device)
    network = create_network(hyperparameters, extractor.channels, context)
    diagnostics["training"] = _train(network, hyperparameters, features, images.categories, context)
    return UniADDetector(extractor, network, editor), diagnostics


def held_out_split(
    hyperparameters: UniADHyperparameters, num_images: int, context: Context
) -> tuple[Tensor, Tensor]:
    """Indices of the normal images kept from training, and of those trained on, both sorted.

    At least one is held out where a fraction is asked for and an image remains to train on, and
    at most `MAX_HELD_OUT`.
    """
    wanted = math.ceil(hyperparameters.held_out_fraction * num_images)
    count = min(wanted, MAX_HELD_OUT, num_images - 1)
    order = torch.randperm(num_images, generator=context.generator("held-out"))
    return order[:count].sort().values, order[count:].sort().values


def _train(
    network: UniADTransformer,
    hyperparameters: UniADHyperparameters,
    features: NDArray[Any],
    categories: Sequence[str],
    context: Context,
) -> dict[str, JSON]:
    """Train the network in place; what to record of it."""
    held_out, own = held_out_split(hyperparameters, len(features), context)
    batch = _batches(features, context.device)
    losses = train(
        network,
        reconstruction_loss(network, hyperparameters, lambda indices: batch(own[indices])),
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
        "held_out_images": len(held_out),
    }
    if len(held_out):
        some = evenly_spread(own, MAX_HELD_OUT)
        means = position_means(features, categories, own, held_out).to(context.device)
        errors = held_out_error(network, batch(held_out), batch(some), means)
        record["held_out_mse"] = dict(errors)
    return record


def position_means(
    features: NDArray[Any], categories: Sequence[str], own: Tensor, held_out: Tensor
) -> Tensor:
    """The mean feature of each position, over the images `own`, in each held-out one's category.

    Over all of `own` where none of them is of that category.

    Args:
        features: (N, S, S, C).
        categories: N names.
        own: indices of the images that training sees.
        held_out: indices (B,) of others.

    Returns:
        float32 (B, S, S, C) on the CPU.
    """
    of = {name: [i for i in own.tolist() if categories[i] == name] for name in set(categories)}

    def mean(indices: list[int]) -> Tensor:
        total = np.zeros(features.shape[1:], np.float64)
        for index in indices:  # one at a time: they may be a memory map larger than memory
            total += features[index]
        return torch.from_numpy((total / len(indices)).astype(np.float32))

    wanted = [categories[i] for i in held_out.tolist()]
    means = {name: mean(of[name] or own.tolist()) for name in set(wanted)}
    return torch.stack([means[name] for name in wanted])


def _plan(hyperparameters: UniADHyperparameters, num_images: int, context: Context) -> TrainingPlan:
    precision = hyperparameters.precision
    return TrainingPlan(
        steps=hyperparameters.num_steps(num_images),
        batch_size=hyperparameters.batch_size,
        learning_rate=hyperparameters.learning_rate,
        weight_decay=hyperparameters.weight_decay,
        drop_at=hyperparameters.learning_rate_drop,
        gradient_clip=hyperparameters.gradient_clip,
        precision=context.precision if precision == "auto" else precision,
    )


def _batches(features: NDArray[Any], device: str) -> Callable[[Tensor], Tensor]:
    """From indices (B,) to features (B, S, S, C) on the device."""
    resident = None
    if torch.device(device).type == "cuda" and (
        4 * features.nbytes < torch.cuda.mem_get_info(device)[0]
    ):
        resident = torch.tensor(features, device=device)

    def batch(indices: Tensor) -> Tensor:
        if resident is not None:
            return resident[indices.to(device)]
        return torch.from_numpy(features[indices.numpy()]).to(device)

    return batch


def _coreset(
    hyperparameters: UniADHyperparameters,
    features: NDArray[Any],
    key: str | None,
    context: Context,
) -> tuple[Tensor, dict[str, JSON]]:
    """The kept slices (K, C), and what to record of them."""
    slices = torch.tensor(features).view(-1, features.shape[-1])
    if key is not None:
        key = hashlib.sha256(f"uniad-slices-{key}".encode()).hexdigest()
    num_centers = hyperparameters.num_centers(len(features))
    context.progress("coreset", 0, num_centers)
    chosen = cached_k_center_greedy(slices, num_centers, key, context)
    centers = slices[chosen]
    context.progress("coreset", len(centers), num_centers)
    return centers, {
        "slices": len(slices),
        "centers": len(centers),
        "radius": radius_bound(centers),
    }

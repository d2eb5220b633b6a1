"""The training loss on jittered features, and the error on normals that training did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def jitter(
    features: Tensor, scale: float, probability: float, generator: torch.Generator
) -> Tensor:
    """Feature jitter (paper, section 3.2): Gaussian noise in proportion to each token's norm.

    Args:
        features: (B, S, S, C).
        scale: the deviation is `scale` times a token's norm over C; the paper's alpha.
        probability: of jittering the batch, which is jittered as a whole or not at all.
        generator: on the features' device.

    Returns:
        Of the same shape.
    """
    norms = features.square().sum(-1, keepdim=True).sqrt() / features.shape[-1]
    device = features.device
    noise = torch.randn(features.shape, generator=generator, device=device)
    happens = torch.rand((), generator=generator, device=device) < probability
    return features + noise * norms * (scale * happens)


def reconstruction_loss(
    network: Callable[[Tensor], Tensor],
    batch: Callable[[Tensor], Tensor],
    scale: float = 20.0,
    probability: float = 1.0,
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """The training loss: mean squared error between the clean features and what the network makes
    of jittered ones, over all entries (official code; the paper's formula sums over channels).

    Args:
        network: from features (B, S, S, C) to features.
        batch: indices (B,) to clean features.
        scale: of the jitter, as `probability`.
    """

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        features = batch(indices)
        noisy = jitter(features, scale, probability, generator)
        with _dropout_seeded(generator):
            restored = network(noisy)
        return (restored - features).square().mean()

    return loss


@contextmanager
def _dropout_seeded(generator: torch.Generator) -> Iterator[None]:
    """A block in which the global generator, which dropout draws from, is this step's.

    It is put back afterwards. Seeded apart from `generator`, whose stream the jitter has used.
    """
    device, seed = generator.device, generator.initial_seed() + 1
    if device.type == "cuda":
        with torch.random.fork_rng(devices=[device]), torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield


@torch.inference_mode()
def held_out_error(
    network: Callable[[Tensor], Tensor], held_out: Tensor, training: Tensor, means: Tensor
) -> dict[str, float]:
    """Mean squared errors without jitter and dropout, beside one that needs no network.

    Args:
        network: in evaluation mode.
        held_out: features of normals that training did not see (B, S, S, C).
        training: features of some that it saw, of the same shape but for B.
        means: for each held-out image, the mean feature of each position over all images of its
            category that training saw (B, S, S, C).

    Returns:
        The error of the `network` on the held-out features and on the `training` ones, and of
        predicting `means` (`position_mean`) for the held-out ones. A network that learned nothing
        of the single image does not beat the last.
    """

    def error(features: Tensor) -> float:
        parts = [
            (network(part) - part).square().mean((1, 2, 3)) for part in torch.split(features, 8)
        ]
        return float(torch.cat(parts).mean())

    return {
        "network": error(held_out),
        "training": error(training),
        "position_mean": float((held_out - means).square().mean()),
    }


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

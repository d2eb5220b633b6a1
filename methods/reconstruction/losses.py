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
    """Mean squared errors without jitter and dropout: of the `network`, in evaluation mode, on
    features (B, S, S, C) of normals that training did not see and on some that it saw
    (`training`), and of predicting `position_means` for the held-out ones, which a network that
    learned nothing of the single image does not beat.
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
    """The mean feature of each position over those images of `own`, which training sees, that are
    of the category of a held-out one, or over all of `own` where none is.

    Args:
        features: (N, S, S, C).
        categories: N names.
        own: indices.
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

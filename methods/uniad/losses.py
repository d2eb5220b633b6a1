"""UniAD's training loss on jittered features, and its error on normals that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from adbench.methods.uniad.hyperparameters import UniADHyperparameters


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
    hyperparameters: UniADHyperparameters,
    batch: Callable[[Tensor], Tensor],
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """The training loss: mean squared error between the clean features and what the network makes
    of jittered ones, over all entries (official code; the paper's formula sums over channels).

    Args:
        network: from features (B, S, S, C) to features.
        hyperparameters: of the jitter.
        batch: indices (B,) to clean features.
    """
    scale, probability = hyperparameters.jitter_scale, hyperparameters.jitter_probability

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

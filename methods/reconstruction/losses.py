"""The training loss on jittered features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
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

"""What TransFusion's network learned: its mask loss on held-out normals with synthetic anomalies,
against copying the simulated previous mask, its guide."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from adbench.contracts import Skill
from adbench.contracts.skill import MIN_HELD_OUT, too_few
from adbench.methods.transfusion.losses import mask_loss_map
from adbench.methods.transfusion.process import Network
from adbench.methods.transfusion.synthesis import SynthesisBatch

Compose = Callable[[Tensor, torch.Generator], SynthesisBatch]
"""From indices (B,) and randomness to a batch of which the first half has anomalies."""
Generators = Callable[..., torch.Generator]
"""By purpose: `Context.generator`."""
ROUNDS = 4
"""Anomalies, and timesteps with and without them, drawn for each image."""
CHUNK = 8
MEASURED = "mask loss of one reverse step on held-out normals, half with synthetic anomalies"


@torch.no_grad()
def measure(
    network: Network, compose: Compose, held_out: Tensor, trained_on: Tensor, generators: Generators
) -> Skill:
    """The skill of `network`, in evaluation mode.

    The simple predictor gives one probability where the guide is and one where it is not, the
    trivial one the same everywhere; all three are what makes the loss smallest on images that the
    network was trained on.

    Args:
        held_out: indices of the images to measure on.
        trained_on: indices of the others.
    """
    if len(held_out) < MIN_HELD_OUT:
        return Skill.unknown(too_few(len(held_out)))
    copied, constant = _fit_predictors(
        _draws(compose, trained_on[: len(held_out)], generators, "skill-fit")
    )
    rows = []  # (3, 2, chunk) each: network, copy, constant; with and without anomalies
    for batch in _draws(compose, held_out, generators, "skill"):
        copy = torch.where(batch.previous_mask > 0, *copied)
        logits = (network(batch.network_input, batch.t)[2], copy, torch.full_like(copy, constant))
        losses = [mask_loss_map(x.float(), batch.mask).mean((1, 2, 3)) for x in logits]
        rows.append(torch.stack(losses).view(3, 2, -1).cpu())
    errors = torch.cat(rows, 2).view(3, 2, ROUNDS, -1).mean(2)  # (3, 2, held out)
    found, copy, flat = errors.mean(1).tolist()
    with_anomaly, without = errors[0].mean(1).tolist()
    return Skill.of(found, copy, flat, MEASURED, {"with anomaly": with_anomaly, "without": without})


def _draws(
    compose: Compose, indices: Tensor, generators: Generators, purpose: str
) -> Iterator[SynthesisBatch]:
    """Batches of each image with an anomaly and once more without."""
    for number in range(ROUNDS):
        for part, chunk in enumerate(torch.split(indices, CHUNK)):
            yield compose(torch.cat([chunk, chunk]), generators(purpose, number, part))


def _fit_predictors(batches: Iterator[SynthesisBatch]) -> tuple[tuple[Tensor, Tensor], float]:
    """Logits where the guide is and where it is not, and the one of everywhere."""
    # Rows: guide, none; columns: pixels, and anomalous ones of them.
    counts = torch.zeros(2, 2, dtype=torch.float64)
    for batch in batches:
        guide, mask = batch.previous_mask.double(), batch.mask.double()
        for row, chosen in enumerate((guide, 1 - guide)):
            counts[row] += torch.stack([chosen.sum(), (chosen * mask).sum()]).cpu()
    inside, outside = (best_logit(float(hits / pixels)) for pixels, hits in counts.clamp_min(1e-9))
    pixels, hits = counts.sum(0)
    return (inside, outside), float(best_logit(float(hits / pixels)))


def best_logit(share: float) -> Tensor:
    """The logit, a scalar, that makes the mask loss smallest where `share` is anomalous."""
    logits = torch.linspace(-8, 8, 1601)
    missed, raised = (mask_loss_map(logits, torch.full_like(logits, m)) for m in (1.0, 0.0))
    return logits[(share * missed + (1 - share) * raised).argmin()]

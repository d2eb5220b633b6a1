"""Random numbers from an explicit generator, handed over on the CPU.

They are drawn on the generator's own device: a CPU generator therefore gives the same anomalies
on every device and never makes a GPU wait; a CUDA generator costs one wait a draw.
"""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """float32 of `shape`, uniform in [low, high), on the CPU."""
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return (low + (high - low) * unit).cpu()


def integers(shape: tuple[int, ...], low: int, high: int, generator: torch.Generator) -> Tensor:
    """int64 of `shape`, uniform in low..high inclusive, on the CPU."""
    return torch.randint(low, high + 1, shape, generator=generator, device=generator.device).cpu()


def permutations(count: int, length: int, generator: torch.Generator) -> Tensor:
    """int64 (count, length) on the CPU; each row a uniform permutation of 0..length-1."""
    return uniform((count, length), 0.0, 1.0, generator).argsort(dim=1)

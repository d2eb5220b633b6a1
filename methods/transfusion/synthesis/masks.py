"""Where an anomaly is, and what the previous step of the reverse process might have found of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

DropRule = Literal["code", "exact"]
THRESHOLD = 0.5


def anomaly_mask(noise: Tensor, foreground: Tensor) -> Tensor:
    """M = 1[|noise| > 0.5] * F (spec 5.1, steps 4 and 5).

    Args:
        noise: float32 (N, S, S), rotated already.
        foreground: bool (N, 1, S, S).

    Returns:
        float32 (N, 1, S, S), {0, 1}; may be empty.
    """
    return ((noise.abs() > THRESHOLD)[:, None] & foreground).float()


def simulate_previous_mask(
    noise: Tensor, foreground: Tensor, branch: Tensor, amount: Tensor, drop: DropRule = "code"
) -> Tensor:
    """The simulated previous mask, 1[|noise| > threshold] * F (spec 5.4).

    Args:
        noise: float32 (N, S, S), the map that `anomaly_mask` was cut from.
        foreground: bool (N, 1, S, S).
        branch: float32 (N,), uniform in [0, 1): a quarter each drops, shrinks, keeps, grows.
        amount: float32 (N,), uniform in [0, 1): how far to shrink or grow it.
        drop: "code" drops with the signed maximum as threshold, which lets deeper negative
            lobes through; "exact" drops everything (spec 10, row 13).

    Returns:
        float32 (N, 1, S, S), {0, 1}.
    """
    dropped = noise.amax(dim=(1, 2)) if drop == "code" else torch.full_like(branch, torch.inf)
    shrunk = THRESHOLD + (1 - THRESHOLD) * amount
    grown = THRESHOLD - THRESHOLD * amount
    kept = torch.full_like(branch, THRESHOLD)
    threshold = torch.where(branch < 0.75, kept, grown)
    threshold = torch.where(branch < 0.5, shrunk, threshold)
    threshold = torch.where(branch < 0.25, dropped, threshold)
    return ((noise.abs() > threshold[:, None, None])[:, None] & foreground).float()

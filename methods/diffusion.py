"""Diffusion helpers over diffusers' schedulers: DDIM between any two timesteps, and seeded noise.

`DDIMScheduler.step` derives the previous timestep from an even spacing of all training timesteps,
so it cannot start at an arbitrary tau and reach 0 in n steps; `ddim_step` takes both timesteps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from diffusers import DDIMScheduler
from torch import Tensor

PredictionType = Literal["epsilon", "sample"]
"""What a model predicts: the noise, or the clean sample."""

CLEAN = -1
"""The timestep of the clean sample: abar = 1."""


class Step(NamedTuple):
    """What one reverse step gives, under diffusers' names; both of the sample's shape."""

    prev_sample: Tensor
    pred_original_sample: Tensor


def cosine_scheduler(
    num_train_timesteps: int = 1000, prediction_type: PredictionType = "epsilon"
) -> Any:
    """Nichol and Dhariwal's cosine schedule (arXiv:2102.09672, eq. 17), 0-based timesteps.

    Features are not bounded, so nothing is clipped.
    """
    return DDIMScheduler(
        num_train_timesteps=num_train_timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction_type,
        clip_sample=False,
        set_alpha_to_one=True,
    )


def timestep_pairs(start: int, num_steps: int) -> list[tuple[int, int]]:
    """(timestep, previous timestep) of `num_steps` even steps from `start` to the clean sample.

    >>> timestep_pairs(300, 3)
    [(300, 200), (200, 100), (100, -1)]
    """
    timesteps = torch.linspace(start, 0, num_steps + 1, dtype=torch.float64).round().int().tolist()
    return list(pairwise([*timesteps[:-1], CLEAN]))


def predicted_noise(scheduler: Any, model_output: Tensor, timestep: int, sample: Tensor) -> Tensor:
    """The noise in `sample` that a model's output means under the scheduler's prediction type."""
    if scheduler.config.prediction_type == "epsilon":
        return model_output
    alpha = _alpha(scheduler, timestep)
    noise: Tensor = (sample - alpha**0.5 * model_output) / (1 - alpha) ** 0.5
    return noise


def ddim_step(
    scheduler: Any,
    model_output: Tensor,
    timestep: int,
    prev_timestep: int,
    sample: Tensor,
    *,
    eta: float = 0.0,
    variance_noise: Tensor | None = None,
) -> Step:
    """One reverse step of DDIM (arXiv:2010.02502, eq. 12 and 16).

    Args:
        scheduler: has `alphas` and says what the model predicts.
        prev_timestep: of the result; `CLEAN` for the denoised sample itself.
        sample: x_t.
        eta: 0 is deterministic, 1 has DDPM's variance.
        variance_noise: standard normal, of the sample's shape; needed when eta > 0.
    """
    alpha = _alpha(scheduler, timestep)
    prev_alpha = _alpha(scheduler, prev_timestep)
    noise = predicted_noise(scheduler, model_output, timestep, sample)
    # LafitE's eq. 7 prints a division by abar here: the root is needed for x_0 to come back.
    original = (sample - (1 - alpha) ** 0.5 * noise) / alpha**0.5
    sigma = eta * ((1 - prev_alpha) / (1 - alpha) * (1 - alpha / prev_alpha)) ** 0.5
    direction = max(1 - prev_alpha - sigma**2, 0.0) ** 0.5 * noise
    prev_sample = prev_alpha**0.5 * original + direction
    if sigma > 0:
        if variance_noise is None:
            raise ValueError("eta > 0 needs variance_noise")
        prev_sample = prev_sample + sigma * variance_noise
    return Step(prev_sample, original)


def _alpha(scheduler: Any, timestep: int) -> float:
    """abar at a timestep; 1 for the clean sample.

    From `alphas`, which stay on the CPU: `add_noise` moves `alphas_cumprod` to the device of its
    samples, and each look at a number there waits for all the work queued on a GPU.
    """
    return 1.0 if timestep == CLEAN else float(scheduler.alphas.cumprod(0)[timestep])


def noise_like(sample: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise of the sample's shape (B, ...): row i from `generators[i]` alone."""
    rows = [torch.randn(sample.shape[1:], generator=generator) for generator in generators]
    return torch.stack(rows).to(sample.device)

"""The refinement: an image is inpainted part by part with few steps of DDIM (paper, section 4).

B images, G grids, K sets of cells; a trajectory inpaints one set, so that P = B G K of them go
through the network together. Images are on the [-1, 1] scale. Equation numbers are the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from adbench.methods.diffusion import CLEAN, PredictionType, ddim_step
from adbench.methods.drdc.masks import inference_masks

NUM_TRAIN_TIMESTEPS = 1000

Init = Literal["qsample", "noise_fill"]
Network = Callable[[Tensor, Tensor], Tensor]
"""Called with the inputs (P, 6 or 3, H, W) and timesteps (P,); returns the noise (P, 3, H, W)."""


def linear_scheduler(prediction_type: PredictionType = "epsilon") -> Any:
    """ADM's linear schedule, beta from 1e-4 to 0.02 over 1000 timesteps, 0-based."""
    return DDIMScheduler(
        num_train_timesteps=NUM_TRAIN_TIMESTEPS,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        prediction_type=prediction_type,
        clip_sample=False,  # `refine` clips
    )


@dataclass(frozen=True)
class Conditions:
    """Which of the two conditions are on, and where the process starts.

    Attributes:
        model_condition: the network sees I_in beside x_t.
        test_time_condition: the known pixels are put back, at their noise level, in every step.
        init: the start is x_t of the image ("qsample"), or of I_in ("noise_fill"), which in the
            unknown cells is pure noise.
        clip: predicted images are clipped to [-1, 1].
    """

    model_condition: bool = True
    test_time_condition: bool = True
    init: Init = "qsample"
    clip: bool = True


class Refined(NamedTuple):
    """The predicted images of one step.

    Attributes:
        timestep: of the step.
        images: I_out, (B, G, 3, H, W): for each grid, every cell from the trajectory that had it
            unknown.
    """

    timestep: int
    images: Tensor


def refine(
    network: Network,
    images: Tensor,
    generators: Sequence[Sequence[torch.Generator]],
    *,
    timesteps: Sequence[int],
    grids: Sequence[int],
    num_sets: int = 2,
    conditions: Conditions | None = None,
) -> Iterator[Refined]:
    """Inpaint all cells of all grids, and give the predicted images of every step.

    The network is evaluated once a step, on P rows.

    Args:
        network: predicts noise.
        images: float32 (B, 3, H, W) in [-1, 1], H = W.
        generators: one for each image and grid, on the device of the images: masks and noise of
            an image come from its own alone.
        timesteps: decreasing, 0-based; the paper lists t = 0, which is a step like any other.
        grids: sides of cells; they divide H.
        num_sets: K, n_s in the paper.
        conditions: the paper's by default.
    """
    conditions = conditions or Conditions()
    scheduler, to_sample = linear_scheduler(), linear_scheduler("sample")
    # 1. masks of the unknown, and the condition: noise in the unknown cells (section 4.2)
    unknown = inference_masks(images.shape[-1], grids, num_sets, generators)
    mask = unknown.flatten(0, 2)  # (P, 1, H, W)
    draw = _NoiseSource(generators, (num_sets, *images.shape[1:]))
    clean = images.repeat_interleave(len(grids) * num_sets, 0)  # (P, 3, H, W)
    condition = torch.where(mask, draw(), clean)
    # 2. the start (eq. 3)
    start = clean if conditions.init == "qsample" else condition
    sample = add_noise(scheduler, start, draw(), timesteps[0])
    for timestep, prev_timestep in zip(timesteps, [*timesteps[1:], CLEAN], strict=True):
        # 3. predict the image (eq. 9)
        inputs = torch.cat([sample, condition], 1) if conditions.model_condition else sample
        noise = network(inputs, torch.full((len(inputs),), timestep, device=inputs.device))
        original = ddim_step(scheduler, noise, timestep, CLEAN, sample).pred_original_sample
        if conditions.clip:
            original = original.clamp(-1, 1)
        # 4. each cell from the trajectory that inpaints it (eq. 10)
        yield Refined(timestep, stitch(original, unknown))
        if prev_timestep == CLEAN:
            return
        # 5. a step of DDIM, whose noise is that of the clipped image (eq. 14, deterministic)
        sample = ddim_step(to_sample, original, timestep, prev_timestep, sample).prev_sample
        # 6. the known pixels at the new noise level (eq. 13 and 15)
        if conditions.test_time_condition:
            known = add_noise(scheduler, clean, draw(), prev_timestep)
            sample = torch.where(mask, sample, known)


def stitch(parts: Tensor, unknown: Tensor) -> Tensor:
    """I_out (B, G, 3, H, W) from the trajectories (P, 3, H, W) and masks (B, G, K, 1, H, W).

    The sum over disjoint sets, without the 1 / n_s that eq. 10 prints: with it even a perfect
    reconstruction is half as bright as the image.
    """
    own = parts.view(*unknown.shape[:3], *parts.shape[1:])  # (B, G, K, 3, H, W)
    return torch.where(unknown, own, 0).sum(2)


def add_noise(scheduler: Any, images: Tensor, noise: Tensor, timestep: int) -> Tensor:
    """x_t of images (P, 3, H, W) (eq. 3)."""
    t = torch.full((len(images),), timestep, device=images.device)
    noisy: Tensor = scheduler.add_noise(images, noise, t)
    return noisy


class _NoiseSource:
    """Standard normal noise (P, 3, H, W), the rows of an image and grid from their generator."""

    def __init__(
        self, generators: Sequence[Sequence[torch.Generator]], shape: tuple[int, ...]
    ) -> None:
        self._generators = [generator for own in generators for generator in own]
        self._shape = shape

    def __call__(self) -> Tensor:
        return torch.cat(
            [torch.randn(self._shape, generator=g, device=g.device) for g in self._generators]
        )

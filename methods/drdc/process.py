"""The refinement: an image is inpainted part by part with few steps of DDIM (paper, section 4).

B images, G grids, K sets of cells (the paper's n_s); a trajectory inpaints one set, so that
P = B G K of them go through the network together. Images are on the [-1, 1] scale. The paper's M
is 1 where an image stays known; the masks here are of the unknown, 1 - M.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from adbench.methods.diffusion import CLEAN, PredictionType, ddim_step
from adbench.methods.drdc.inpainting import Guess
from adbench.methods.drdc.settings import NUM_TRAIN_TIMESTEPS, DRDCSettings

Network = Callable[[Tensor, Tensor], Tensor]
"""Called with x_t and what is known beside it (P, 3 to 10, H, W), and timesteps (P,); returns the
noise (P, 3, H, W) or, of `prediction_type` "sample", the image or what to add to its guess."""
Inpaint = Callable[[Tensor, Tensor], Guess]
"""Called with images (P, 3, H, W) and masks of the unknown (P, 1, H, W)."""


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


class Refined(NamedTuple):
    """The predicted images of one step, I_out (B, G, 3, H, W): for each grid, every cell from the
    trajectory that had it unknown."""

    timestep: int
    images: Tensor


def refine(
    network: Network,
    images: Tensor,
    generators: Sequence[Sequence[torch.Generator]],
    settings: DRDCSettings,
    inpaint: Inpaint | None = None,
) -> Iterator[Refined]:
    """Inpaint all cells of all grids, and give the predicted images of every step.

    The network is evaluated once a step, on P rows.

    Args:
        images: float32 (B, 3, H, W) in [-1, 1], H = W.
        generators: one for each image and grid, on the device of the images: masks and noise of
            an image come from its own alone.
        inpaint: makes the guess that a preconditioned network adds to.
    """
    own = settings
    scheduler, to_sample = linear_scheduler(), linear_scheduler("sample")

    def draw() -> Tensor:  # (P, 3, H, W), the rows of an image and grid from their generator
        shape = (own.num_masks, *images.shape[1:])
        flat = [generator for pair in generators for generator in pair]
        return torch.cat([torch.randn(shape, generator=g, device=g.device) for g in flat])

    # 1. masks of the unknown, and the condition: noise in the unknown cells (section 4.2)
    unknown = inference_masks(images.shape[-1], own.grids, own.num_masks, generators)
    mask = unknown.flatten(0, 2)  # (P, 1, H, W)
    clean = images.repeat_interleave(len(own.grids) * own.num_masks, 0)  # (P, 3, H, W)
    known = known_of(clean, mask, draw(), own, inpaint)
    # 2. the start (eq. 3): x_t of the image, or of I_in, which in unknown cells is pure noise
    start = clean if own.init == "qsample" else known.filled
    sample = add_noise(scheduler, start, draw(), own.timesteps[0])
    for timestep, prev_timestep in zip(own.timesteps, [*own.timesteps[1:], CLEAN], strict=True):
        # 3. predict the image (eq. 9)
        original = known.image(network, sample, timestep, own)
        if own.clip_sample:
            original = original.clamp(-1, 1)
        # 4. each cell from the trajectory that inpaints it (eq. 10)
        yield Refined(timestep, stitch(original, unknown))
        if prev_timestep == CLEAN:
            return
        # 5. a step of DDIM, whose noise is that of the clipped image (eq. 14, deterministic)
        sample = ddim_step(to_sample, original, timestep, prev_timestep, sample).prev_sample
        # 6. the known pixels at the new noise level (eq. 13 and 15)
        if own.test_time_condition:
            put_back = add_noise(scheduler, clean, draw(), prev_timestep)
            sample = torch.where(mask, sample, put_back)


class Known(NamedTuple):
    """What the network may know of images (P, 3, H, W): I_in, with noise in the unknown cells, and,
    where the settings ask for them, the mask (P, 1, H, W) and a `guess` of the image."""

    filled: Tensor
    shown: tuple[Tensor, ...]
    guess: Guess | None

    def predict(self, network: Network, sample: Tensor, t: Tensor) -> Tensor:
        """The noise or image (P, 3, H, W) that the network sees in x_t at timesteps (P,)."""
        output = network(torch.cat([sample, *self.shown], 1), t)
        # In units of what is to be learned: else the first steps' noise is larger than that.
        return output if self.guess is None else self.guess.images + self.guess.scale * output

    def image(
        self, network: Network, sample: Tensor, timestep: int, settings: DRDCSettings
    ) -> Tensor:
        """The image (P, 3, H, W) that the network sees in x_t (eq. 9), not clipped."""
        t = torch.full((len(sample),), timestep, device=sample.device)
        output = self.predict(network, sample, t)
        scheduler = linear_scheduler(settings.prediction_type)
        return ddim_step(scheduler, output, timestep, CLEAN, sample).pred_original_sample


def known_of(
    images: Tensor,
    unknown: Tensor,
    fill: Tensor,
    settings: DRDCSettings,
    inpaint: Inpaint | None,
) -> Known:
    """Of images (P, 3, H, W) whose `unknown` cells (P, 1, H, W) are filled with the noise `fill`;
    nothing of those cells is in it. `inpaint` makes the guess, where there is to be one."""
    own, filled = settings, torch.where(unknown, fill, images)
    shown = [filled] if own.model_condition else []
    if own.mask_channel:
        shown.append(unknown.to(images.dtype))
    guess = None if inpaint is None else inpaint(images, unknown)
    if guess is not None:
        shown.append(guess.images)
    return Known(filled, tuple(shown), guess)


def signal_to_noise(t: Tensor) -> Tensor:
    """abar / (1 - abar) at timesteps (B,): an error of the image times this is one of the noise."""
    abar: Tensor = linear_scheduler().alphas_cumprod.to(t.device)[t]
    return abar / (1 - abar)


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


# ------------------------------------------------------------------------------------- masks


def split_cells(num_cells: int, num_sets: int, generator: torch.Generator) -> Tensor:
    """A set (0..num_sets-1) for each cell, int64 (num_cells,): a random split.

    The paper's |S_i| = |G| / n_s cannot be had for the 49 cells of 32 pixels at 224: sizes differ
    by one at most.
    """
    order = torch.randperm(num_cells, generator=generator, device=generator.device)
    labels = torch.empty_like(order)
    labels[order] = torch.arange(num_cells, device=order.device) % num_sets
    return labels


def grid_masks(size: int, cell: int, num_sets: int, generator: torch.Generator) -> Tensor:
    """The unknown pixels of each set, bool (num_sets, 1, size, size); every pixel is in one set.

    The side of the image is a multiple of that of a cell (the paper's c).
    """
    side = size // cell
    labels = split_cells(side**2, num_sets, generator).view(side, side)
    pixels = labels.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    sets = torch.arange(num_sets, device=labels.device)
    return pixels == sets[:, None, None, None]


def inference_masks(
    size: int,
    grids: Sequence[int],
    num_sets: int,
    generators: Sequence[Sequence[torch.Generator]],
) -> Tensor:
    """The unknown pixels of all sets, bool (B, G, K, 1, size, size), each image and grid from its
    own generator."""
    masks = [
        [grid_masks(size, cell, num_sets, own) for cell, own in zip(grids, row, strict=True)]
        for row in generators
    ]
    return torch.stack([torch.stack(row) for row in masks])


def training_masks(
    count: int, size: int, grids: Sequence[int], generator: torch.Generator
) -> Tensor:
    """Of each image one half of the cells of a random grid, bool (count, 1, size, size)."""
    # Of an odd number of cells either half may have the one that is over.
    chosen = torch.randint(2 * len(grids), (count,), generator=generator, device=generator.device)
    masks = [grid_masks(size, grids[i // 2], 2, generator)[i % 2] for i in chosen.tolist()]
    return torch.stack(masks)

"""What the UNet learned of normal images: its error where it may not look, on held-out normals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from adbench.contracts import Context, Skill
from adbench.contracts.skill import MIN_HELD_OUT, too_few
from adbench.methods.diffusion import noise_like
from adbench.methods.drdc.inpainting import GaussianInpainter
from adbench.methods.drdc.process import (
    Inpaint,
    Network,
    add_noise,
    grid_masks,
    known_of,
    linear_scheduler,
    signal_to_noise,
)
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.gaussian import Batches, GaussianModel

TIMESTEPS = (50, 150, 250)
GUESS_STEPS = 100
"""Until it changes no more; a network that is preconditioned starts from fewer."""
BLOCKS = (1, 8)
"""Sides of the blocks of pixels that the Gaussian denoiser takes as channels: the whole image is
modelled with the first, blocks of it with the second."""


@torch.inference_mode()
def measured_skill(
    network: Network,
    held_out: Tensor,
    normals: Batches,
    settings: DRDCSettings,
    context: Context,
    inpaint: Inpaint | None = None,
) -> Skill:
    """The squared error of the noise on unknown cells, against the best Gaussian guess.

    Of a noise-filled x_t, in whose unknown cells nothing of the image is left, that is the
    conditional mean given the known pixels around; of the noised image the Gaussian denoiser.

    Args:
        held_out: images (N, 3, H, W) in [-1, 1] that trained nothing; each gets one of the
            training grids in turn, half of its cells unknown.
        normals: batches of those that the network was trained on.
        inpaint: makes the guess that a preconditioned network adds to.
    """
    own, count = settings, len(held_out)
    if count < MIN_HELD_OUT:
        return Skill.unknown(too_few(count))
    timesteps = [t for t in TIMESTEPS if t < own.t_max] or [own.t_max - 1]

    def noise(*purpose: str | int) -> Tensor:
        rows = [context.generator("held-out", *purpose, index) for index in range(count)]
        return noise_like(held_out, rows)

    masks = [
        grid_masks(held_out.shape[-1], own.training_grids[i % len(own.training_grids)], 2,
                   context.generator("held-out", "mask", i))[0]
        for i in range(count)
    ]  # fmt: skip
    unknown, fill = torch.stack(masks).to(held_out.device), noise("fill")
    known = known_of(held_out, unknown, fill, own, inpaint)
    others = known_of(held_out.roll(1, 0), unknown, fill, own, inpaint)
    start = held_out if own.init == "qsample" else known.filled
    scheduler = linear_scheduler()
    samples = [add_noise(scheduler, start, noise("noise", t), t) for t in timesteps]

    def errors(guesses: Sequence[Tensor]) -> Tensor:  # predicted images to (T, N)
        squares = [_mean_over((guess - held_out).square(), unknown) for guess in guesses]
        return torch.stack(squares) * _ratios(timesteps, held_out)[:, None]

    pairs = list(zip(samples, timesteps, strict=True))
    found = errors([known.image(network, x, t, own) for x, t in pairs])
    strangers = errors([others.image(network, x, t, own) for x, t in pairs])
    mean = _mean_image(normals).to(held_out)
    trivial = errors([mean.expand_as(held_out)] * len(timesteps))
    if own.init == "noise_fill":
        model = GaussianModel.fit(normals).to(str(held_out.device))
        guess = GaussianInpainter(model, GUESS_STEPS)(held_out, unknown).images
        simple = [errors([guess] * len(timesteps)), trivial]
    else:
        trivial = torch.ones_like(trivial)  # no noise is predicted
        simple = [errors(_denoised(samples, timesteps, normals, side)) for side in BLOCKS]
    best = min(simple, key=lambda own: float(own.mean()))
    return Skill.of(
        found.mean(0).tolist(), best.mean(0).tolist(), trivial.mean(0).tolist(),
        f"squared error of the noise on unknown cells, mean over t = {timesteps}",
        {
            "timesteps": list(timesteps),
            "error_by_timestep": found.mean(1).tolist(),
            "simple_by_timestep": best.mean(1).tolist(),
            "other_condition": float(strangers.mean() / found.mean()),
        },
    )  # fmt: skip


def _denoised(
    samples: Sequence[Tensor], timesteps: Sequence[int], normals: Batches, side: int
) -> list[Tensor]:
    """The images (N, 3, H, W) that the Gaussian denoiser sees in x_t, at each timestep."""

    def blocks() -> list[Tensor]:
        return [F.pixel_unshuffle(batch, side) for batch in normals()]

    model = GaussianModel.fit(blocks).to(str(samples[0].device))
    abar = linear_scheduler().alphas_cumprod[list(timesteps)].tolist()
    return [
        F.pixel_shuffle(model.denoise(F.pixel_unshuffle(x, side), a**0.5, 1 - a), side)
        for x, a in zip(samples, abar, strict=True)
    ]


def _mean_over(squares: Tensor, mask: Tensor) -> Tensor:
    """Means (N,) of (N, 3, H, W) over channels and the pixels of masks (N, 1, H, W)."""
    return (squares.mean(1, keepdim=True) * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def _ratios(timesteps: Sequence[int], like: Tensor) -> Tensor:
    return signal_to_noise(torch.tensor(timesteps)).to(like)


def _mean_image(normals: Batches) -> Tensor:
    """(3, H, W)."""
    sums = [(batch.sum(0), len(batch)) for batch in normals()]
    return torch.stack([total for total, _ in sums]).sum(0) / sum(count for _, count in sums)

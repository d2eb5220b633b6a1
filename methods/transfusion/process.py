"""The transparency diffusion process: schedule, forward process, reverse step, sampling, final map.

Equation numbers are those of arXiv:2311.09999; where the official code differs from the text, the
code is followed and the difference is said beside the formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from adbench.methods.transfers import on_device

ScheduleKind = Literal["linear", "quadratic", "root"]
SamplingRule = Literal["code", "literal"]
Network = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""(images and mask (B, 4, H, W), t (B,)) -> anomaly, normal (B, 3, H, W), mask logit (B, 1, H, W).
"""

MASK_THRESHOLD = 0.5


@dataclass(frozen=True)
class Sampling:
    """What the reverse process visited and what it ends with. S reverse steps, B images.

    Attributes:
        timesteps: the S visited integers, in order.
        images: float32 (S, B, 3, H, W), x after each step; [-1, 1] scale, not clipped.
        mask_probabilities: float32 (S, B, 1, H, W), in [0, 1].
        m_disc: float32 (B, H, W), the mean mask, not smoothed.
        m_recon: float32 (B, H, W), the reconstruction error, not smoothed.
    """

    timesteps: tuple[int, ...]
    images: Tensor
    mask_probabilities: Tensor
    m_disc: Tensor
    m_recon: Tensor

    @property
    def reconstruction(self) -> Tensor:
        """float32 (B, 3, H, W): the last x; [-1, 1] scale, not clipped."""
        return self.images[-1]


def transparency_schedule(num_steps: int, kind: ScheduleKind = "linear") -> Tensor:
    """beta_0 = 0 to beta_{T-1} = 1, float32 (num_steps,): how opaque the anomaly is at t.

    Only the linear one is in the official code. The paper names a quadratic and a square-root one
    without formulas: u^2 and sqrt(u) of u = t / (T - 1) are our reading.
    """
    if num_steps < 3:
        raise ValueError(f"num_steps={num_steps}: sampling from T - 2 to 1 needs at least 3")
    u = torch.linspace(0, 1, num_steps)
    return {"linear": lambda: u, "quadratic": u.square, "root": u.sqrt}[kind]()


def compose(x0: Tensor, mask: Tensor, appearance: Tensor, beta: Tensor | float) -> Tensor:
    """x_t of the forward process (eq. 2).

    Args:
        x0: normal images (B, 3, H, W), in [-1, 1].
        mask: anomaly masks M (B, 1, H, W), in {0, 1}.
        appearance: anomaly appearance A (B, 3, H, W); M * A gives the same result.
        beta: opacity beta_t, one value or (B,).
    """
    opacity = _per_sample(torch.as_tensor(beta, dtype=x0.dtype, device=x0.device))
    # eq. 2: x_t = (1 - M) n + (1 - beta_t) M n + beta_t M a
    return (1 - mask) * x0 + (1 - opacity) * mask * x0 + opacity * mask * appearance


def step(
    x_t: Tensor,
    mask_probability: Tensor,
    normal: Tensor,
    anomaly_scaled: Tensor,
    t: Tensor | int,
    schedule: Tensor,
) -> Tensor:
    """x_{t-1}: the anomaly becomes more transparent where the mask is above 0.5 (eq. 4).

    eq. 4 reads x_{t-1} = x_t - delta M eps_t + delta M n_t with delta = beta_t - beta_{t-1}. As in
    the code, the anomaly head predicts beta_t M eps, hence the division by beta_t, and the mask
    is binarised.

    Args:
        x_t: images (B, 3, H, W).
        mask_probability: (B, 1, H, W), in [0, 1].
        normal: predicted normal appearance n_t (B, 3, H, W).
        anomaly_scaled: predicted anomaly appearance beta_t M eps (B, 3, H, W).
        t: timestep in 1..T-1, one integer or (B,).
        schedule: float32 (T,), see `transparency_schedule`.
    """
    index = torch.as_tensor(t, device=schedule.device)
    beta = schedule[index].to(x_t.device)
    delta = beta - schedule[index - 1].to(x_t.device)
    mask = (mask_probability > MASK_THRESHOLD).to(x_t.dtype)
    remove = _per_sample(delta / beta) * mask * anomaly_scaled
    return x_t - remove + _per_sample(delta) * mask * normal


def reverse_timesteps(num_steps: int, rule: SamplingRule = "code") -> tuple[int, ...]:
    """The timesteps of the reverse process, in order.

    The code starts at T - 2, one below the last trained timestep; "literal" starts at T - 1.
    """
    first = num_steps - 2 if rule == "code" else num_steps - 1
    return tuple(range(first, 0, -1))


def sample(
    network: Network,
    images: Tensor,
    schedule: Tensor,
    *,
    rule: SamplingRule = "code",
    guided: bool = True,
) -> Sampling:
    """The reverse process from the images under test to their reconstruction.

    Args:
        network: see `Network`.
        images: (B, 3, H, W), in [-1, 1].
        schedule: float32 (T,).
        rule: see `reverse_timesteps`.
        guided: false feeds an empty mask at every step, for a network trained without.
    """
    schedule = schedule.to(images.device)
    timesteps = reverse_timesteps(len(schedule), rule)
    x, mask = images, images.new_zeros(len(images), 1, *images.shape[2:])
    trajectory, probabilities = [], []
    for timestep in timesteps:
        t = torch.full((len(images),), timestep, device=images.device)
        # 1. appearance of the anomaly and of the normal image, and the mask
        anomaly, normal, mask_logit = network(torch.cat([x, mask], 1), t)
        probability = mask_logit.float().sigmoid()
        # 2. one step towards the normal image (eq. 4)
        x = step(x, probability, normal.float(), anomaly.float(), t, schedule)
        # 3. the mask guides the next step
        if guided:
            mask = (probability > MASK_THRESHOLD).to(mask.dtype)
        trajectory.append(x)
        probabilities.append(probability)
    masks = torch.stack(probabilities)  # (S, B, 1, H, W)
    # The mean mask; the code divides its T - 2 masks by T - 1, as if it had started at T - 1.
    m_disc = masks.sum(0)[:, 0] / (len(schedule) - 1)
    m_recon = reconstruction_error(images, x)
    return Sampling(timesteps, torch.stack(trajectory), masks, m_disc, m_recon)


def reconstruction_error(images: Tensor, reconstruction: Tensor) -> Tensor:
    """M_recon (B, H, W): squared error of both (B, 3, H, W), clipped to [0, 1], channel mean."""
    restored = (reconstruction / 2 + 0.5).clamp(0, 1)
    return ((images / 2 + 0.5).clamp(0, 1) - restored).square().mean(1)


def final_map(m_disc: Tensor, m_recon: Tensor, weight: float = 0.95, kernel: int = 7) -> Tensor:
    """The anomaly map (B, H, W): lambda mean(M_disc) + (1 - lambda) mean(M_recon).

    Args:
        m_disc: (B, H, W).
        m_recon: (B, H, W).
        weight: lambda, the share of `m_disc`.
        kernel: odd side of the mean filter; it pads with zeros, which dampens the border.
    """
    combined = weight * m_disc + (1 - weight) * m_recon  # smoothing is linear: once is enough
    return F.avg_pool2d(combined[:, None], kernel, stride=1, padding=kernel // 2)[:, 0]


def to_unit_range(levels: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return (levels.float() / 255 - 0.5) * 2


def images_of(pixels: NDArray[np.uint8], device: str) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [-1, 1] on `device`."""
    return to_unit_range(on_device(torch.from_numpy(np.array(pixels)), device).permute(0, 3, 1, 2))


def _per_sample(values: Tensor) -> Tensor:
    """(B,) or a scalar, to be broadcast over (B, C, H, W)."""
    return values.reshape(-1, 1, 1, 1)

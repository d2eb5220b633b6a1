"""TransFusion's training loss: its four terms and their sum (arXiv:2311.09999, eq. 5 to 7).

Everything is computed in float32: in bfloat16 the variances inside SSIM would vanish. Means go
over all elements of the batch, clean samples included.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from adbench.methods.transfusion.process import step

SSIMRange = Literal["data", "fixed"]
Term = Literal["anomaly", "mask", "normal", "consistency"]
TERMS: tuple[Term, ...] = ("anomaly", "mask", "normal", "consistency")

FOCAL_WEIGHT = 5.0
FOCAL_GAMMA = 2.0
FOCAL_ALPHA = 0.25
"""Weight of anomalous pixels in the focal loss; normal ones have 1 - alpha."""
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5


class Outputs(NamedTuple):
    """What the network gives, float32 or lower: its three heads, in the official order."""

    anomaly_scaled: Tensor
    """(B, 3, H, W), predicted beta_t M A."""
    normal: Tensor
    """(B, 3, H, W), predicted x_0."""
    mask_logit: Tensor
    """(B, 1, H, W)."""


class Targets(NamedTuple):
    """What one training batch should give. B samples; everything is already rotated."""

    anomaly_scaled: Tensor
    """float32 (B, 3, H, W): beta_t M A over the whole image, 0 outside M."""
    normal: Tensor
    """float32 (B, 3, H, W): x_0, in [-1, 1]."""
    mask: Tensor
    """float32 (B, 1, H, W): M, in {0, 1}."""
    x_t: Tensor
    """float32 (B, 3, H, W): what the network saw."""
    t: Tensor
    """int64 (B,), in 1..T-1."""


class LossTerms(NamedTuple):
    """The four terms, scalars; one that is switched off is zero."""

    anomaly: Tensor
    mask: Tensor
    normal: Tensor
    consistency: Tensor

    @property
    def total(self) -> Tensor:
        """L = L_a + L_m + L_n + L_c, all with weight 1."""
        return self.anomaly + self.mask + self.normal + self.consistency


def transfusion_loss(
    outputs: Outputs | tuple[Tensor, Tensor, Tensor],
    targets: Targets,
    schedule: Tensor,
    *,
    terms: Collection[Term] = TERMS,
    ssim_range: SSIMRange = "data",
) -> LossTerms:
    """All terms of the loss.

    Args:
        outputs: of the network, see `Outputs`.
        targets: see `Targets`.
        schedule: float32 (T,).
        terms: those that count.
        ssim_range: see `ssim`.
    """
    with torch.autocast(targets.x_t.device.type, enabled=False):
        own = Outputs(*(output.float() for output in outputs))
        zero = own.normal.new_zeros(())
        return LossTerms(
            anomaly_loss(own.anomaly_scaled, targets.anomaly_scaled)
            if "anomaly" in terms
            else zero,
            mask_loss(own.mask_logit, targets.mask) if "mask" in terms else zero,
            normal_loss(own.normal, targets.normal, ssim_range) if "normal" in terms else zero,
            consistency_loss(own, targets, schedule) if "consistency" in terms else zero,
        )


def anomaly_loss(anomaly_scaled: Tensor, target: Tensor) -> Tensor:
    """L_a (eq. 7): squared error over the whole image.

    The paper's target is M A; the code's, used here, is beta_t M A, which eq. 4 then divides by
    beta_t.
    """
    return F.mse_loss(anomaly_scaled, target)


def mask_loss(mask_logit: Tensor, mask: Tensor) -> Tensor:
    """L_m (eq. 6): 5 focal(M_t, M) + smooth L1(M_t, M)."""
    return FOCAL_WEIGHT * focal_map(mask_logit, mask).mean() + F.smooth_l1_loss(
        mask_logit.sigmoid(), mask
    )


def focal_map(mask_logit: Tensor, mask: Tensor) -> Tensor:
    """Focal loss of each pixel: alpha_t (1 - p_t)^2 (-log p_t) (arXiv:1708.02002, eq. 5)."""
    probability = mask_logit.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(mask_logit, mask, reduction="none")
    missed = probability * (1 - mask) + (1 - probability) * mask  # 1 - p_t
    alpha = FOCAL_ALPHA * mask + (1 - FOCAL_ALPHA) * (1 - mask)
    return alpha * missed**FOCAL_GAMMA * cross_entropy


def normal_loss(normal: Tensor, x0: Tensor, ssim_range: SSIMRange = "data") -> Tensor:
    """L_n (eq. 5): (1 - SSIM) + L1; the paper prints SSIM for 1 - SSIM."""
    return 1 - ssim(normal, x0, ssim_range) + F.l1_loss(normal, x0)


def consistency_loss(outputs: Outputs, targets: Targets, schedule: Tensor) -> Tensor:
    """L_c: squared error of x_{t-1} by prediction against x_{t-1} by ground truth (eq. 4).

    `step` binarises the mask, so that no gradient reaches the mask head through this term.
    """
    x_t, t = targets.x_t, targets.t
    predicted = step(
        x_t, outputs.mask_logit.sigmoid(), outputs.normal, outputs.anomaly_scaled, t, schedule
    )
    actual = step(x_t, targets.mask, targets.normal, targets.anomaly_scaled, t, schedule)
    return F.mse_loss(predicted, actual)


def ssim(first: Tensor, second: Tensor, dynamic_range: SSIMRange = "data") -> Tensor:
    """Mean structural similarity of (B, C, H, W): a scalar, 1 for equal images."""
    return ssim_map(first, second, dynamic_range).mean()


def ssim_map(first: Tensor, second: Tensor, dynamic_range: SSIMRange = "data") -> Tensor:
    """Structural similarity of each pixel, of the inputs' shape (Wang et al., 2004, eq. 13).

    An 11 x 11 Gaussian window, zero padding, biased moments.

    Args:
        first: (B, C, H, W), the prediction; under "data" it alone decides the range.
        second: (B, C, H, W).
        dynamic_range: "data" is the code's guess of the value range from the whole batch, which
            jumps from 2 to 1 while no pixel of `first` is below -0.5; "fixed" is 2.
    """
    span = data_range(first.detach()) if dynamic_range == "data" else first.new_tensor(2.0)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    moments = _gaussian_filter(
        torch.stack([first, second, first * first, second * second, first * second])
    )
    mean1, mean2, square1, square2, product = moments.unbind()
    variances = (square1 - mean1**2) + (square2 - mean2**2)
    covariance = product - mean1 * mean2
    luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def data_range(images: Tensor) -> Tensor:
    """L: 255 or 1, plus 1 where a value is below -0.5; on the device, so that nothing waits."""
    highest = torch.where(images.amax() > 128, 255.0, 1.0)
    lowest = torch.where(images.amin() < -0.5, -1.0, 0.0)
    return highest - lowest


def gaussian_window(size: int = SSIM_WINDOW, sigma: float = SSIM_SIGMA) -> Tensor:
    """The normalised Gaussian (size,), float32."""
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    return torch.softmax(-(offsets**2) / (2 * sigma**2), 0).float()


def _gaussian_filter(images: Tensor) -> Tensor:
    """Filter the last two axes of (..., H, W) with zero padding."""
    window = gaussian_window().to(images.device)
    *_, height, width = images.shape
    flat = images.reshape(-1, 1, height, width)
    rows = F.conv2d(flat, window.view(1, 1, -1, 1), padding=(SSIM_WINDOW // 2, 0))
    both = F.conv2d(rows, window.view(1, 1, 1, -1), padding=(0, SSIM_WINDOW // 2))
    return both.reshape(images.shape)

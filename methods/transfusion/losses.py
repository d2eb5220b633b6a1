"""TransFusion's training loss: its four terms and their sum (arXiv:2311.09999, eq. 5 to 7).

Everything is computed in float32: in bfloat16 the variances inside SSIM would vanish. Means go
over all elements of the batch, clean samples included.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from adbench.methods.transfusion.process import step
from adbench.methods.transfusion.synthesis import SynthesisBatch

SSIMRange = Literal["data", "fixed"]
TERMS = ("anomaly", "mask", "normal", "consistency")

FOCAL_WEIGHT = 5.0
FOCAL_GAMMA = 2.0
FOCAL_ALPHA = 0.25
"""Weight of anomalous pixels in the focal loss; normal ones have 1 - alpha."""
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5


def transfusion_loss(
    outputs: tuple[Tensor, Tensor, Tensor],
    batch: SynthesisBatch,
    schedule: Tensor,
    *,
    terms: Collection[str] = TERMS,
    ssim_range: SSIMRange = "data",
) -> dict[str, Tensor]:
    """Those of the four terms that are asked for, scalars; L is their sum, all with weight 1.

    Args:
        outputs: of the network, float32 or lower.
        batch: the targets.
        schedule: float32 (T,).
        ssim_range: see `ssim`.
    """
    with torch.autocast(batch.x_t.device.type, enabled=False):
        anomaly, normal, mask_logit = (output.float() for output in outputs)
        every: dict[str, Callable[[], Tensor]] = {
            "anomaly": lambda: anomaly_loss(anomaly, batch.anomaly_scaled),
            "mask": lambda: mask_loss(mask_logit, batch.mask),
            "normal": lambda: normal_loss(normal, batch.normal, ssim_range),
            "consistency": lambda: consistency_loss(anomaly, normal, mask_logit, batch, schedule),
        }
        return {term: every[term]() for term in TERMS if term in terms}


def anomaly_loss(anomaly_scaled: Tensor, target: Tensor) -> Tensor:
    """L_a (eq. 7): squared error over the whole image.

    The paper's target is M A; the code's, used here, is beta_t M A, which eq. 4 then divides by
    beta_t.
    """
    return F.mse_loss(anomaly_scaled, target)


def mask_loss(mask_logit: Tensor, mask: Tensor) -> Tensor:
    """L_m (eq. 6): 5 focal(M_t, M) + smooth L1(M_t, M)."""
    return mask_loss_map(mask_logit, mask).mean()


def mask_loss_map(mask_logit: Tensor, mask: Tensor) -> Tensor:
    """L_m of each pixel."""
    smooth_l1 = F.smooth_l1_loss(mask_logit.sigmoid(), mask, reduction="none")
    return FOCAL_WEIGHT * focal_map(mask_logit, mask) + smooth_l1


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


def consistency_loss(
    anomaly_scaled: Tensor,
    normal: Tensor,
    mask_logit: Tensor,
    batch: SynthesisBatch,
    schedule: Tensor,
) -> Tensor:
    """L_c: squared error of x_{t-1} by prediction against x_{t-1} by ground truth (eq. 4).

    `step` binarises the mask, so that no gradient reaches the mask head through this term.
    """
    x_t, t = batch.x_t, batch.t
    predicted = step(x_t, mask_logit.sigmoid(), normal, anomaly_scaled, t, schedule)
    actual = step(x_t, batch.mask, batch.normal, batch.anomaly_scaled, t, schedule)
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

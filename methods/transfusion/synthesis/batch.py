"""What one call of `synthesise` gives to the network and to the loss. B, H, W as the images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SynthesisBatch:
    """One training batch: network inputs, and the targets of the loss (spec sections 5 and 6).

    The first floor(B/2) samples (B = 1: that one) carry a synthetic anomaly M * A; for the
    others `mask`, `previous_mask` and `anomaly` are zero and `x_t` equals `normal`. Everything
    is already rotated (section 6.4); pixels from outside a rotated image are 0 everywhere.
    All tensors are on the images' device and hold no gradient.

    Attributes:
        x_t: float32 (B, 3, H, W), in [-1, 1]; eq. 2 at `t`. A network input.
        previous_mask: float32 (B, 1, H, W), {0, 1}; the simulated previous mask, 0 where
            t = T - 1. A network input.
        t: int64 (B,), in 1..T-1; index into the schedule. A network input.
        normal: float32 (B, 3, H, W), in [-1, 1]; x_0, target of the normal appearance head.
        mask: float32 (B, 1, H, W), {0, 1}; M, target of the mask head.
        anomaly: float32 (B, 3, H, W), in [-1, 1]; eps = M * A, not scaled by beta_t.
        anomaly_scaled: float32 (B, 3, H, W), in [-1, 1]; beta_t * M * A over the whole image,
            target of the anomaly appearance head (section 6.1).
    """

    x_t: Tensor
    previous_mask: Tensor
    t: Tensor
    normal: Tensor
    mask: Tensor
    anomaly: Tensor
    anomaly_scaled: Tensor

    @property
    def network_input(self) -> Tensor:
        """float32 (B, 4, H, W): `x_t` and `previous_mask` on the channels (spec section 3)."""
        return torch.cat([self.x_t, self.previous_mask], dim=1)

"""From host memory to a device."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: str | torch.device) -> Tensor:
    """The tensor on `device`; to a GPU from pinned memory, so that the host does not wait."""
    if torch.device(device).type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)

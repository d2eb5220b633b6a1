"""Reading state dicts from files of trained weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from adbench.errors import MethodError


def read_state_dict(file: Path, inside: str, advice: str) -> dict[str, Tensor]:
    """Names to tensors from a .safetensors file or one that torch saved, where they may be one
    level down under the name `inside`. No pickled code runs.

    Raises:
        MethodError: the file holds no state dict; its text ends with `advice`.
    """
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        reason = " ".join(str(error).split())[:160]
        raise MethodError(f"cannot read weights from {file.name}: {reason}; {advice}") from error
    state = state.get(inside, state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise MethodError(f"{file.name} holds no state dict (names to tensors); {advice}")
    return state

"""The official checkpoints: their names for the network's tensors, and how they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adbench.errors import MethodError

_RENAMES = (
    (r"^image_proj\.", "stem."),
    (r"^time_emb\.linear_1\.", "time_embedding.expand."),
    (r"^time_emb\.linear_2\.", "time_embedding.project."),
    (r"\.res(\d?)\.", r".residual\1."),
    (r"\.attn\.", ".attention."),
    (r"\.time_emb\.", ".time."),
    (r"^norm\.", "anomaly_norm."),
    (r"^final\.", "anomaly_head."),
    (r"^final_mean\.", "normal_head."),
    (r"^final_seg\.", "mask_head."),
)
"""Patterns of the official UNet's names and what replaces them, applied in this order."""

_WRAPPERS = ("module.", "model.")
"""The official training wraps the UNet, so that its saved names begin with "model."."""

_NOT_THE_NETWORK = ("pos_emb.", "ssim_loss.", "noise_generator.")
"""Buffers that follow from the code."""


def own_name(official: str) -> str:
    """Our name of a tensor of the official UNet.

    >>> own_name("down.6.attn.projection.weight")
    'down.6.attention.projection.weight'
    """
    name = official
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def load_official_state_dict(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill `network` with a state dict under the official names.

    Args:
        network: a `TransFusionUNet` of the official size.
        state: of the official UNet, with or without the name of its wrapper in front.

    Raises:
        MethodError: a tensor is missing, left over or of another shape.
    """
    renamed = {own_name(name): tensor for name, tensor in _network_part(state).items()}
    expected = network.state_dict()
    # Older BatchNorms do not count their batches, and nothing depends on the count.
    renamed.setdefault("mask_head.norm.num_batches_tracked", torch.tensor(0))
    missing, left_over = expected.keys() - renamed.keys(), renamed.keys() - expected.keys()
    wrong = [n for n in expected.keys() & renamed.keys() if expected[n].shape != renamed[n].shape]
    if missing or left_over or wrong:
        example = sorted([*missing, *left_over, *wrong])[0]
        raise MethodError(
            f"these weights do not fit the network: {len(missing)} tensors are missing, "
            f"{len(left_over)} left over, {len(wrong)} of another shape (one is {example}); "
            f"expected the RGB checkpoint of the official code, {len(expected)} tensors at width "
            "64 with 4 levels, 2 blocks and 2 attention_levels"
        )
    network.load_state_dict(renamed)


def read_checkpoint(file: Path) -> tuple[dict[str, Tensor], str]:
    """The state dict of a .pkl, .pth or .safetensors file, and the file's SHA-256 (hex).

    No pickled code runs. What the official training writes half-way is accepted as well.

    Raises:
        MethodError: the file holds no state dict.
    """
    try:
        content = file.read_bytes()
        state: Any = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise MethodError(
            f"cannot read weights from {file.name}: {' '.join(str(error).split())[:160]}; expected "
            "a state dict of tensors, like the official <category>_model.pkl"
        ) from error
    if isinstance(state, dict):
        state = state.get("net_state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise MethodError(
            f"{file.name} holds no state dict (names to tensors): expected the official "
            "<category>_model.pkl or a .safetensors file with the same names"
        )
    return state, hashlib.sha256(content).hexdigest()


def _network_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The UNet's own tensors, without the wrappers' names."""
    part = {}
    for name, tensor in state.items():
        for wrapper in _WRAPPERS:
            name = name.removeprefix(wrapper)
        if not name.startswith(_NOT_THE_NETWORK):
            part[name] = tensor
    return part

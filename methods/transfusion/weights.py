"""The official checkpoints: their names for the network's tensors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from adbench.contracts.method import CATEGORY
from adbench.errors import MethodError
from adbench.methods.weight_files import read_state_dict

_RENAMES = (
    (r"^((module|model)\.)*", ""),  # the official training wraps the UNet
    (r"^image_proj\.", "stem."),
    (r"^time_emb\.linear_1\.", "time_embedding.expand."),
    (r"^time_emb\.linear_2\.", "time_embedding.project."),
    (r"^middle\.(res1|attn)\.", r"middle.0.\1."),
    (r"^middle\.res2\.", "middle.1."),
    (r"\.res1?\.", ".residual."),
    (r"\.attn\.", ".attention."),
    (r"\.time_emb\.", ".time."),
    (r"^(down|up)\.(\d+)\.conv\.", r"\1.\2."),
    (r"^norm\.", "anomaly_norm."),
    (r"^final\.", "anomaly_head."),
    (r"^final_mean\.", "normal_head."),
    (r"^final_seg\.", "mask_head."),
)
"""Patterns of the official UNet's names and what replaces them, applied in this order."""

_NOT_THE_NETWORK = ("pos_emb.", "ssim_loss.", "noise_generator.")
"""Buffers that follow from the code."""


def own_name(official: str) -> str:
    """Our name of a tensor of the official UNet.

    >>> own_name("model.down.6.attn.projection.weight")
    'down.6.attention.projection.weight'
    """
    name = official
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


SUFFIXES = ("_model.pkl", "_model.safetensors", ".pkl", ".safetensors")
"""After the category, of a file in a folder; the first is the official code's."""


def checkpoint_of(source: Path, categories: Collection[str]) -> Path:
    """The category's file in `source`: that file, a folder, or a path with `CATEGORY` in it.

    Raises:
        MethodError: there is none, it is another category's, or there are several categories.
    """
    several = "a folder of <category>_model.pkl, or a path with {category} in it"
    if len(categories) != 1:
        raise MethodError(
            f"found weights={source.name} for {len(categories)} categories in one model, but the "
            f"official weights know one category each: expected --scope separate and {several}"
        )
    (category,) = categories
    if source.is_dir():
        files = [source / f"{category}{suffix}" for suffix in SUFFIXES]
    else:
        files = [Path(str(source).replace(CATEGORY, category))]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise MethodError(
            f"found no weights of {category} in {source.name}, expected {files[0].name}"
        )
    owner = found.stem.removesuffix("_model")
    if owner not in (found.stem, category):
        raise MethodError(
            f"found the weights of {owner} ({found.name}) for {category}: for several categories "
            f"expected {several}; for this one {category}_model.pkl"
        )
    return found


def load_checkpoint(network: nn.Module, file: Path) -> str:
    """Fill `network` from an official checkpoint, whole or as written half-way through training;
    the file's SHA-256 (hex). Raises `MethodError`."""
    advice = (
        "expected the official <category>_model.pkl, or a .safetensors file with the same names"
    )
    load_official_state_dict(network, read_state_dict(file, "net_state_dict", advice))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load_official_state_dict(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill a `TransFusionUNet` of the official size with a state dict under the official names.

    Raises:
        MethodError: a tensor is missing, left over or of another shape.
    """
    named = {own_name(name): tensor for name, tensor in state.items()}
    renamed = {name: t for name, t in named.items() if not name.startswith(_NOT_THE_NETWORK)}
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

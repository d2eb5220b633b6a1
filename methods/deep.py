"""The shell of methods that learn tensors: what they save, load and say of themselves.

A subclass fits and predicts as its paper says, and names what it has learned; training itself is
`adbench.methods.training`. Nothing heavy is imported at module level: listing methods is instant.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from adbench.contracts import JSON, Context, Geometry, Images, Method, Skill
from adbench.contracts.skill import NO_NETWORK
from adbench.methods import costs
from adbench.methods.settings import BackboneSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from adbench.methods.features import FeatureExtractor

Resize = Literal["bilinear", "area"]
TENSORS, STATE = "model.safetensors", "state.json"


class DeepMethod(Method):
    """A method whose learned state is named tensors, with `protocol_`, `diagnostics_` and `skill_`
    beside; a `fit` that trains a network sets the last.

    A new one has `fit`, `predict`, `learned`, `restore` and `networks`.
    """

    splits_batches = True

    protocol_: dict[str, JSON]
    diagnostics_: dict[str, JSON]
    network_: Any
    skill_: Skill = Skill.unknown(NO_NETWORK)

    @abstractmethod
    def learned(self) -> dict[str, Tensor]:
        """All that `fit` has learned, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        """Take over what `learned` gave. `protocol_` and `diagnostics_` are those of the fit."""

    @abstractmethod
    def networks(self) -> list[nn.Module]:
        """All that `predict` evaluates."""

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in self.learned().items()}
        save_file(tensors, folder / TENSORS)
        state = {"protocol": self.protocol_, "diagnostics": self.diagnostics_,
                 "skill": asdict(self.skill_)}  # fmt: skip
        (folder / STATE).write_text(json.dumps(state, indent=1, allow_nan=False) + "\n")

    def load(self, folder: Path, context: Context) -> Self:
        from safetensors.torch import load_file

        state = json.loads((folder / STATE).read_text())
        self.protocol_, self.diagnostics_ = state["protocol"], state["diagnostics"]
        self.skill_ = Skill(**state["skill"])
        self.restore(load_file(folder / TENSORS), context)
        return self

    def after(self, step: int, network: nn.Module) -> Self:
        """For a snapshot: what is fitted so far, with `network_` as it is after so many of its
        `steps`. What the method learns from a trained network is still to be learned."""
        own, other = self.hyperparameters, copy(self)
        other.hyperparameters = type(own)(**{**dict(own), "steps": step})
        other.protocol_, other.diagnostics_ = dict(self.protocol_), dict(self.diagnostics_)
        other.network_ = network
        return other

    def protocol(self) -> dict[str, JSON]:
        return self.protocol_

    def diagnostics(self) -> dict[str, JSON]:
        return self.diagnostics_

    def skill(self) -> Skill:
        return self.skill_

    def num_parameters(self) -> int:
        return sum(p.numel() for network in self.networks() for p in network.parameters())


class FeatureMethod(DeepMethod):
    """A method on the features (B, S, S, C) of a frozen backbone, `extractor_`."""

    hyperparameters: BackboneSettings
    extractor_: FeatureExtractor

    @property
    @abstractmethod
    def map_size(self) -> int:
        """S."""

    @property
    def resize(self) -> Resize:
        """How the backbone's stages come to that side."""
        return "bilinear"

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def features(self, train: Images, context: Context) -> NDArray[np.float32]:
        """Those of the training images (N, S, S, C), by the backbone that is taken here."""
        from adbench.methods.features import cached_features

        self._take_backbone(context)
        own, weights = self.hyperparameters, self.extractor_.weights_sha256
        self.protocol_ = {"backbone": own.backbone, "weights_sha256": weights}
        self.diagnostics_ = {}
        return cached_features(self.extractor_, train, context)

    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        recorded = str(self.protocol_["weights_sha256"])
        self._take_backbone(context)
        self.extractor_.require_weights(recorded)

    def _take_backbone(self, context: Context) -> None:
        from adbench.methods import features

        own = self.hyperparameters
        self.extractor_ = features.FeatureExtractor(
            own.backbone, own.weights, self.map_size, self.resize
        ).to(context.device)

    def feature_flops(self) -> float:
        """Of the features of one image."""
        return costs.feature_flops(self.hyperparameters.backbone, self.hyperparameters.image_size)

    def search_estimate(self, num_images: int, num_centers: int) -> float:
        """Of looking up each slice of so many images in a coreset."""
        return costs.distance_flops(num_images * self.map_size**2, num_centers, self.channels)

    @property
    def channels(self) -> int:
        """C, estimated before fit."""
        return costs.backbone_cost(self.hyperparameters.backbone).channels


def named(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors under `prefix.`, for `learned`."""
    return {f"{prefix}.{name}": tensor for name, tensor in network.state_dict().items()}


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `prefix.`, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network its trained weights; as after training it is frozen."""
    network.load_state_dict(dict(tensors))
    network.requires_grad_(False).eval()

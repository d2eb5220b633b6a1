"""UniAD: one transformer that reconstructs the features of all categories.

You, Cui, Shen, Yang, Lu, Zheng, Le, NeurIPS 2022, arXiv:2206.03687. Section numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench import contracts
from adbench.contracts import JSON, Context, Geometry, Images, Method, MethodCard, Prediction
from adbench.methods import costs
from adbench.methods.uniad.card import CARD
from adbench.methods.uniad.costs import transformer_flops
from adbench.methods.uniad.hyperparameters import UniADHyperparameters
from adbench.methods.uniad.presets import PRESETS

if TYPE_CHECKING:
    from adbench.methods.uniad.fitting import UniADDetector


class UniAD(Method):
    """Distance of frozen features to their reconstruction by a masked transformer.

    Learned by `fit`: `detector_` (backbone, transformer and, with feature editing, a coreset of
    normal slices) and `diagnostics_` (what training did).
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters: ClassVar[type[contracts.Hyperparameters]] = UniADHyperparameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    splits_batches = True

    hyperparameters: UniADHyperparameters
    detector_: UniADDetector
    diagnostics_: dict[str, JSON]

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods.uniad.fitting import fit_base

        self.detector_, self.diagnostics_ = fit_base(self.hyperparameters, train, context)
        return self

    def predict(self, images: Images) -> Prediction:
        from adbench.methods import scoring
        from adbench.methods.uniad.scoring import base_maps

        maps = base_maps(self.detector_, self.hyperparameters, images)
        scores = scoring.pooled_maximum(maps, self.hyperparameters.pool_kernel)
        return Prediction(maps.cpu().numpy(), scores.cpu().numpy())

    def save(self, folder: Path) -> None:
        from adbench.methods.uniad.storage import save_base

        save_base(folder, self.detector_, self.diagnostics_)

    def load(self, folder: Path, context: Context) -> Self:
        from adbench.methods.uniad.storage import load_base

        self.detector_, self.diagnostics_ = load_base(folder, self.hyperparameters, context)
        return self

    def protocol(self) -> dict[str, JSON]:
        return {
            "backbone": self.hyperparameters.backbone,
            "weights_sha256": self.detector_.extractor.weights_sha256,
        }

    def diagnostics(self) -> dict[str, JSON]:
        return self.diagnostics_

    def num_parameters(self) -> int:
        own = sum(parameter.numel() for parameter in self.detector_.network.parameters())
        return self.detector_.extractor.num_parameters() + own

    def search_flops(self) -> float:
        if self.detector_.editor is None:
            return 0.0
        return self.detector_.editor.search.flops(self.hyperparameters.feature_size**2)

    def training_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        # A backward pass costs twice the forward one.
        total = 3 * own.num_steps(num_train) * own.batch_size * self._network_estimate()
        total += num_train * costs.feature_flops(own.backbone, own.image_size)
        return total + (self._search_estimate(num_train, num_train) if own.feature_editing else 0)

    def inference_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        total = costs.feature_flops(own.backbone, own.image_size) + self._network_estimate()
        return total + (self._search_estimate(1, num_train) if own.feature_editing else 0)

    def _search_estimate(self, num_images: int, num_train: int) -> float:
        own = self.hyperparameters
        channels = costs.backbone_cost(own.backbone).channels
        slices = num_images * own.feature_size**2
        return costs.distance_flops(slices, own.num_centers(num_train), channels)

    def _network_estimate(self) -> float:
        own = self.hyperparameters
        channels = costs.backbone_cost(own.backbone).channels
        return transformer_flops(channels, own.feature_size**2, own.hidden, own.ffn, own.layers)

"""TransFusion: transparency-based diffusion, one model for each category.

Fucka, Zavrtanik, Skocaj, ECCV 2024, arXiv:2311.09999. Equation numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench import contracts
from adbench.contracts import JSON, Context, Geometry, Images, Method, MethodCard, Prediction
from adbench.methods.transfusion.card import CARD
from adbench.methods.transfusion.costs import forward_flops
from adbench.methods.transfusion.hyperparameters import TransFusionHyperparameters
from adbench.methods.transfusion.presets import PRESETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adbench.methods.transfusion.fitting import Detector


class TransFusion(Method):
    """Transparency-based diffusion.

    Learned by `fit`: `detector_` (the network and what training did).
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters: ClassVar[type[contracts.Hyperparameters]] = TransFusionHyperparameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    splits_batches = True

    hyperparameters: TransFusionHyperparameters
    detector_: Detector

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size, self.hyperparameters.crop)

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods.transfusion.fitting import fit_detector

        self.detector_ = fit_detector(self.hyperparameters, train, context)
        return self

    def predict(self, images: Images) -> Prediction:
        from adbench.methods.transfusion.scoring import anomaly_maps

        maps = anomaly_maps(self.detector_, self.hyperparameters, images)
        # The image score is the highest value of its map.
        return Prediction(maps.numpy(), maps.amax((1, 2)).numpy())

    def intermediates(self, images: Images) -> dict[str, NDArray[Any]]:
        from adbench.methods.transfusion.scoring import pictures

        return pictures(self.detector_, self.hyperparameters, images)

    def save(self, folder: Path) -> None:
        from adbench.methods.transfusion.storage import save_detector

        save_detector(folder, self.detector_)

    def load(self, folder: Path, context: Context) -> Self:
        from adbench.methods.transfusion.storage import load_detector

        self.detector_ = load_detector(folder, self.hyperparameters, context)
        return self

    @property
    def batch_size(self) -> int:
        return self.detector_.chunk if hasattr(self, "detector_") else 1

    def protocol(self) -> dict[str, JSON]:
        return self.detector_.protocol

    def diagnostics(self) -> dict[str, JSON]:
        return self.detector_.diagnostics

    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.detector_.network.parameters())

    def training_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        # A backward pass costs twice the forward one.
        return 3 * own.optimiser_steps(num_train) * own.batch_size * self._forward_flops()

    def inference_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        evaluations = own.num_steps - (2 if own.sampling == "code" else 1)
        return evaluations * self._forward_flops()

    def _forward_flops(self) -> float:
        own = self.hyperparameters
        return forward_flops(own.size, own.width, own.levels, own.blocks, own.attention_levels)

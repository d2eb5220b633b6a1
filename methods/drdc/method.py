"""DRDC: diffusion refinement with dual conditioning, one model for all categories of a data set.

Zhan, Lai, Gao, Liu, Chen, Wang, arXiv:2407.01905. Equation and section numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench import contracts
from adbench.contracts import JSON, Context, Geometry, Images, Method, MethodCard, Prediction
from adbench.methods.drdc.card import CARD
from adbench.methods.drdc.hyperparameters import DRDCHyperparameters
from adbench.methods.drdc.presets import PRESETS
from adbench.methods.uniad.method import UniAD

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from adbench.methods.drdc.fitting import Detector
    from adbench.methods.drdc.scoring import Scorer


class DRDC(Method):
    """Feature reconstruction, refined by inpainting with a diffusion model.

    Learned by `fit`: `detector_` (the base branch, the UNet and what training did).
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters: ClassVar[type[contracts.Hyperparameters]] = DRDCHyperparameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    splits_batches = True

    hyperparameters: DRDCHyperparameters
    detector_: Detector

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods.drdc.fitting import fit_detector

        return self._take(fit_detector(self.hyperparameters, train, context), context)

    def predict(self, images: Images) -> Prediction:
        from adbench.methods.scoring import pooled_maximum

        def scored(maps: Tensor) -> Prediction:
            scores = pooled_maximum(maps, self.hyperparameters.pool_kernel)
            return Prediction(maps.cpu().numpy(), scores.cpu().numpy())

        maps, parts = self._scorer.maps(images)
        # Section 6: all three scores are reported, whatever the fusion makes of two of them.
        return replace(scored(maps), parts={name: scored(own) for name, own in parts.items()})

    def intermediates(self, images: Images) -> dict[str, NDArray[Any]]:
        return self._scorer.pictures(images)

    def save(self, folder: Path) -> None:
        from adbench.methods.drdc.storage import save_detector

        save_detector(folder, self.detector_)

    def load(self, folder: Path, context: Context) -> Self:
        from adbench.methods.drdc.storage import load_detector

        return self._take(load_detector(folder, self.hyperparameters, context), context)

    def _take(self, detector: Detector, context: Context) -> Self:
        from adbench.methods.drdc.scoring import Scorer

        self.detector_ = detector
        self._scorer: Scorer = Scorer(detector, self.hyperparameters, context)
        return self

    def protocol(self) -> dict[str, JSON]:
        return {
            "backbone": self.hyperparameters.backbone,
            "weights_sha256": self.detector_.base.extractor.weights_sha256,
        }

    def diagnostics(self) -> dict[str, JSON]:
        own = self.hyperparameters
        found = {**self.detector_.diagnostics, "unet_evaluations_per_image": own.evaluations}
        if own.output == "fused":
            units = self._scorer.units()
            found["fusion_units"] = {"base": units.base, "diffusion": units.diffusion}
        return found

    def num_parameters(self) -> int:
        base, unet = self.detector_.base, self.detector_.network
        total = 0
        if self.hyperparameters.output != "diffusion":
            total += base.extractor.num_parameters()
            total += sum(parameter.numel() for parameter in base.network.parameters())
        if self.hyperparameters.output != "base":
            total += sum(parameter.numel() for parameter in unet.parameters())
        return total

    def training_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        # A backward pass costs twice the forward one.
        refinement = 3 * own.steps * own.batch_size * own.forward_flops()
        return UniAD(own.base).training_flops(num_train) + refinement

    def inference_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        total = own.evaluations * own.forward_flops()
        if own.output != "diffusion":
            total += UniAD(own.base).inference_flops(num_train)
        return total

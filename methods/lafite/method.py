"""LafitE: latent diffusion with feature editing, one model for all categories of a data set.

Yin, Jiao, Wu, Karlsson, Huang, Lin, arXiv:2307.08059. Equation and section numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench import contracts
from adbench.contracts import JSON, Context, Geometry, Images, Method, MethodCard, Prediction
from adbench.methods import costs
from adbench.methods.lafite.card import CARD
from adbench.methods.lafite.hyperparameters import LafitEHyperparameters
from adbench.methods.lafite.presets import PRESETS

if TYPE_CHECKING:
    from torch import Tensor

    from adbench.methods.lafite.fitting import Detector


class LafitE(Method):
    """Latent diffusion model with feature editing.

    Learned by `fit`: `detector_` (backbone, feature scaling, coreset of normal slices, UNet) and
    `diagnostics_` (what training did).
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters: ClassVar[type[contracts.Hyperparameters]] = LafitEHyperparameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    splits_batches = True

    hyperparameters: LafitEHyperparameters
    detector_: Detector
    diagnostics_: dict[str, JSON]

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods.lafite.fitting import fit_detector

        self._context = context
        self.detector_, self.diagnostics_ = fit_detector(self.hyperparameters, train, context)
        return self

    def predict(self, images: Images) -> Prediction:
        import numpy as np
        import torch

        from adbench.methods import scoring

        own, maps = self.hyperparameters, []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]
                errors = scoring.upsample(self._errors(batch), own.image_size)
                maps.append(scoring.gaussian_blur(errors, own.smoothing))
            scores = [scoring.pooled_maximum(part, own.pool_kernel).cpu() for part in maps]
        return Prediction(
            np.concatenate([part.cpu().numpy() for part in maps]), torch.cat(scores).numpy()
        )

    def _errors(self, images: Images) -> Tensor:
        """Distances (B, S, S) of the features to their reconstructions, averaged over noises."""
        import numpy as np
        import torch

        own, detector = self.hyperparameters, self.detector_
        # 1. Features x_0, scaled, (B, S, S, C)
        pixels = torch.from_numpy(np.array(images.pixels))
        features = detector.scaling(detector.extractor(pixels))
        # 2. Feature editing (eq. 10)
        edited = detector.editor(features) if detector.editor else features
        # 3. Reconstruction (eq. 8 and 7) and its distance to the features as they were (eq. 12)
        errors = []
        for restart in range(own.num_noise if detector.network else 1):
            restored = self._reconstruct(edited, images.ids, restart)
            squared = (restored - features).square().sum(3)
            errors.append(squared if own.score_power == 2 else squared.sqrt())
        return torch.stack(errors).mean(0)

    def _reconstruct(self, edited: Tensor, ids: tuple[str, ...], restart: int) -> Tensor:
        """Noise the edited features (B, S, S, C) up to tau and denoise them by DDIM."""
        import torch

        from adbench.methods import diffusion

        own, network = self.hyperparameters, self.detector_.network
        if network is None:
            return edited
        scheduler = diffusion.cosine_scheduler(prediction_type=own.prediction_type)
        # Noise belongs to an image, not to its place in a batch.
        generators = [self._context.generator("noise", name, restart) for name in ids]
        clean = edited.permute(0, 3, 1, 2).contiguous()  # (B, C, S, S)
        start = torch.tensor([own.tau], device=clean.device)
        sample = scheduler.add_noise(clean, diffusion.noise_like(clean, generators), start)  # eq. 8
        for timestep, prev_timestep in diffusion.timestep_pairs(own.tau, own.num_inference_steps):
            # a. predict the noise in the sample (or the sample without it)
            output = network(sample, timestep).sample
            # b. go down to the previous timestep (eq. 7, with the root of abar)
            fresh = diffusion.noise_like(sample, generators) if own.eta > 0 else None
            step = diffusion.ddim_step(
                scheduler,
                output,
                timestep,
                prev_timestep,
                sample,
                eta=own.eta,
                variance_noise=fresh,
            )
            sample = step.prev_sample
        restored: Tensor = sample.permute(0, 2, 3, 1)
        return restored

    def save(self, folder: Path) -> None:
        from adbench.methods.lafite.storage import save_detector

        save_detector(folder, self.detector_, self.diagnostics_)

    def load(self, folder: Path, context: Context) -> Self:
        from adbench.methods.lafite.storage import load_detector

        self._context = context
        self.detector_, self.diagnostics_ = load_detector(
            folder, self.hyperparameters, context.device
        )
        return self

    @property
    def batch_size(self) -> int:
        return 8

    def protocol(self) -> dict[str, JSON]:
        return {
            "backbone": self.hyperparameters.backbone,
            "weights_sha256": self.detector_.extractor.weights_sha256,
        }

    def diagnostics(self) -> dict[str, JSON]:
        return self.diagnostics_

    def num_parameters(self) -> int:
        total = self.detector_.extractor.num_parameters()
        if self.detector_.network is not None:
            total += sum(parameter.numel() for parameter in self.detector_.network.parameters())
        return total

    def search_flops(self) -> float:
        if self.detector_.editor is None:
            return 0.0
        return self.detector_.editor.search.flops(self.hyperparameters.map_size**2)

    def training_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        total = num_train * costs.feature_flops(own.backbone, own.image_size)
        if own.feature_editing:
            total += self._search_estimate(num_train, num_train)
        if own.reconstruction:
            # A backward pass costs twice the forward one.
            total += 3 * own.num_steps(num_train) * own.batch_size * self._network_estimate()
        return total

    def inference_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        total = costs.feature_flops(own.backbone, own.image_size)
        if own.feature_editing:
            total += self._search_estimate(1, num_train)
        if own.reconstruction:
            total += own.num_noise * own.num_inference_steps * self._network_estimate()
        return total

    def _search_estimate(self, num_images: int, num_train: int) -> float:
        own = self.hyperparameters
        channels = costs.backbone_cost(own.backbone).channels
        slices = num_images * own.map_size**2
        return costs.distance_flops(slices, own.num_centers(num_train), channels)

    def _network_estimate(self) -> float:
        """Of one forward pass on one image, fitted to measurements (65.3e9 at width 256)."""
        own = self.hyperparameters
        channels = costs.backbone_cost(own.backbone).channels
        ends = 2 * 2 * 9 * channels * own.base_width * 32**2  # the first and last convolution
        return (62.7e9 * (own.base_width / 256) ** 2 + ends) * float(own.map_size / 32) ** 2

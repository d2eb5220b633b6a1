"""PatchCore, the memory-bank baseline, on the features, coreset and search that LafitE uses.

Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler, CVPR 2022, arXiv:2106.08265. Equation numbers are
theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from adbench.contracts import Context, Images, MethodCard, Prediction
from adbench.methods.deep import FeatureMethod, Resize
from adbench.methods.settings import BackboneSettings, CoresetSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from adbench.methods.neighbours import NeighbourSearch


class PatchCoreSettings(CoresetSettings, BackboneSettings):
    """Everything that a run of PatchCore can vary."""

    map_size: int = Field(32, ge=4, le=128, description="side to which all stages are resized")
    msa_resize: Literal["bilinear", "area"] = Field(
        "bilinear", description="how stages are resized: aligned corners, or area when shrinking"
    )
    patch_size: Literal[1, 3, 5, 7, 9] = Field(
        3, description="side of the neighbourhood that a patch feature averages"
    )
    num_neighbours: int = Field(
        9, ge=1, le=100, description="b: features around the nearest one that re-weight the score"
    )
    smoothing: float = Field(4.0, ge=0, le=32, description="sigma of the Gaussian, in pixels")


class PatchCore(FeatureMethod):
    """Distance to the nearest of a coreset of normal patch features.

    Learned by `fit`: `search_`, over the coreset.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="patchcore",
        title="PatchCore",
        paper="Towards Total Recall in Industrial Anomaly Detection",
        year=2022,
        url="https://arxiv.org/abs/2106.08265",
        citation="""@inproceedings{roth2022patchcore,
  title     = {Towards Total Recall in Industrial Anomaly Detection},
  author    = {Roth, Karsten and Pemula, Latha and Zepeda, Joaquin and Sch{\\"o}lkopf, Bernhard
               and Brox, Thomas and Gehler, Peter},
  booktitle = {CVPR},
  year      = {2022}
}""",
        group="baselines",
        scope="separate",
        summary="Keeps a coreset of normal patch features and scores the distance to the nearest.",
        deviations=(
            "The backbone is LafitE's, EfficientNet-b4 with stages 1 to 4, and not WideResNet-50 "
            "with stages 2 and 3, so that both methods differ in the detector and not in the "
            "features.",
            "Stages are resized to 32 x 32 and concatenated before the neighbourhood average, "
            "which the paper takes stage by stage, so that cached features are shared.",
            "The coreset is selected on the features themselves and not on a random projection, "
            "because the exact selection is fast enough.",
            "Images are resized to a square of 224 pixels without the centre crop from 256.",
        ),
    )
    Hyperparameters = PatchCoreSettings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "fast": {"backbone": "tf_efficientnet_lite0", "max_centers": 20_000},
        "smoke": {
            "backbone": "tf_efficientnet_lite0",
            "image_size": 64,
            "map_size": 8,
            "coreset_ratio": 0.05,
            "smoothing": 1.0,
        },
    }

    splits_batches = False  # it trains no network

    hyperparameters: PatchCoreSettings
    search_: NeighbourSearch

    @property
    def map_size(self) -> int:
        return self.hyperparameters.map_size

    @property
    def resize(self) -> Resize:
        return self.hyperparameters.msa_resize

    def fit(self, train: Images, context: Context) -> Self:
        import torch

        from adbench.methods.coreset import coreset
        from adbench.methods.neighbours import NeighbourSearch

        own = self.hyperparameters
        features = self.features(train, context)
        patches = torch.empty(features.size // features.shape[-1], features.shape[-1])
        for rows, image in zip(patches.chunk(len(features)), features, strict=True):
            rows.copy_(self._patches(torch.tensor(image[None])))
        key = train.key and f"patches{own.patch_size}-{train.key}-{self.extractor_.key}"
        centers = coreset(patches, own.num_centers(len(train), own.map_size), key, context)
        self.search_ = NeighbourSearch(centers, context.device)
        self.diagnostics_["centers"] = len(centers)
        return self

    def predict(self, images: Images) -> Prediction:
        import numpy as np
        import torch

        from adbench.methods import scoring

        own, maps, scores = self.hyperparameters, [], []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                pixels = torch.from_numpy(np.array(images.pixels[start : start + self.batch_size]))
                patches = self._patches(self.extractor_(pixels))  # (B S S, C)
                distances, nearest = self.search_(patches, 1)
                errors = distances.view(-1, own.map_size, own.map_size)
                upsampled = scoring.upsample(errors, own.image_size)
                maps.append(scoring.gaussian_blur(upsampled, own.smoothing).cpu().numpy())
                scores.append(self._scores(patches, distances, nearest, len(pixels)).cpu().numpy())
        return Prediction(np.concatenate(maps), np.concatenate(scores))

    def _patches(self, features: Tensor) -> Tensor:
        """Locally aware patch features (B S S, C) of features (B, S, S, C) (eq. 2)."""
        from torch.nn import functional as F

        side = self.hyperparameters.patch_size
        averaged = F.avg_pool2d(
            features.permute(0, 3, 1, 2), side, 1, side // 2, count_include_pad=False
        )
        return averaged.permute(0, 2, 3, 1).reshape(-1, features.shape[-1])

    def _scores(self, patches: Tensor, distances: Tensor, nearest: Tensor, count: int) -> Tensor:
        """Image scores (B,): the largest distance, re-weighted by its surroundings (eq. 6, 7)."""
        import torch

        farthest, position = distances.view(count, -1).max(1)
        rows = torch.arange(count, device=position.device)
        patch = patches.view(count, -1, patches.shape[-1])[rows, position]  # (B, C)
        index = nearest.view(count, -1)[rows, position]
        bank = self.search_.bank
        _, around = self.search_(bank[index], self.hyperparameters.num_neighbours)  # (B, b)
        # `around` holds m* itself, so that eq. 7 is one minus its share of the soft-max.
        gaps = (bank[around] - patch[:, None]).square().sum(2).sqrt()
        share = torch.exp(farthest - torch.logsumexp(gaps, 1))
        return farthest * (1 - share) if gaps.shape[1] > 1 else farthest

    def learned(self) -> dict[str, Tensor]:
        return {"centers": self.search_.bank}

    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        from adbench.methods.neighbours import NeighbourSearch

        super().restore(tensors, context)
        self.search_ = NeighbourSearch(tensors["centers"], context.device)

    def networks(self) -> list[nn.Module]:
        return [self.extractor_]

    def search_flops(self) -> float:
        return self.search_.flops(self.map_size**2 + 1)

    def training_flops(self, num_train: int) -> float:
        return num_train * self.inference_flops(num_train)

    def inference_flops(self, num_train: int) -> float:
        num_centers = self.hyperparameters.num_centers(num_train, self.map_size)
        return self.feature_flops() + self.search_estimate(1, num_centers)

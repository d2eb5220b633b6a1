"""PatchCore, the memory-bank baseline, on the features, coreset and search that LafitE uses.

Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler, CVPR 2022, arXiv:2106.08265. Equation numbers are
theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, FilePath

from adbench import contracts
from adbench.contracts import JSON, Context, Geometry, Images, Method, MethodCard, Prediction
from adbench.methods import costs

if TYPE_CHECKING:
    from torch import Tensor

    from adbench.methods.features import FeatureExtractor
    from adbench.methods.neighbours import NeighbourSearch


class PatchCoreHyperparameters(contracts.Hyperparameters):
    """Everything that a run of PatchCore can vary."""

    backbone: str = Field("tf_efficientnet_b4.aa_in1k", description="timm model of the features")
    weights: Literal["auto", "timm", "package"] | FilePath = Field(
        "auto",
        description="backbone weights: auto, timm (its hub), package (offline, "
        "tf_efficientnet_lite0 only) or a .pth or .safetensors file",
    )
    image_size: int = Field(224, ge=32, le=1024, description="side of the input in pixels")
    map_size: int = Field(32, ge=4, le=128, description="side to which all stages are resized")
    msa_resize: Literal["bilinear", "area"] = Field(
        "bilinear", description="how stages are resized: aligned corners, or area when shrinking"
    )
    patch_size: Literal[1, 3, 5, 7, 9] = Field(
        3, description="side of the neighbourhood that a patch feature averages"
    )
    coreset_ratio: float = Field(0.1, gt=0, le=1, description="share of patch features to keep")
    max_centers: int | None = Field(None, ge=1, description="upper limit of features to keep")
    num_neighbours: int = Field(
        9, ge=1, le=100, description="b: features around the nearest one that re-weight the score"
    )
    smoothing: float = Field(4.0, ge=0, le=32, description="sigma of the Gaussian, in pixels")

    def num_centers(self, num_train: int) -> int:
        """Patch features that the coreset keeps."""
        kept = max(1, int(self.coreset_ratio * num_train * self.map_size**2))
        return min(kept, self.max_centers or kept)


class PatchCore(Method):
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
    Hyperparameters: ClassVar[type[contracts.Hyperparameters]] = PatchCoreHyperparameters
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

    hyperparameters: PatchCoreHyperparameters
    search_: NeighbourSearch

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train: Images, context: Context) -> Self:
        import torch

        from adbench.methods.coreset import cached_k_center_greedy
        from adbench.methods.features import cached_features
        from adbench.methods.neighbours import NeighbourSearch

        own = self.hyperparameters
        self._extractor = self._create_extractor(context.device)
        features = cached_features(self._extractor, train, context)
        patches = torch.empty(features.size // features.shape[-1], features.shape[-1])
        for rows, image in zip(patches.chunk(len(features)), features, strict=True):
            rows.copy_(self._patches(torch.tensor(image[None])))
        key = train.key and f"patches{own.patch_size}-{train.key}-{self._extractor.key}"
        num_centers = own.num_centers(len(train))
        context.progress("coreset", 0, num_centers)
        chosen = cached_k_center_greedy(patches, num_centers, key, context)
        self.search_ = NeighbourSearch(patches[chosen], context.device)
        return self

    def predict(self, images: Images) -> Prediction:
        import numpy as np
        import torch

        from adbench.methods import scoring

        own, maps, scores = self.hyperparameters, [], []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                pixels = torch.from_numpy(np.array(images.pixels[start : start + self.batch_size]))
                patches = self._patches(self._extractor(pixels))  # (B S S, C)
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

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({"centers": self.search_.bank.contiguous()}, folder / "bank.safetensors")
        digest = {"weights_sha256": self._extractor.weights_sha256}
        (folder / "state.json").write_text(json.dumps(digest) + "\n")

    def load(self, folder: Path, context: Context) -> Self:
        from safetensors.torch import load_file

        from adbench.methods.neighbours import NeighbourSearch

        self._extractor = self._create_extractor(context.device)
        state = json.loads((folder / "state.json").read_text())
        self._extractor.require_weights(state["weights_sha256"])
        bank = load_file(folder / "bank.safetensors")["centers"]
        self.search_ = NeighbourSearch(bank, context.device)
        return self

    def _create_extractor(self, device: str) -> FeatureExtractor:
        from adbench.methods.features import FeatureExtractor

        own = self.hyperparameters
        return FeatureExtractor(own.backbone, own.weights, own.map_size, own.msa_resize).to(device)

    def protocol(self) -> dict[str, JSON]:
        return {
            "backbone": self.hyperparameters.backbone,
            "weights_sha256": self._extractor.weights_sha256,
        }

    def diagnostics(self) -> dict[str, JSON]:
        return {"centers": len(self.search_.bank)}

    def num_parameters(self) -> int:
        return self._extractor.num_parameters()

    def search_flops(self) -> float:
        return self.search_.flops(self.hyperparameters.map_size**2 + 1)

    def training_flops(self, num_train: int) -> float:
        return num_train * self.inference_flops(num_train)

    def inference_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        channels = costs.backbone_cost(own.backbone).channels
        search = costs.distance_flops(own.map_size**2, own.num_centers(num_train), channels)
        return costs.feature_flops(own.backbone, own.image_size) + search

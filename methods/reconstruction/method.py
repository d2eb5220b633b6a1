"""A transformer that reconstructs the features of all categories; the distance is the map.

You, Cui, Shen, Yang, Lu, Zheng, Le, NeurIPS 2022, arXiv:2206.03687. Section numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from adbench.contracts import JSON, Context, Images, Method, Prediction
from adbench.methods.deep import FeatureMethod, below, fill, named
from adbench.methods.settings import (
    BackboneSettings,
    EditingSettings,
    HeldOutSettings,
    StepSettings,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from adbench.methods.editing import FeatureEditor
    from adbench.methods.reconstruction.held_out import HeldOut
    from adbench.methods.reconstruction.network import FeatureTransformer

BATCH = 8
"""Images in one pass of the network."""


class ReconstructionSettings(EditingSettings, StepSettings, HeldOutSettings, BackboneSettings):
    """The defaults are the paper's and the official configuration's."""

    prediction_only: ClassVar[frozenset[str]] = frozenset(
        {"num_neighbours", "edit_weights", "edit_temperature", "pool_kernel"}
    )

    feature_size: int = Field(
        14, ge=4, le=112, description="side to which all stages are resized: 14, 28 or 56 at 224 px"
    )
    hidden: int = Field(256, ge=8, le=2048, multiple_of=2, description="width of the transformer")
    heads: int = Field(8, ge=1, le=64, description="attention heads; they divide hidden")
    ffn: int = Field(1024, ge=8, le=8192, description="inner width of the feed-forward layers")
    layers: int = Field(4, ge=1, le=24, description="encoder layers, and as many decoder layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations dropped in training")
    neighbour_window: int = Field(
        7,
        ge=0,
        description="odd side of the window around a token that its attention may not see; "
        "0 masks nothing",
    )
    standardise: bool = Field(
        False,
        description="true: the transformer works on features less their position's mean, in "
        "deviations of their channel, and starts by predicting that mean",
    )
    attention_start: Literal["random", "local"] = Field(
        "random",
        description="of training: as in the official code, or at the token that asks (positions "
        "start as sines, keys' weights as the queries')",
    )
    jitter_scale: float = Field(
        20.0, ge=0, description="noise on training features, in norms of a token over its channels"
    )
    jitter_probability: float = Field(
        1.0, ge=0, le=1, description="share of the training batches that are jittered"
    )
    gradient_clip: float = Field(0.1, ge=0, description="largest gradient norm; 0: no limit")
    feature_editing: bool = Field(
        False, description="true: LafitE's ablation, which reconstructs edited features"
    )
    pool_kernel: int = Field(16, ge=1, description="averaging window of the image score, in pixels")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"heads={self.heads} does not divide hidden={self.hidden}")
        if self.neighbour_window and not self.neighbour_window % 2:
            raise ValueError(f"neighbour_window={self.neighbour_window} is even: no token would be "
                             "its centre; expected an odd number, or 0 for no mask")  # fmt: skip
        if self.neighbour_window >= self.feature_size:
            raise ValueError(
                f"neighbour_window={self.neighbour_window} hides every token from the one in the "
                f"middle of a {self.feature_size} x {self.feature_size} map: expected less than "
                "feature_size"
            )
        if self.pool_kernel > self.image_size:
            raise ValueError(f"pool_kernel={self.pool_kernel} exceeds image_size={self.image_size}")
        return self


class FeatureReconstruction(FeatureMethod):
    """Distance of frozen features to their reconstruction by a masked transformer.

    Learned by `fit`: `network_` and, with feature editing, `editor_` over a coreset of normal
    slices.
    """

    hyperparameters: ReconstructionSettings
    network_: FeatureTransformer
    editor_: FeatureEditor | None

    @property
    def map_size(self) -> int:
        return self.hyperparameters.feature_size

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods import features as backbone
        from adbench.methods import training
        from adbench.methods.editing import FeatureEditor, normal_slices
        from adbench.methods.reconstruction import losses
        from adbench.methods.reconstruction.held_out import HeldOut, position_moments

        own = self.hyperparameters
        features = self.features(train, context)
        self.editor_ = None
        if own.feature_editing:
            key = train.key and f"uniad-slices-{train.key}-{self.extractor_.key}"
            centers, record = normal_slices(features, own, key, context)
            self.editor_ = FeatureEditor(centers, own, context.device)
            self.diagnostics_["coreset"] = record
        held_out, seen = training.held_out_split(len(features), own, context)
        self.protocol_["held_out"] = len(held_out)
        self.network_ = self._create_network(context)
        if own.standardise:
            self.network_.set_moments(*position_moments(features, seen))
        # Reconstruct the clean features from jittered ones (section 3.2)
        batch = backbone.batches(features, context.device)
        loss = losses.reconstruction_loss(
            self.network_, lambda i: batch(seen[i]), own.jitter_scale, own.jitter_probability
        )
        normals = HeldOut(train, features, held_out, seen, context)

        def finish(network: nn.Module, step: int) -> Method:
            other = self.after(step, network)
            other._examine(normals, {"steps": step, "images": len(seen)})
            return other

        steps = own.optimiser_steps(len(seen))
        values = training.train(self.network_, loss, len(seen), own, steps, context, finish)
        self._examine(normals, training.loss_record(values, len(seen)))
        return self

    def _examine(self, normals: HeldOut, done: dict[str, JSON]) -> None:
        """Take down what was `done` in training, and what came of it on held-out normals."""
        done["held_out_images"] = len(normals)
        if len(normals):
            done["held_out_mse"] = dict(normals.errors(self.network_))
        self.diagnostics_["training"] = done
        scale = self.hyperparameters.jitter_scale
        self.skill_ = normals.skill(self.network_, scale, lambda shown: self.predict(shown).scores)

    def predict(self, images: Images) -> Prediction:
        from adbench.methods import scoring

        maps = self.maps(images)
        scores = scoring.pooled_maximum(maps, self.hyperparameters.pool_kernel)
        return Prediction(maps.cpu().numpy(), scores.cpu().numpy())

    def maps(self, images: Images) -> Tensor:
        """Euclidean distances of features to their reconstructions, upsampled (section 3.3).

        With feature editing the reconstruction is that of the edited features, and its distance
        to the features as they were (LafitE, arXiv:2307.08059, section 4.4).

        Returns:
            float32 (N, image_size, image_size) on the network's device, not negative.
        """
        import numpy as np
        import torch

        from adbench.methods import scoring

        maps = []
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                pixels = torch.from_numpy(np.array(images.pixels[start : start + BATCH]))
                features = self.extractor_(pixels)  # (B, S, S, C)
                shown = self.editor_(features) if self.editor_ else features
                errors = (self.network_(shown) - features).square().sum(3).sqrt()
                maps.append(scoring.upsample(errors, self.hyperparameters.image_size))
            return torch.cat(maps)

    def _create_network(self, context: Context) -> FeatureTransformer:
        from adbench.methods.reconstruction.network import FeatureTransformer
        from adbench.methods.training import seeded

        own = self.hyperparameters
        with seeded(context, "uniad-network"):
            network = FeatureTransformer(
                self.extractor_.channels,
                own.feature_size,
                own.hidden,
                own.heads,
                own.ffn,
                own.layers,
                own.dropout,
                own.neighbour_window,
                own.standardise,
                own.attention_start == "local",
            )
        return network.to(context.device)

    def learned(self) -> dict[str, Tensor]:
        tensors = named("network", self.network_)
        if self.editor_ is not None:
            tensors["centers"] = self.editor_.search.bank
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        from adbench.methods.editing import FeatureEditor

        super().restore(tensors, context)
        self.network_ = self._create_network(context)
        fill(self.network_, below("network", tensors))
        own, centers = self.hyperparameters, tensors.get("centers")
        self.editor_ = None if centers is None else FeatureEditor(centers, own, context.device)

    def networks(self) -> list[nn.Module]:
        return [self.extractor_, self.network_]

    def search_flops(self) -> float:
        return self.editor_.search.flops(self.map_size**2) if self.editor_ else 0.0

    def training_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        # A backward pass costs twice the forward one.
        total = 3 * own.optimiser_steps(num_train) * own.batch_size * self.transformer_flops()
        return total + num_train * self.feature_flops() + self._editing_flops(num_train, num_train)

    def inference_flops(self, num_train: int) -> float:
        total = self.feature_flops() + self.transformer_flops()
        return total + self._editing_flops(1, num_train)

    def _editing_flops(self, num_images: int, num_train: int) -> float:
        own = self.hyperparameters
        num_centers = own.num_centers(num_train, self.map_size)
        return self.search_estimate(num_images, num_centers) if own.feature_editing else 0.0

    def transformer_flops(self) -> float:
        """Of the transformer on one image; what is elementwise is left out."""
        own, tokens = self.hyperparameters, self.map_size**2
        attention = 4 * tokens * own.hidden**2 + 2 * tokens**2 * own.hidden
        feed_forward = 2 * tokens * own.hidden * own.ffn
        ends = 2 * tokens * self.channels * own.hidden
        # A decoder layer has two attentions.
        return 2.0 * (own.layers * (3 * attention + 2 * feed_forward) + ends)

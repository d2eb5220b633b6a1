"""TransFusion: transparency-based diffusion, one model for each category.

Fucka, Zavrtanik, Skocaj, ECCV 2024, arXiv:2311.09999. Equation numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench.contracts import Context, Geometry, Images, MethodCard, Prediction, Skill
from adbench.errors import MethodError
from adbench.methods.deep import DeepMethod, fill
from adbench.methods.transfusion.settings import (
    CARD,
    PRESETS,
    TransFusionHyperparameters,
    forward_flops,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from adbench.methods.transfusion.network import TransFusionUNet
    from adbench.methods.transfusion.process import Sampling

GPU_CHUNK = 32


class TransFusion(DeepMethod):
    """Transparency-based diffusion.

    Learned by `fit`: `network_`, in evaluation mode on the context's device.
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters = TransFusionHyperparameters
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    hyperparameters: TransFusionHyperparameters
    network_: TransFusionUNet
    precision_: str

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size, self.hyperparameters.crop)

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods.transfusion import training, weights

        def after(network: nn.Module, step: int, skill: Skill) -> TransFusion:
            other = self.after(step, network)
            other.skill_ = skill
            return other

        own = self.hyperparameters
        self._take_network(context)
        self.protocol_, self.diagnostics_ = {}, {}
        if own.weights is not None:
            file = weights.checkpoint_of(own.weights, set(train.categories))
            digest = weights.load_checkpoint(self.network_, file)
            self.protocol_ = {"weights_sha256": digest, "held_out": 0}
            self.diagnostics_ = {"training": "none: weights were given"}
        else:
            self.protocol_, self.diagnostics_, self.skill_ = training.train_network(
                self.network_, own, train, context, after
            )
        self.network_.eval()
        return self

    def predict(self, images: Images) -> Prediction:
        import torch

        maps = torch.cat([self._map(sampling).cpu() for sampling in self._samplings(images)])
        if not maps.isfinite().all():
            first = images.ids[int((~maps.isfinite()).flatten(1).any(1).nonzero()[0])]
            raise MethodError(
                f"the anomaly map of {first} is not finite, expected finite numbers: try "
                "precision=fp32, or train again with a lower learning_rate or gradient_clip=1"
            )
        # The image score is the highest value of its map.
        return Prediction(maps.numpy(), maps.amax((1, 2)).numpy())

    def intermediates(self, images: Images) -> dict[str, NDArray[Any]]:
        """The reconstruction, masks along the way, the map's two parts before smoothing."""
        import torch

        samplings = list(self._samplings(images))
        timesteps = samplings[0].timesteps
        restored = torch.cat([sampling.reconstruction for sampling in samplings])
        pixels = ((restored / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
        drawn: dict[str, NDArray[Any]] = {"reconstruction": pixels.cpu().numpy()}
        for index in sorted({round((len(timesteps) - 1) * part / 3) for part in range(4)}):
            masks = torch.cat([s.mask_probabilities[index, :, 0] for s in samplings])
            drawn[f"mask at t={timesteps[index]}"] = masks.cpu().numpy()
        drawn["mean mask"] = torch.cat([s.m_disc for s in samplings]).cpu().numpy()
        drawn["reconstruction error"] = torch.cat([s.m_recon for s in samplings]).cpu().numpy()
        return drawn

    def _samplings(self, images: Images) -> Iterator[Sampling]:
        """The reverse process of all images, some at a time and in order."""
        import torch

        from adbench.methods.training import autocast
        from adbench.methods.transfusion import process

        own, device = self.hyperparameters, str(self._device)
        schedule = process.transparency_schedule(own.num_steps, own.schedule)
        for start in range(0, len(images), self.batch_size):
            pixels = images.pixels[start : start + self.batch_size]
            batch = process.images_of(pixels, device)
            with torch.inference_mode(), autocast(device, self.precision_):
                sampling = process.sample(
                    self.network_,
                    batch,
                    schedule,
                    rule=own.sampling,
                    guided=own.previous_mask == "simulated",
                )
            yield sampling

    def _map(self, sampling: Sampling) -> Tensor:
        """The anomaly map (B, H, W) that `final_mask` asks for."""
        from adbench.methods.transfusion.process import final_map

        own, m_disc = self.hyperparameters, sampling.m_disc
        weight = {"both": own.disc_weight, "disc": 1.0, "recon": 0.0, "last": 1.0}[own.final_mask]
        if own.final_mask == "last":
            m_disc = sampling.mask_probabilities[-1, :, 0]
        return final_map(m_disc, sampling.m_recon, weight, own.smoothing_kernel)

    def learned(self) -> dict[str, Tensor]:
        return dict(self.network_.state_dict())

    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        self._take_network(context)
        fill(self.network_, tensors)

    def networks(self) -> list[nn.Module]:
        return [self.network_]

    def _take_network(self, context: Context) -> None:
        """The network that the hyper-parameters describe, with random weights."""

        from adbench.methods.training import chosen_precision, seeded
        from adbench.methods.transfusion.network import TransFusionUNet

        own = self.hyperparameters
        self.precision_ = chosen_precision(own, context)
        with seeded(context, "network"):
            network = TransFusionUNet(
                own.width, own.levels, own.blocks, own.attention_levels, own.positional_encoding
            )
        self.network_ = network.to(memory_format=network.memory_format).to(context.device)

    @property
    def _device(self) -> Any:
        return next(self.network_.parameters()).device

    @property
    def batch_size(self) -> int:
        """Images that go through the network together in sampling.

        One image at a time costs a CPU nothing, and keeps a score free of its neighbours'
        rounding, which the threshold in eq. 4 would magnify.
        """
        return GPU_CHUNK if hasattr(self, "network_") and self._device.type == "cuda" else 1

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

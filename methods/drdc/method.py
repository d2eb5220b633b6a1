"""DRDC: diffusion refinement with dual conditioning, one model for all categories of a data set.

Zhan, Lai, Gao, Liu, Chen, Wang, arXiv:2407.01905. Equation and section numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench.contracts import JSON, Context, Geometry, Images, MethodCard, Prediction, Skill
from adbench.methods import costs
from adbench.methods.deep import DeepMethod, below, fill, named
from adbench.methods.drdc.card import CARD, PRESETS
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.reconstruction.method import FeatureReconstruction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from adbench.methods.drdc.inpainting import GaussianInpainter
    from adbench.methods.drdc.network import ConditionalUNet
    from adbench.methods.gaussian import GaussianModel

MAX_CALIBRATION = 16
"""Held-out images that are kept with the model: each costs as much as a test image."""
NO_UNET = "output=base trains no UNet (what its transformer learned is UniAD's skill)"
BASE_DONE = "base, finished"


class DRDC(DeepMethod):
    """Feature reconstruction, refined by inpainting with a diffusion model.

    Learned by `fit`: `base_` (the base branch) and, but for `output=base`, `network_` (the UNet),
    `gaussian_` (images as a Gaussian, where the UNet is preconditioned by it) and `calibration_`,
    uint8 (K, H, W, 3), normal images that neither trained on. They are kept because what calibrates
    a map depends on how it is predicted.
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters = DRDCSettings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    hyperparameters: DRDCSettings
    base_: FeatureReconstruction
    network_: ConditionalUNet
    gaussian_: GaussianModel | None
    calibration_: NDArray[np.uint8]

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.hyperparameters.image_size)

    def fit(self, train: Images, context: Context) -> Self:
        """Train both branches on normal images, or the base alone where `output` asks for no other.
        Resumes in the branch that was cut off."""
        found = dict(context.checkpoint.load() or {})
        # 1. The base branch (section 3)
        finished = self._fit_base(train, found, context)
        # 2. The UNet of the refinement (section 4)
        if self.hyperparameters.refines:
            self._fit_refinement(train, found.pop("unet", None), finished, context)
        else:
            self.skill_ = Skill.unknown(NO_UNET)
            self._make_ready(context)
        return self

    def _fit_base(
        self, train: Images, found: dict[str, Any], context: Context
    ) -> dict[str, dict[str, Any]]:
        """Train the base, or take it from a checkpoint; what later checkpoints keep of it."""
        from adbench.methods.training import StageCheckpoint

        done = found.get(BASE_DONE)
        if done is None:
            stage = StageCheckpoint(context.checkpoint, "base", found.pop("base", None), {})
            base = FeatureReconstruction(self.hyperparameters.base)
            own = replace(_named(context, "base"), checkpoint=stage, snapshot=_no_snapshot)
            self.base_ = base.fit(train, own)
            self.protocol_, self.diagnostics_ = base.protocol_, {"base": base.diagnostics_}
            done = {"tensors": base.learned(), "protocol": self.protocol_,
                    "diagnostics": self.diagnostics_}  # fmt: skip
            context.checkpoint.save({BASE_DONE: done})
        else:
            self.protocol_, self.diagnostics_ = done["protocol"], dict(done["diagnostics"])
            self._restore_base(done["tensors"], context)
        return {BASE_DONE: done}

    def _fit_refinement(
        self,
        train: Images,
        state: dict[str, Any] | None,
        finished: dict[str, dict[str, Any]],
        context: Context,
    ) -> None:
        """Train the UNet on what the base trained on too, and measure what it learned."""
        import numpy as np

        from adbench.methods import training
        from adbench.methods.drdc import losses
        from adbench.methods.drdc.scoring import to_unit_range
        from adbench.methods.features import evenly_spread
        from adbench.methods.gaussian import GaussianModel

        own, device = self.hyperparameters, context.device
        held_out, seen = training.held_out_split(len(train), own, context)
        held_out = held_out.sort().values  # so that even spacing is over categories
        self.protocol_["held_out"] = len(held_out)
        kept = evenly_spread(held_out, MAX_CALIBRATION)
        self.calibration_ = np.array(train.pixels[kept.numpy()])

        def clean(chosen: Tensor) -> Tensor:
            return to_unit_range(train.pixels[chosen.numpy()], own.inner_size, device)

        def normals() -> Iterator[Tensor]:
            return (clean(seen[start : start + 32]) for start in range(0, len(seen), 32))

        def finish(network: nn.Module, step: int) -> DRDC:
            fitted = self.after(step, network)
            fitted._make_ready(context)
            fitted.skill_ = fitted._scorer.skill(clean(held_out), normals)
            return fitted

        self.network_ = self._create_network(context)
        self.gaussian_ = GaussianModel.fit(normals).to(device) if own.preconditioned else None
        stage = training.StageCheckpoint(context.checkpoint, "unet", state, finished)
        own_context = replace(_named(context, "UNet"), checkpoint=stage)
        loss = losses.training_loss(
            self.network_, lambda chosen: clean(seen[chosen]), own, self._inpaint
        )
        values = training.train(self.network_, loss, len(seen), own, own.steps, own_context, finish)
        self.diagnostics_["unet"] = training.loss_record(values, len(seen)) | {
            "calibration_images": len(kept),
            "precision": training.chosen_precision(own, context),
        }
        self._make_ready(context)
        self.skill_ = finish(self.network_, own.steps).skill_

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

    def _create_network(self, context: Context) -> ConditionalUNet:
        import torch

        from adbench.methods.drdc.network import ConditionalUNet
        from adbench.methods.training import seeded

        with seeded(context, "drdc-network"):
            network = ConditionalUNet(*self.hyperparameters.network_shape)
        return network.to(memory_format=torch.channels_last).to(context.device)

    def _make_ready(self, context: Context) -> None:
        from adbench.methods.drdc.scoring import Refinement, Scorer

        own = self.hyperparameters
        branch = None
        if own.refines:
            branch = Refinement(self.network_, self._inpaint, self.calibration_)
        self._scorer = Scorer(self.base_, branch, own, context)

    @property
    def _inpaint(self) -> GaussianInpainter | None:
        from adbench.methods.drdc.inpainting import GaussianInpainter

        return GaussianInpainter(self.gaussian_) if self.gaussian_ else None

    def learned(self) -> dict[str, Tensor]:
        import torch

        base = {f"base.{name}": tensor for name, tensor in self.base_.learned().items()}
        if not self.hyperparameters.refines:
            return base
        kept = {"calibration": torch.from_numpy(self.calibration_)}
        if self.gaussian_:
            kept |= {f"gaussian.{name}": t for name, t in self.gaussian_.tensors().items()}
        return base | named("unet", self.network_) | kept

    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        from adbench.methods.gaussian import GaussianModel

        self._restore_base(below("base", tensors), context)
        if self.hyperparameters.refines:
            self.network_ = self._create_network(context)
            fill(self.network_, below("unet", tensors))
            self.calibration_ = tensors["calibration"].numpy()
            gaussian = below("gaussian", tensors)
            self.gaussian_ = GaussianModel(**gaussian).to(context.device) if gaussian else None
        self._make_ready(context)

    def _restore_base(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        self.base_ = FeatureReconstruction(self.hyperparameters.base)
        self.base_.protocol_ = self.protocol_
        self.base_.restore(tensors, context)

    def diagnostics(self) -> dict[str, JSON]:
        own = self.hyperparameters
        found = {**self.diagnostics_, "unet_evaluations_per_image": own.evaluations}
        if own.output == "fused":
            units = self._scorer.units()
            found["fusion_units"] = {"base": units.base, "diffusion": units.diffusion}
        return found

    def networks(self) -> list[nn.Module]:
        base = [] if self.hyperparameters.output == "diffusion" else self.base_.networks()
        return [*base, self.network_] if self.hyperparameters.refines else base

    def training_flops(self, num_train: int) -> float:
        own, base = self.hyperparameters, FeatureReconstruction(self.hyperparameters.base)
        if not own.refines:
            return base.training_flops(num_train)
        # A backward pass costs twice the forward one.
        refinement = 3 * own.steps * own.batch_size * self._evaluation_flops()
        return base.training_flops(num_train) + refinement

    def inference_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        total = own.evaluations * self._evaluation_flops()
        if own.output != "diffusion":
            total += FeatureReconstruction(own.base).inference_flops(num_train)
        return total

    def _evaluation_flops(self) -> float:
        own = self.hyperparameters
        return unet_flops(own.inner_size, *own.network_shape)


def _named(context: Context, branch: str) -> Context:
    """The context with a progress that says which branch trains."""

    def progress(stage: str, done: int, total: int, **numbers: float) -> None:
        context.progress(f"{stage} ({branch})", done, total, **numbers)

    return replace(context, progress=progress)


def _no_snapshot(*_: Any) -> None:
    """Along the base's training there is no model of both branches."""


def unet_flops(
    size: int,
    in_channels: int,
    base_width: int,
    multipliers: Sequence[int],
    attention_factors: Sequence[int],
    blocks: int,
    patch_size: int = 1,
) -> float:
    """Of one evaluation of the UNet on one image of `size` x `size` pixels."""
    block = costs.residual_block
    return costs.unet(
        size // patch_size,
        [base_width * multiplier for multiplier in multipliers],
        [patch_size * 2**level in attention_factors for level in range(len(multipliers))],
        blocks,
        ends=(in_channels + 3) * patch_size**2,
        resample=lambda n, m, c, d: block(m, c, c, False) + block(n, d, d, False),
        narrows=False,
    )

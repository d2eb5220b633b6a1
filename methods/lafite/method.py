"""LafitE: latent diffusion with feature editing, one model for all categories of a data set.

Yin, Jiao, Wu, Karlsson, Huang, Lin, arXiv:2307.08059. Equation and section numbers are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adbench.contracts import Context, Images, MethodCard, Prediction, Skill
from adbench.contracts.skill import NO_NETWORK, too_few
from adbench.methods.deep import FeatureMethod, Resize, below, fill, named
from adbench.methods.lafite.settings import CARD, PRESETS, LafitESettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from adbench.methods.editing import FeatureEditor
    from adbench.methods.gaussian import GaussianModel
    from adbench.methods.lafite.network import FeatureScaling


class LafitE(FeatureMethod):
    """Latent diffusion model with feature editing.

    Learned by `fit`: `scaling_` of the features; `editor_` over a coreset of normal slices (None
    without editing); `network_`, which denoises, and `gaussian_`, which it builds on or which
    denoises alone (each None where it is not asked for); the network's `held_out_errors_`, where
    normals were held out.
    """

    card: ClassVar[MethodCard] = CARD
    Hyperparameters = LafitESettings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    hyperparameters: LafitESettings
    scaling_: FeatureScaling
    editor_: FeatureEditor | None
    network_: nn.Module | None
    gaussian_: GaussianModel | None
    held_out_errors_: Tensor | None

    @property
    def map_size(self) -> int:
        return self.hyperparameters.map_size

    @property
    def resize(self) -> Resize:
        return self.hyperparameters.msa_resize

    def fit(self, train: Images, context: Context) -> Self:
        from adbench.methods.editing import FeatureEditor, normal_slices
        from adbench.methods.lafite.network import FeatureScaling

        own, self._context = self.hyperparameters, context
        # 1. Features x_0 of the frozen backbone, scaled
        features = self.features(train, context)
        scaling = FeatureScaling.fit(features, own.feature_scaling)
        self.scaling_, unit = scaling.to(context.device), scaling.unit
        self.diagnostics_ |= {"feature_mean": float(scaling.mean.mean()), "feature_std": unit}
        # 2. The coreset of normal slices, for feature editing (section 3.3)
        self._forget()
        self.protocol_["held_out"] = 0
        if own.feature_editing:
            key = train.key and f"{train.key}-{self.extractor_.key}-{own.feature_scaling}"
            centers, record = normal_slices(features, own, key, context, scale=scaling, unit=unit)
            self.editor_ = FeatureEditor(centers, own, context.device, unit)
            self.diagnostics_["coreset"] = record
        # 3. What denoises them (section 3.2)
        if own.reconstruction:
            self._learn_to_denoise(features, context)
        return self

    def _forget(self) -> None:
        self.editor_ = self.network_ = self.gaussian_ = self.held_out_errors_ = None

    def _learn_to_denoise(self, features: NDArray[Any], context: Context) -> None:
        """Fit the Gaussian and train the network, on what is not held out."""
        import torch

        from adbench.methods import training
        from adbench.methods.features import CHUNK, batches
        from adbench.methods.gaussian import GaussianModel
        from adbench.methods.lafite.denoisers import GaussianDenoiser
        from adbench.methods.lafite.network import denoising_loss, held_out_errors

        own, batch, gaussian = self.hyperparameters, batches(features, context.device), None

        def clean(indices: Tensor) -> Tensor:  # (B, C, S, S)
            return self.scaling_(batch(indices)).permute(0, 3, 1, 2).contiguous()

        held_out, seen = training.held_out_split(len(features), own, context)
        self.protocol_["held_out"] = len(held_out)
        if len(held_out) or own.denoiser != "paper":
            gaussian = GaussianModel.fit(lambda: map(clean, torch.split(seen, CHUNK)))
        self.gaussian_ = None if own.denoiser == "paper" else gaussian
        if own.denoiser == "gaussian":
            return
        scheduler, steps = self._scheduler(), own.optimiser_steps(len(seen))
        self.network_ = self._create_network(context)

        def finish(network: nn.Module, step: int) -> LafitE:
            done = self.after(step, network)
            if gaussian is not None and len(held_out):
                rival = GaussianDenoiser(gaussian, scheduler)
                errors = held_out_errors(network, rival, scheduler, clean(held_out), context)
                done.held_out_errors_ = errors
            return done

        loss = denoising_loss(
            self.network_, scheduler, lambda chosen: clean(seen[chosen]), own.train_timesteps
        )
        losses = training.train(self.network_, loss, len(seen), own, steps, context, finish)
        self.diagnostics_["training"] = training.loss_record(losses, len(seen))
        self.held_out_errors_ = finish(self.network_, steps).held_out_errors_

    def skill(self) -> Skill:
        from adbench.methods.lafite.network import epsilon_skill

        if self.network_ is None:
            return Skill.unknown(NO_NETWORK)
        if self.held_out_errors_ is None:
            return Skill.unknown(too_few(0))
        return epsilon_skill(self.held_out_errors_, self.hyperparameters.tau)

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

        own = self.hyperparameters
        # 1. Features x_0, scaled, (B, S, S, C)
        pixels = torch.from_numpy(np.array(images.pixels))
        features = self.scaling_(self.extractor_(pixels))
        # 2. Feature editing (eq. 10)
        edited = self.editor_(features) if self.editor_ else features
        # 3. Reconstruction (eq. 8 and 7) and its distance to the features as they were (eq. 12)
        errors = []
        for restart in range(own.num_noise if own.reconstruction else 1):
            restored = edited
            if own.reconstruction:
                restored = self._reconstruct(edited, images.ids, restart)
            squared = (restored - features).square().sum(3)
            errors.append(squared if own.score_power == 2 else squared.sqrt())
        return torch.stack(errors).mean(0)

    def _reconstruct(self, edited: Tensor, ids: tuple[str, ...], restart: int) -> Tensor:
        """Noise the edited features (B, S, S, C) up to tau and denoise them by DDIM."""
        import torch

        from adbench.methods import diffusion

        own, scheduler = self.hyperparameters, self._scheduler()
        denoiser = self._denoiser(scheduler)
        # Noise belongs to an image, not to its place in a batch.
        generators = [self._context.generator("noise", name, restart) for name in ids]
        clean = edited.permute(0, 3, 1, 2).contiguous()  # (B, C, S, S)
        start = torch.tensor([own.tau], device=clean.device)
        sample = scheduler.add_noise(clean, diffusion.noise_like(clean, generators), start)  # eq. 8
        for timestep, prev_timestep in diffusion.timestep_pairs(own.tau, own.num_inference_steps):
            # a. predict the noise in the sample (or the sample without it)
            output = denoiser(sample, torch.full((len(sample),), timestep, device=sample.device))
            # b. go down to the previous timestep (eq. 7, with the root of abar)
            fresh = diffusion.noise_like(sample, generators) if own.eta > 0 else None
            sample = diffusion.ddim_step(
                scheduler,
                output,
                timestep,
                prev_timestep,
                sample,
                eta=own.eta,
                variance_noise=fresh,
            ).prev_sample
        restored: Tensor = sample.permute(0, 2, 3, 1)
        return restored

    def _scheduler(self) -> Any:
        from adbench.methods.diffusion import cosine_scheduler

        return cosine_scheduler(prediction_type=self.hyperparameters.prediction_type)

    def _denoiser(self, scheduler: Any) -> Callable[[Tensor, Tensor], Tensor]:
        from adbench.methods.lafite.denoisers import GaussianDenoiser

        if self.network_ is not None:
            return self.network_
        assert self.gaussian_ is not None
        return GaussianDenoiser(self.gaussian_, scheduler)

    def _create_network(self, context: Context) -> nn.Module:
        from adbench.methods.lafite.denoisers import PreconditionedDenoiser, create_unet
        from adbench.methods.training import seeded

        own, network = self.hyperparameters, None
        with seeded(context, "network"):
            if self.gaussian_ is None:
                network = create_unet(self.extractor_.channels, own.base_width, own.map_size)
            else:
                network = PreconditionedDenoiser(
                    self.gaussian_, self._scheduler(), own.base_width, own.train_timesteps
                )
        return network.to(context.device)

    def learned(self) -> dict[str, Tensor]:
        import torch

        scaling = self.scaling_
        tensors = {"mean": scaling.mean, "std": scaling.std}
        tensors["unit"] = torch.tensor(scaling.unit, dtype=torch.float64)
        if self.editor_ is not None:
            tensors["centers"] = self.editor_.search.bank
        if self.gaussian_ is not None:
            tensors |= {f"gaussian.{n}": t for n, t in self.gaussian_.tensors().items()}
        if self.network_ is not None:
            tensors |= named("network", self.network_)
        if self.held_out_errors_ is not None:
            tensors["held_out_errors"] = self.held_out_errors_
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], context: Context) -> None:
        from adbench.methods.editing import FeatureEditor
        from adbench.methods.gaussian import GaussianModel
        from adbench.methods.lafite.network import FeatureScaling

        super().restore(tensors, context)
        own, self._context, unit = self.hyperparameters, context, float(tensors["unit"])
        self.scaling_ = FeatureScaling(tensors["mean"], tensors["std"], unit).to(context.device)
        self._forget()
        if own.feature_editing:
            self.editor_ = FeatureEditor(tensors["centers"], own, context.device, unit)
        if own.reconstruction and own.denoiser != "paper":
            self.gaussian_ = GaussianModel(**below("gaussian", tensors)).to(context.device)
        if own.reconstruction and own.denoiser != "gaussian":
            self.network_ = self._create_network(context)
            fill(self.network_, below("network", tensors))
            self.held_out_errors_ = tensors.get("held_out_errors")

    def networks(self) -> list[nn.Module]:
        return [self.extractor_, *([self.network_] if self.network_ is not None else [])]

    def search_flops(self) -> float:
        return self.editor_.search.flops(self.map_size**2) if self.editor_ else 0.0

    def training_flops(self, num_train: int) -> float:
        own = self.hyperparameters
        total = num_train * self.feature_flops()
        if own.feature_editing:
            total += self.search_estimate(num_train, own.num_centers(num_train, own.map_size))
        if own.reconstruction and own.denoiser == "gaussian":
            total += num_train * self._network_flops()
        elif own.reconstruction:
            # A backward pass costs twice the forward one.
            total += 3 * own.optimiser_steps(num_train) * own.batch_size * self._network_flops()
        return total

    def inference_flops(self, num_train: int) -> float:
        own, total = self.hyperparameters, self.feature_flops()
        if own.feature_editing:
            total += self.search_estimate(1, own.num_centers(num_train, own.map_size))
        if own.reconstruction:
            total += own.num_noise * own.num_inference_steps * self._network_flops()
        return total

    def _network_flops(self) -> float:
        """Of what denoises, once and on one image; UNets are fitted to measurements (the paper's:
        65.3e9 at width 256)."""
        own, channels, size = self.hyperparameters, self.channels, self.map_size
        to_components = 2 * channels**2 * size**2  # or back
        gaussian = 2 * to_components + 8 * channels * size**3  # and cosines, forth and back
        if own.denoiser == "gaussian":
            return float(gaussian)
        body, ends = 62.7e9 / 256**2, 2 * 9 * channels  # of the first and the last convolution
        extra = 0.0
        if own.denoiser == "preconditioned":
            body, ends = 0.66e6, 9 * min(128, 2 * channels) + 3 * channels
            extra = gaussian + 3 * to_components
        convolutions = 2 * ends * own.base_width * size**2
        return body * own.base_width**2 * (size / 32) ** 2 + convolutions + extra

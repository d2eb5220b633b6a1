"""From images to anomaly maps with both branches, and pictures of what lies between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from adbench.contracts import Context, Images
from adbench.errors import MethodError
from adbench.methods.drdc.fitting import Detector, to_unit_range
from adbench.methods.drdc.hyperparameters import DRDCHyperparameters
from adbench.methods.drdc.maps import (
    ErrorMean,
    Units,
    enlarged,
    fuse,
    mean_filter,
    scale_errors,
)
from adbench.methods.drdc.process import Conditions, Refined, refine
from adbench.methods.scoring import upsample
from adbench.methods.training import autocast
from adbench.methods.uniad.scoring import base_maps

RGB = 3


class Scorer:
    """Anomaly maps by a fitted detector.

    Args:
        detector: both branches.
        hyperparameters: how maps are made of them.
        context: of the fit; its seed decides masks and noise.
    """

    def __init__(
        self, detector: Detector, hyperparameters: DRDCHyperparameters, context: Context
    ) -> None:
        self._detector, self._own, self._context = detector, hyperparameters, context
        self._units: Units | None = None

    @torch.inference_mode()
    def maps(self, images: Images) -> tuple[Tensor, dict[str, Tensor]]:
        """What `output` asks for, float32 (N, image_size, image_size).

        Returns:
            The maps, and by name those of each branch where the maps are fused of both.

        Raises:
            MethodError: a map is not finite.
        """
        parts: dict[str, Tensor] = {}
        if self._own.output == "base":
            maps = self.base(images)
        elif self._own.output == "diffusion":
            maps = self.diffusion(images)
        else:
            parts = {"base": self.base(images), "diffusion": self.diffusion(images)}
            maps = self._fused(parts["base"], parts["diffusion"])
        finite = maps.isfinite().flatten(1).all(1)
        if not finite.all():
            first = images.ids[int((~finite).nonzero()[0])]
            raise MethodError(
                f"the anomaly map of {first} is not finite, expected finite numbers: try "
                "precision=fp32, or train again with a lower learning_rate"
            )
        return maps, parts

    @torch.inference_mode()
    def base(self, images: Images) -> Tensor:
        """H_base (N, image_size, image_size): distances of features to their reconstructions."""
        own = self._own
        if own.multiscale_base:
            return self._multiscale_base(images)
        return base_maps(self._detector.base, own.base, images)

    def _multiscale_base(self, images: Images) -> Tensor:
        """Distances of features averaged over each scale, and their mean (paper, Table 5).

        The paper does not say how. Sides are rounded up, as 8 does not divide a map of 14.
        """
        own, base, maps = self._own, self._detector.base, []
        for start in range(len(images)):
            pixels = torch.from_numpy(images.pixels[start : start + 1].copy())
            features = base.extractor(pixels)  # (1, S, S, C)
            pair = torch.cat([features, base.network(features)]).permute(0, 3, 1, 2)
            errors = []
            for scale in own.scales:
                below = F.adaptive_avg_pool2d(pair, -(-pair.shape[-1] // scale))
                error = (below[:1] - below[1:]).square().sum(1).sqrt()
                errors.append(upsample(error, own.image_size))
            maps.append(torch.stack(errors).mean(0))
        return torch.cat(maps)

    @torch.inference_mode()
    def diffusion(self, images: Images) -> Tensor:
        """H_SST (N, image_size, image_size): errors of the inpainted images, smoothed."""
        own, maps = self._own, []
        for batch, steps in self._refinements(images):
            # Without fusion: the last step and the finest scale (our reading of Table 5).
            mean = ErrorMean(batch, own.scales if own.spatio_temporal_fusion else (1,))
            for step in steps:
                if own.spatio_temporal_fusion or step.timestep == own.timesteps[-1]:
                    mean.add(step.images)
            maps.append(self._finished(mean.map()))
        return torch.cat(maps)

    def units(self) -> Units:
        """By what `fusion` divides the maps; of calibrated fusion, measured once.

        Raises:
            MethodError: calibrated, but no image was left to hold out.
        """
        if self._units is None:
            channels = Units(self._detector.base.extractor.channels, RGB)
            self._units = channels if self._own.fusion == "paper" else self._calibrate()
        return self._units

    def _calibrate(self) -> Units:
        pixels = self._detector.calibration_pixels
        if not len(pixels):
            raise MethodError(
                "fusion=calibrated needs a normal image that training left out, found only one "
                "training image: use fusion=paper"
            )
        names = tuple(f"calibration/{index}" for index in range(len(pixels)))
        held_out = Images(pixels, names, ("",) * len(pixels))
        return Units(float(self.base(held_out).mean()), float(self.diffusion(held_out).mean()))

    def _fused(self, base: Tensor, diffusion: Tensor) -> Tensor:
        return fuse(base, diffusion, self._own.gamma, self.units())

    def _finished(self, errors: Tensor) -> Tensor:
        """Errors (B, s, s) smoothed and resized to the size of the maps."""
        smooth = mean_filter(errors, self._own.smoothing_kernel)
        size = self._own.image_size
        return smooth if smooth.shape[-1] == size else enlarged(smooth, size)

    def _refinements(self, images: Images) -> Iterator[tuple[Tensor, Iterator[Refined]]]:
        """Some images at a time, in [-1, 1], and the steps of their refinement."""
        own, detector, device = self._own, self._detector, self._detector.device

        def network(inputs: Tensor, t: Tensor) -> Tensor:
            with autocast(str(device), detector.precision):
                noise: Tensor = detector.network(inputs, t)
            return noise

        conditions = Conditions(
            own.model_condition, own.test_time_condition, own.init, own.clip_sample
        )
        for start in range(0, len(images), detector.chunk):
            part = images[start : start + detector.chunk]
            batch = to_unit_range(part.pixels, own.inner_size, device)
            generators = [
                [self._context.generator("refine", name, c, device=str(device)) for c in own.grids]
                for name in part.ids
            ]
            steps = refine(
                network,
                batch,
                generators,
                timesteps=own.timesteps,
                grids=own.grids,
                num_sets=own.num_masks,
                conditions=conditions,
            )
            yield batch, steps

    @torch.inference_mode()
    def pictures(self, images: Images) -> dict[str, NDArray[Any]]:
        """Inpainted images at both ends of the sampling, errors by step, grid and scale, maps."""
        own, base = self._own, self.base(images)
        drawn: dict[str, list[Tensor]] = {}

        def draw(name: str, values: Tensor) -> None:
            drawn.setdefault(name, []).append(values.cpu())

        for batch, steps in self._refinements(images):
            errors = []
            for step in steps:
                if step.timestep in (own.timesteps[0], own.timesteps[-1]):
                    for index, c in enumerate(own.grids):
                        shown = _to_bytes(step.images[:, index], own.image_size)
                        draw(f"inpainted, {c} px cells, t={step.timestep}", shown)
                scales = [scale_errors(batch, step.images, scale) for scale in own.scales]
                errors.append(torch.stack([_resized(error, own.image_size) for error in scales]))
            everything = torch.stack(errors)  # (T, L, B, G, H, W)
            for index, timestep in enumerate(own.timesteps):
                draw(f"error at t={timestep}", everything[index].mean((0, 2)))
            for index, c in enumerate(own.grids):
                draw(f"error of {c} px cells", everything[:, :, :, index].mean((0, 1)))
            for index, scale in enumerate(own.scales):
                draw(f"error over {scale} px", everything[:, index].mean((0, 2)))
        found = {name: torch.cat(parts) for name, parts in drawn.items()}
        diffusion = self.diffusion(images)
        found |= {"base map": base, "diffusion map": diffusion}
        found["fused map"] = self._fused(base, diffusion)
        return {name: values.cpu().numpy() for name, values in found.items()}


def _to_bytes(images: Tensor, size: int) -> Tensor:
    """(B, 3, s, s) in [-1, 1] to uint8 (B, size, size, 3)."""
    resized = F.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    return ((resized.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)


def _resized(errors: Tensor, size: int) -> Tensor:
    """(B, G, s, s) to (B, G, size, size)."""
    return enlarged(errors.flatten(0, 1), size).view(*errors.shape[:2], size, size)

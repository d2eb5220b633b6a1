"""From images to anomaly maps with both branches, and pictures of what lies between.

Equation numbers are the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from adbench.contracts import Context, Images, Skill
from adbench.errors import MethodError
from adbench.methods.drdc.process import Inpaint, Refined, refine
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.drdc.skill import measured_skill
from adbench.methods.gaussian import Batches
from adbench.methods.reconstruction.method import BATCH, FeatureReconstruction
from adbench.methods.scoring import upsample
from adbench.methods.training import autocast, chosen_precision
from adbench.methods.transfers import on_device

RGB = 3


class Units(NamedTuple):
    """By what each map is divided before they are mixed."""

    base: float
    diffusion: float


class Refinement(NamedTuple):
    """The UNet, what makes the guess that it adds to, and the held-out normals uint8 (K, H, W, 3)
    that calibrate its maps."""

    network: nn.Module
    inpaint: Inpaint | None
    calibration: NDArray[np.uint8]


class Scorer:
    """Anomaly maps by the fitted branches; the seed of `context` decides masks and noise."""

    def __init__(
        self,
        base: FeatureReconstruction,
        refinement: Refinement | None,
        settings: DRDCSettings,
        context: Context,
    ) -> None:
        self._base, self._refinement = base, refinement
        self._own, self._context = settings, context
        self._device = torch.device(context.device)
        self._precision = chosen_precision(settings, context)
        self._units: Units | None = None

    @torch.inference_mode()
    def maps(self, images: Images) -> tuple[Tensor, dict[str, Tensor]]:
        """What `output` asks for, float32 (N, image_size, image_size), and by name the maps of each
        branch where those are fused of both."""
        parts: dict[str, Tensor] = {}
        if self._own.output == "base":
            maps = self.base(images)
        elif self._own.output == "diffusion":
            maps = self.diffusion(images)
        else:
            parts = {"base": self.base(images), "diffusion": self.diffusion(images)}
            maps = fuse(parts["base"], parts["diffusion"], self._own.gamma, self.units())
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
        """H_base (N, image_size, image_size): distances of features to their reconstructions.

        With `multiscale_base` those of features averaged over each scale, and their mean (paper,
        Table 5, which does not say how). Sides are rounded up, as 8 does not divide a map of 14.
        """
        own, base, maps = self._own, self._base, []
        if not own.multiscale_base:
            return base.maps(images)
        for start in range(0, len(images), BATCH):
            pixels = torch.from_numpy(images.pixels[start : start + BATCH].copy())
            features = base.extractor_(pixels)  # (B, S, S, C)
            pair = torch.cat([features, base.network_(features)]).permute(0, 3, 1, 2)
            errors = []
            for scale in own.scales:
                side = -(-pair.shape[-1] // scale)
                features, restored = F.adaptive_avg_pool2d(pair, side).chunk(2)
                error = (features - restored).square().sum(1).sqrt()  # (B, side, side)
                errors.append(upsample(error, own.image_size))
            maps.append(torch.stack(errors).mean(0))
        return torch.cat(maps)

    @torch.inference_mode()
    def diffusion(self, images: Images) -> Tensor:
        """H_SST (N, image_size, image_size): errors of the inpainted images, smoothed."""
        own, maps = self._own, []
        everything = own.spatio_temporal_fusion
        for batch, steps in self._refinements(images):
            # Without fusion: the last step and the finest scale (our reading of Table 5).
            last = own.timesteps[-1]
            used = (step.images for step in steps if everything or step.timestep == last)
            mean = mean_error(batch, used, own.scales if everything else (1,))
            maps.append(enlarged(mean_filter(mean, own.smoothing_kernel), own.image_size))
        return torch.cat(maps)

    def units(self) -> Units:
        """By what `fusion` divides the maps; of calibrated fusion, measured once."""
        if self._own.fusion == "paper":
            return Units(self._base.extractor_.channels, RGB)
        if self._units is None:
            assert self._refinement is not None
            calibration = self._refinement.calibration
            count = len(calibration)
            if not count:
                raise MethodError(
                    "fusion=calibrated needs a normal image that training left out, found only "
                    "one training image: use fusion=paper"
                )
            names = tuple(f"calibration/{index}" for index in range(count))
            held_out = Images(calibration, names, ("",) * count)
            base, diffusion = self.base(held_out), self.diffusion(held_out)
            self._units = Units(float(base.mean()), float(diffusion.mean()))
        return self._units

    def _refinements(self, images: Images) -> Iterator[tuple[Tensor, Iterator[Refined]]]:
        """Some images at a time, in [-1, 1], and the steps of their refinement."""
        assert self._refinement is not None
        own, device, inpaint = self._own, str(self._device), self._refinement.inpaint
        chunk = chunk_size(self._device)
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk]
            batch = to_unit_range(part.pixels, own.inner_size, device)
            generators = [
                [self._context.generator("refine", name, c, device=device) for c in own.grids]
                for name in part.ids
            ]
            yield batch, refine(self._network, batch, generators, own, inpaint)

    def _network(self, inputs: Tensor, t: Tensor) -> Tensor:
        assert self._refinement is not None
        with autocast(str(self._device), self._precision):
            predicted: Tensor = self._refinement.network(inputs, t)
        return predicted

    def skill(self, held_out: Tensor, normals: Batches) -> Skill:
        """Of the UNet, on images (N, 3, H, W) in [-1, 1] that trained nothing; `normals` did."""
        assert self._refinement is not None
        own, inpaint = self._own, self._refinement.inpaint
        return measured_skill(self._network, held_out, normals, own, self._context, inpaint)

    @torch.inference_mode()
    def pictures(self, images: Images) -> dict[str, NDArray[Any]]:
        """Inpainted images at both ends of the sampling, errors by step, grid and scale, maps."""
        own, size, drawn = self._own, self._own.image_size, dict[str, list[Tensor]]()
        if not own.refines:
            return {"base map": self.base(images).cpu().numpy()}

        def draw(name: str, values: Tensor) -> None:
            drawn.setdefault(name, []).append(values.cpu())

        for batch, steps in self._refinements(images):
            errors = []
            for step in steps:
                if step.timestep in (own.timesteps[0], own.timesteps[-1]):
                    for index, c in enumerate(own.grids):
                        shown = _to_bytes(step.images[:, index], size)
                        draw(f"inpainted, {c} px cells, t={step.timestep}", shown)
                scales = [scale_errors(batch, step.images, scale) for scale in own.scales]
                errors.append(torch.stack([_enlarged_all(error, size) for error in scales]))
            everything = torch.stack(errors)  # (T, L, B, G, H, W)
            for index, timestep in enumerate(own.timesteps):
                draw(f"error at t={timestep}", everything[index].mean((0, 2)))
            for index, c in enumerate(own.grids):
                draw(f"error of {c} px cells", everything[:, :, :, index].mean((0, 1)))
            for index, scale in enumerate(own.scales):
                draw(f"error over {scale} px", everything[:, index].mean((0, 2)))
        found = {name: torch.cat(parts) for name, parts in drawn.items()}
        base, diffusion = self.base(images), self.diffusion(images)
        found |= {"base map": base, "diffusion map": diffusion}
        found["fused map"] = fuse(base, diffusion, own.gamma, self.units())
        return {name: values.cpu().numpy() for name, values in found.items()}


def chunk_size(device: torch.device) -> int:
    """Images that go through the UNet together. One already makes a batch of grids x sets rows;
    on a CPU more would only let rounding depend on neighbours."""
    return 8 if device.type == "cuda" else 1


def to_unit_range(pixels: NDArray[np.uint8], size: int, device: str) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, size, size) in [-1, 1] on `device`."""
    images = on_device(torch.from_numpy(np.array(pixels)), device).permute(0, 3, 1, 2).float()
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return images / 127.5 - 1


def scale_errors(images: Tensor, refined: Tensor, scale: int) -> Tensor:
    """Distances (B, G, H / scale, W / scale) of images (B, 3, H, W) and predicted ones
    (B, G, 3, H, W) over RGB, of averages over scale x scale pixels (eq. 16)."""
    below = F.avg_pool2d(refined.flatten(0, 1), scale)
    below = below.view(*refined.shape[:3], *below.shape[2:])
    distances: Tensor = (F.avg_pool2d(images, scale)[:, None] - below).square().sum(2).sqrt()
    return distances


def mean_error(images: Tensor, refined: Iterable[Tensor], scales: Sequence[int]) -> Tensor:
    """The mean error map (B, H, W) over the predicted images (B, G, 3, H, W) of all steps, over
    grids and over scales (eq. 17).

    Bilinear resizing is linear, so that sums are kept at the size of each scale and resized once.
    """
    sums: list[Tensor | None] = [None] * len(scales)
    count = 0
    for predicted in refined:
        for index, scale in enumerate(scales):
            errors, total = scale_errors(images, predicted, scale).sum(1), sums[index]
            sums[index] = errors if total is None else total.add_(errors)
        count += predicted.shape[1]
    resized = [enlarged(total, images.shape[-1]) for total in sums if total is not None]
    return torch.stack(resized).sum(0) / (count * len(scales))


def enlarged(errors: Tensor, size: int) -> Tensor:
    """Resize (B, h, w) to (B, size, size), bilinear with corners not aligned."""
    if errors.shape[-1] == size:
        return errors
    return F.interpolate(errors[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]


def mean_filter(maps: Tensor, kernel: int) -> Tensor:
    """Maps (B, H, W) averaged over windows of an odd side, stride 1 (eq. 18).

    The border is reflected, because zeros would darken a frame of half the kernel.
    """
    pad = kernel // 2
    padded = F.pad(maps[:, None], (pad, pad, pad, pad), mode="reflect")
    rows = F.avg_pool2d(padded, (1, kernel), stride=1)
    return F.avg_pool2d(rows, (kernel, 1), stride=1)[:, 0]


def fuse(base: Tensor, diffusion: Tensor, gamma: float, units: Units) -> Tensor:
    """H_out (B, H, W) = (1 - gamma) H_base / u_base + gamma H_diff / u_diff (eq. 19)."""
    return (1 - gamma) * base / units.base + gamma * diffusion / units.diffusion


def _to_bytes(images: Tensor, size: int) -> Tensor:
    """(B, 3, s, s) in [-1, 1] to uint8 (B, size, size, 3)."""
    resized = F.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    return ((resized.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)


def _enlarged_all(errors: Tensor, size: int) -> Tensor:
    """(B, G, s, s) to (B, G, size, size)."""
    return enlarged(errors.flatten(0, 1), size).view(*errors.shape[:2], size, size)

"""Training TransFusion's network on normal images with synthetic anomalies on half of them."""

from __future__ import annotations

import torch
from torch import Tensor

from adbench.contracts import JSON, Context, Geometry, Images
from adbench.methods.training import TrainingPlan, autocast, smoothed_ends, train
from adbench.methods.transfusion.losses import TERMS, Targets, transfusion_loss
from adbench.methods.transfusion.network import TransFusionUNet
from adbench.methods.transfusion.process import to_unit_range, transparency_schedule
from adbench.methods.transfusion.settings import TransFusionHyperparameters
from adbench.methods.transfusion.synthesis import (
    FolderTextures,
    ProceduralTextures,
    SynthesisBatch,
    foreground_masks,
    synthesise,
)

Facts = dict[str, JSON]


def train_network(
    network: TransFusionUNet,
    own: TransFusionHyperparameters,
    precision: str,
    images: Images,
    context: Context,
) -> tuple[Facts, Facts]:
    """Train `network` in place by AdamW with one drop of its rate; no averaged weights, as in the
    official code.

    Returns:
        what makes the numbers comparable, and what training did.
    """
    batches = TrainingBatches(own, images, context)
    terms = [term for term in TERMS if getattr(own, f"loss_{term}")]

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        batch = batches(indices, generator)
        outputs = network(batch.network_input, batch.t)
        return transfusion_loss(
            outputs, _targets(batch), batches.schedule, terms=terms, ssim_range=own.ssim_range
        ).total

    @torch.no_grad()
    def probe() -> dict[str, JSON]:
        """Each term of the loss on one fixed batch with fixed anomalies, as in sampling.

        A resumed run starts from the same random network, so that both ends are the same in it.
        """
        batch = batches(torch.arange(min(8, len(images))), context.generator("probe"))
        network.eval()
        with autocast(context.device, precision):
            outputs = network(batch.network_input, batch.t)
            found = transfusion_loss(outputs, _targets(batch), batches.schedule)
        return {term: float(value) for term, value in zip(found._fields, found, strict=True)}

    plan = TrainingPlan(
        steps=own.optimiser_steps(len(images)),
        batch_size=own.batch_size,
        learning_rate=own.learning_rate,
        weight_decay=own.weight_decay,
        drop_at=own.learning_rate_drop,
        gradient_clip=own.gradient_clip,
        precision=precision,
    )
    before = probe()
    losses = train(network, loss, len(images), plan, context)
    first, last = smoothed_ends(losses)
    protocol: Facts = {
        "texture_source": batches.texture_source,
        "foreground_source": batches.foreground_source,
    }
    diagnostics: Facts = {
        "steps": len(losses),
        "loss_first": first,
        "loss_last": last,
        "terms_before": before,
        "terms_after": probe(),
        "foreground_share": batches.foreground_share,
        "precision": precision,
    }
    return protocol, diagnostics


class TrainingBatches:
    """Makes the batch of given training images, with anomalies from a given generator.

    Attributes:
        texture_source: which texture images, without any path of this machine.
        foreground_source: which foreground masks, likewise.
        foreground_share: mean share of pixels on which an anomaly may lie.
        schedule: float32 (T,), on the context's device.
    """

    def __init__(self, own: TransFusionHyperparameters, train: Images, context: Context) -> None:
        self._own, self._device, self._pixels = own, context.device, train.pixels
        self._textures = (
            ProceduralTextures(own.size)
            if own.texture_dir is None
            else FolderTextures(own.texture_dir, own.size)
        )
        self.texture_source = self._textures.name
        masks = foreground_masks(
            train,
            {name: card.kind for name, card in context.category_cards.items()},
            Geometry(own.image_size, own.crop),
            own.foreground_dir or own.foreground,
        )
        self._foreground = masks.masks
        self.foreground_source = ", ".join(sorted(set(masks.source.values())))
        self.foreground_share = float(self._foreground.float().mean())
        self.schedule = transparency_schedule(own.num_steps, own.schedule).to(context.device)

    def __call__(self, indices: Tensor, generator: torch.Generator) -> SynthesisBatch:
        """The batch of the training images `indices` (B,); a function of these two alone."""
        images = to_unit_range(self._pixels[indices.numpy()], self._device)
        return synthesise(
            images,
            self._foreground[indices].to(images.device),
            self._textures,
            self.schedule,
            # On the CPU, so that every device sees the same anomalies and none waits for a draw.
            torch.Generator().manual_seed(generator.initial_seed()),
            previous_mask=self._own.previous_mask,
            previous_mask_drop=self._own.previous_mask_drop,
            rotation_probability=self._own.rotation_probability,
            max_rotation=self._own.rotation_degrees,
        )


def _targets(batch: SynthesisBatch) -> Targets:
    return Targets(batch.anomaly_scaled, batch.normal, batch.mask, batch.x_t, batch.t)
